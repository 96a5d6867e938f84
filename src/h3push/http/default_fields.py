"""Fields that each response gets where it has none of their name, such as Strict-Transport-Security."""

from h3push.errors import LocalProtocolError
from h3push.http.fields import Fields
from h3push.http.fields.sent import response_fields
from h3push.http.headers import HeadersLike, encode_headers

_OF_ONE_RESPONSE = frozenset({b"content-length", b"content-range", b"content-encoding", b"trailer"})
"""They tell of one content, and would be wrong of any other."""


class DefaultFields:
    """The fields.

    Arguments:
        fields: name and value of each; one name may occur several times.

    Raises:
        ValueError: no response can have one of them, or not every response; the sentence names it.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: HeadersLike = ()) -> None:
        given = encode_headers(fields)
        try:
            sendable = response_fields(200, given)[1:]
        except LocalProtocolError as error:
            raise ValueError(str(error)) from None
        kept = {name for name, _ in sendable} - _OF_ONE_RESPONSE
        for name, _ in given:
            if name not in kept:
                raise ValueError(f"{name.decode('latin-1')!r} is no field that every response can have")
        self._fields: Fields = sendable

    def __bool__(self) -> bool:
        return bool(self._fields)

    def added_to(self, fields: Fields) -> Fields:
        """The fields of a response, and those of ours whose name is not there."""
        names = {name.lower() for name, _ in fields}
        return [*fields, *(field for field in self._fields if field[0] not in names)]
