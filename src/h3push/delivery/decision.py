"""Push, 103 or Link field: how what goes with a page reaches one client. Pure decisions; nothing here sends.

                      │ before the response     with its header section   after it
    ──────────────────┼─────────────────────────────────────────────────────────────
    agreed to pushes  │ push                    push                      push
    did not           │ 103 Early Hints         Link field                nothing

"Agreed" means: it sent MAX_PUSH_ID, and neither `Save-Data: on` nor `Accept-Push-Policy: none` is on the request. Hints go to
those who asked for no pushes, too: a push spends their bytes, a hint leaves the choice with them. What a client agreed to
and has no credit for takes the second row, so that it is at least told.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from h3push.h3.push.rules import NO_CREDIT, NOT_AGREED, PushRefusal
from h3push.http.fields import Field
from h3push.http.url import has_control_characters, origin_of, resolve_push_path


class Moment(Enum):
    """Progress of the page's response."""

    BEFORE = "before the response"
    """Interim responses may still go out."""
    START = "with the header section"
    """The final header section is about to be sent."""
    STARTED = "after the header section"
    """Content is being sent."""


class Way(Enum):
    """A way for a resource to reach the client."""

    PUSH = "pushed"
    """Promised, and sent."""
    EARLY_HINT = "hinted"
    """Named in a 103 response (RFC 8297)."""
    LINK = "linked"
    """Named in a Link field of the final response."""
    NONE = "left out"
    """Not at all; the client finds it by itself."""


AGREED = True
"""Row of the table above."""

DELIVERY: Mapping[tuple[bool, Moment], Way] = MappingProxyType(
    {
        (AGREED, Moment.BEFORE): Way.PUSH,
        (AGREED, Moment.START): Way.PUSH,
        (AGREED, Moment.STARTED): Way.PUSH,
        (not AGREED, Moment.BEFORE): Way.EARLY_HINT,
        (not AGREED, Moment.START): Way.LINK,
        (not AGREED, Moment.STARTED): Way.NONE,
    }
)
"""(whether the client takes pushes for this request, moment) -> way."""

WORTH_A_HINT = NOT_AGREED | NO_CREDIT | {PushRefusal.SAVE_DATA, PushRefusal.PUSH_POLICY, PushRefusal.LIMIT}
"""Refusals after which a resource is hinted at instead; the client decides."""


_SEPARATORS = re.compile(r"[\s,;]+")
_POLICIES_WITHOUT_PUSH = frozenset({"none", "head"})


def refused_by_request(fields: Sequence[Field]) -> PushRefusal | None:
    """The refusal that a request's own fields ask for, if any: `Save-Data`, `Accept-Push-Policy`."""
    for name, value in fields:
        if name == b"save-data" and "on" in _words(value):
            return PushRefusal.SAVE_DATA
        if name == b"accept-push-policy" and not _POLICIES_WITHOUT_PUSH.isdisjoint(_words(value)):
            return PushRefusal.PUSH_POLICY
    return None


def _words(value: bytes) -> list[str]:
    return _SEPARATORS.split(value.decode("latin-1").lower().replace('"', "").strip())


COPIED_FIELDS = (b"accept", b"accept-encoding", b"accept-language", b"user-agent")
"""Fields of the page's request that a promised request has as well: a client would send the same ones, and what varies by
them must fit. Nothing else is copied: `cookie` and `authorization` in a promise are secrets repeated, `referer` is a guess."""

CREDENTIALS = (b"cookie", b"authorization")
"""Fields that are copied only when the application says so."""

_NEVER_PROMISED = frozenset(
    b"connection content-encoding content-length content-type expect host keep-alive proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
"""Fields of content, trailers or a connection, which a promised request has none of (RFC 9114 sections 4.2 and 4.6)."""


def promised_fields(of_page: Iterable[Field], given: Iterable[Field], *, credentials: bool = False) -> list[Field]:
    """The fields of a promised request: those a client would repeat, and what the source of the push gave.

    A given field replaces the page's one of the same name. Pseudo-fields and fields of the connection are left out.
    """
    own = [
        (name.lower(), value)
        for name, value in given
        if not name.startswith(b":") and name.lower() not in _NEVER_PROMISED
    ]
    named = {name for name, _ in own}
    copied = (*COPIED_FIELDS, *CREDENTIALS) if credentials else COPIED_FIELDS
    return [(name, value) for name, value in of_page if name in copied and name not in named] + own


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def target_to_push(path: object, page_url: str) -> str | PushRefusal:
    """The `:path` that an application's path means, percent-encoded, or why it is not pushed. Never raises.

    It means what `resolve_push_path` says, but a relative path and a URL of another origin are refused. A whole URL of the page's
    own origin is as good as its path.
    """
    if not isinstance(path, str) or not path or has_control_characters(path):
        return PushRefusal.MALFORMED
    if not path.startswith("/") and not _SCHEME.match(path):
        return PushRefusal.RELATIVE
    try:
        target, authority = resolve_push_path("/", path)
    except ValueError:
        return PushRefusal.AUTHORITY
    is_own = authority is None or origin_of(f"https://{authority}") == origin_of(page_url)
    return target if is_own else PushRefusal.AUTHORITY
