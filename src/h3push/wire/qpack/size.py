"""The limit on the size of field sections (RFC 9114 section 4.2.2)."""

from h3push.errors import ErrorCode, H3StreamError
from h3push.http.fields import Fields, section_size
from h3push.wire.qpack.instructions import ENTRY_OVERHEAD


class FieldSectionTooLarge(H3StreamError):
    """A field section over SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 section 4.2.2), or with a string that we cannot decode.

    The QPACK state is in step: the stream alone is concerned, and a server may answer 431 or 414 instead of resetting it.

    Attributes:
        path: True when the path alone is too long.
    """

    def __init__(self, code: ErrorCode, reason: str, *, path: bool) -> None:
        super().__init__(code, reason)
        self.path = path


def check_size(fields: Fields, limit: int) -> None:
    """Raise `FieldSectionTooLarge` with H3_EXCESSIVE_LOAD for a section of more than `limit` bytes."""
    size = section_size(fields)
    if size <= limit:
        return
    path = max((len(value) for name, value in fields if name == b":path"), default=0)
    raise FieldSectionTooLarge(
        ErrorCode.H3_EXCESSIVE_LOAD,
        f"a field section of {size} bytes; we take {limit} at most",
        path=path + len(b":path") + ENTRY_OVERHEAD > limit,
    )
