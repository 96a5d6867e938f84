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
from urllib.parse import quote

from h3push.http.fields import Field
from h3push.http.url import origin_of, resolve, target_of


class Moment(Enum):
    """How far the page's response has come."""

    BEFORE = "before the response"
    """Interim responses may still go out."""
    START = "with the header section"
    """The final header section is about to be sent."""
    STARTED = "after the header section"
    """Content is being sent."""


class Way(Enum):
    """How a resource reaches the client."""

    PUSH = "pushed"
    """Promised, and sent."""
    EARLY_HINT = "hinted"
    """Named in a 103 response (RFC 8297)."""
    LINK = "linked"
    """Named in a Link field of the final response."""
    NONE = "left out"
    """Not at all; the client finds it by itself."""


class WhyNot(Enum):
    """Why a resource was not pushed. None of these is an error."""

    NOT_AGREED = "the client takes no pushes"
    """It sent no MAX_PUSH_ID, or this server has pushes turned off."""
    SAVE_DATA = "the client saves data (Save-Data: on)"
    """RFC 8674's client hint: bytes that were not asked for are unwelcome."""
    PUSH_POLICY = "the client wants no pushes for this request (Accept-Push-Policy)"
    """draft-ruellan-http-accept-push-policy: `none`; `head` too, for we have no bodiless push."""
    HAS_IT = "the client has it from this connection"
    """Pushed, served, or named with a validator, and fresh."""
    NO_CREDIT = "the client gives no credit for a further push"
    """Push IDs or push streams are used up."""
    LIMIT = "the request has caused as many pushes as it may"
    """A bound of the server's settings."""
    GOING_AWAY = "the connection ends"
    """GOAWAY was sent or received."""
    TOO_LATE = "the response has ended"
    """A promise travels on the response that it goes with."""
    RELATIVE = "a path to push begins with a slash"
    """What a relative path means depends on a base, and applications and browsers differ in theirs."""
    FOREIGN = "it lies on another origin"
    """Only what the request's own origin serves may be pushed."""
    INVALID = "the path or a field holds what may not stand there"
    """Control characters, line breaks, an unknown method: nothing of it is sent."""
    VALIDATOR = "the promised request would name a validator"
    """Its answer would be 304, of use only to who has the thing."""


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

WORTH_A_HINT = frozenset(
    {
        WhyNot.NOT_AGREED,
        WhyNot.SAVE_DATA,
        WhyNot.PUSH_POLICY,
        WhyNot.NO_CREDIT,
        WhyNot.LIMIT,
    }
)
"""What was not pushed for one of these reasons is hinted at; the client decides."""


_SEPARATORS = re.compile(r"[\s,;]+")
_POLICIES_WITHOUT_PUSH = frozenset({"none", "head"})


def refused_by_request(fields: Sequence[Field]) -> WhyNot | None:
    """Whether a request's own fields ask for no pushes: `Save-Data`, `Accept-Push-Policy`."""
    named = dict(fields)
    if b"save-data" not in named and b"accept-push-policy" not in named:
        return None
    for name, value in fields:
        if name == b"save-data" and "on" in _words(value):
            return WhyNot.SAVE_DATA
        if name == b"accept-push-policy" and not _POLICIES_WITHOUT_PUSH.isdisjoint(_words(value)):
            return WhyNot.PUSH_POLICY
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
"""What a promised request cannot have: content, trailers, or a connection of its own (RFC 9114 sections 4.2 and 4.6)."""


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


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NOTHING_TO_DO = re.compile(r"/(?:[\w~-][\w.~-]*/)*(?:[\w~-][\w.~-]*)?(?:\?[\w.~=&-]+)?", re.ASCII)
"""Paths without dot segments whose characters all stand for themselves: nearly all of them."""


def target_to_push(path: object, page_url: str) -> str | WhyNot:
    """The `:path` that an application's path means, percent-encoded, or why it is not pushed. Never raises.

    Characters become percent-encoded UTF-8; what is encoded already stays, a `%` that encodes nothing becomes `%25`; a query
    may follow, a fragment is dropped; `.` and `..` are resolved as every client does. A whole URL of the page's own origin is
    as good as its path.
    """
    if not isinstance(path, str) or not path or _CONTROL.search(path):
        return WhyNot.INVALID
    if _NOTHING_TO_DO.fullmatch(path):
        return path
    if not path.startswith("/") and not _SCHEME.match(path):
        return WhyNot.RELATIVE
    url = resolve(page_url, _encoded(path))
    if url is None:
        return WhyNot.FOREIGN
    return target_of(url) if origin_of(url) == origin_of(page_url) else WhyNot.FOREIGN


def _encoded(path: str) -> str:
    return quote(_BARE_PERCENT.sub("%25", path), safe="!#$%&'()*+,-./:;=?@[\\]^_`{|}~")
