"""When a pushed response answers a request: the rules of a claim, without a connection and without a clock.

A pushed response is a cache entry that arrived early (RFC 9114 section 4.6). A request claims it when method and URL are the same
and nothing that the response depends on differs. The rules are those of RFC 9111 section 4, with two differences that push needs:

* *No test of freshness.* The server generated the response a moment ago, for this client. Revalidating it would undo the push.
* *Promises say little.* Most servers promise a request with no fields at all. So a field that the promise leaves out does not
  rule a claim out by itself: content negotiation is checked against the response that came, and credentials against the
  request that the promise came with.

Whatever could hand one person's answer to another rules a claim out: that costs one request, the opposite costs trust.
"""

from collections.abc import Iterable
from enum import Enum

from h3push.http.fields import Field, RequestHead, ResponseHead
from h3push.http.semantics import PRECONDITION_FIELDS, SAFE_METHODS
from h3push.http.url import plain_authority, plain_target


class Mismatch(Enum):
    """Why a pushed response does not answer a request."""

    TARGET = "another method or URL"
    """RFC 9111 section 4: the primary key of a stored response."""
    RANGE = "the request asks for a part"
    """A range of one representation must not be cut from another (RFC 9110 section 14.2)."""
    CONDITIONAL = "the request is conditional"
    """Whoever names a validator has a copy and wants to know whether it is good."""
    RELOAD = "the request wants an answer from the server (Cache-Control)"
    """`no-cache` or `no-store` on the request, or a `max-age` that the response is older than (RFC 9111 section 5.2.1)."""
    AUTHORIZATION = "other credentials (Authorization)"
    """The response may have been made for somebody else."""
    COOKIE = "other cookies"
    """The response may have been made for somebody else."""
    VARY = "the response varies on a field that differs"
    """RFC 9111 section 4.1."""
    CODING = "the request does not accept the response's content coding"
    """RFC 9110 section 12.5.3."""
    STATUS = "the response answers a condition or a range, or says that the server cannot answer"
    """The request has neither; its own answer may be another."""


_CREDENTIALS = {b"authorization": Mismatch.AUTHORIZATION, b"cookie": Mismatch.COOKIE}
_ACCEPT_ENCODING = b"accept-encoding"
_ANYTHING = {b"accept": b"*/*", b"accept-language": b"*"}
"""Values that mean the same as leaving the field out (RFC 9110 sections 12.5.1 and 12.5.4)."""
_IDENTITY = frozenset({b"", b"identity"})
_OF_THE_PROMISE_ALONE = frozenset({206, 304, 412, 416, 421, 425})
"""Statuses that mean something only with the fields of the promised request, or on its connection (RFC 9110 section 15)."""


def why_not_promised(
    request: RequestHead, promised: RequestHead, initiator: RequestHead, *, age: float | None = None
) -> Mismatch | None:
    """Why a push does not answer `request`, as far as its promise tells; `None` when it may.

    Args:
        request: what is about to be asked for.
        promised: the request of PUSH_PROMISE.
        initiator: the request on whose stream the promise came.
        age: seconds for which the push may have been out of date: 0 while it is under way, for its server has the last word
            until then (RFC 9113 section 8.4 says that of HTTP/2's). `None` for a stored answer, whose age others judge.
    """
    if key_of(request) != key_of(promised):
        return Mismatch.TARGET
    asked = _by_name(request.fields)
    if b"range" in asked:
        return Mismatch.RANGE
    if not PRECONDITION_FIELDS.isdisjoint(asked):
        return Mismatch.CONDITIONAL
    if _wants_reload(asked, age):
        return Mismatch.RELOAD
    return _other_credentials(asked, _by_name(promised.fields), _by_name(initiator.fields))


def why_not_response(request: RequestHead, promised: RequestHead, response: ResponseHead) -> Mismatch | None:
    """Why a pushed response does not answer `request`, of which `why_not_promised` found nothing wrong; `None` when it does."""
    if response.status in _OF_THE_PROMISE_ALONE:
        return Mismatch.STATUS
    asked, offered, answered = _by_name(request.fields), _by_name(promised.fields), _by_name(response.fields)
    varies = _list(answered.get(b"vary", b""))
    if b"*" in varies:
        return Mismatch.VARY
    is_private = any(part.partition(b"=")[0] == b"private" for part in _list(answered.get(b"cache-control", b"")))
    for name, mismatch in _CREDENTIALS.items():
        if (is_private or name in varies) and asked.get(name) != offered.get(name):
            return mismatch
    coding = answered.get(b"content-encoding", b"").lower()
    if not _accepts(asked.get(_ACCEPT_ENCODING), coding):
        return Mismatch.CODING
    for name in varies:
        if name != _ACCEPT_ENCODING and name not in _CREDENTIALS and not _selects_the_same(name, asked, offered):
            return Mismatch.VARY
    return None


def why_not_another(request: RequestHead, initiator: RequestHead, response: ResponseHead) -> Mismatch | None:
    """Why a response that came for one person does not answer the request of another, in a cache that several share.

    An answer to a request with cookies, or to one that is not safe (a login), may tell of the person who sent it, whatever its
    own fields forget to say. It goes to whoever sends the same cookies; to others only if it says that it is for all (`public`,
    `s-maxage`: RFC 9111 sections 5.2.2.9 and 5.2.2.10). One with `Set-Cookie` goes to nobody else.

    Args:
        request: what is about to be asked for.
        initiator: the request that the response answers, or that the promise came with.
        response: its head.
    """
    theirs, ours = _cookies(initiator), _cookies(request)
    is_theirs = initiator.method not in SAFE_METHODS or not theirs <= ours
    answered = _by_name(response.fields)
    directives = {part.partition(b"=")[0] for part in _list(answered.get(b"cache-control"))}
    if is_theirs and directives.isdisjoint(_FOR_ALL):
        return Mismatch.COOKIE
    if b"set-cookie" in answered and theirs != ours:
        return Mismatch.COOKIE
    return None


def made_for(request: RequestHead, initiator: RequestHead) -> RequestHead:
    """A request that claimed a push, with the cookies of the one that the server made the push for."""
    fields = [field for field in request.fields if field[0] != b"cookie"]
    return request._replace(fields=[*fields, *(field for field in initiator.fields if field[0] == b"cookie")])


_FOR_ALL = frozenset({b"public", b"s-maxage"})


def _cookies(head: RequestHead) -> frozenset[bytes]:
    """The cookies of a request, each with its value."""
    return frozenset(
        pair for name, value in head.fields if name == b"cookie" for one in value.split(b";") if (pair := one.strip())
    )


def _other_credentials(
    asked: dict[bytes, bytes], offered: dict[bytes, bytes], initiating: dict[bytes, bytes]
) -> Mismatch | None:
    """A credential that the promise carries has to be the request's own.

    An Authorization that the promise leaves out has to be that of the request it came with: the server pushed for whoever
    sent it. Cookies are not held to that, because they change from one response to the next; what depends on them says so
    (`Vary`, `private`).
    """
    if asked.get(b"authorization") != offered.get(b"authorization", initiating.get(b"authorization")):
        return Mismatch.AUTHORIZATION
    if b"cookie" in offered and asked.get(b"cookie") != offered[b"cookie"]:
        return Mismatch.COOKIE
    return None


def _wants_reload(asked: dict[bytes, bytes], age: float | None) -> bool:
    directives = _list(asked.get(b"cache-control", b""))
    if not directives:
        return b"no-cache" in _list(asked.get(b"pragma", b""))  # RFC 9111 section 5.4
    if not {b"no-cache", b"no-store"}.isdisjoint(directives):
        return True
    if age is None:
        return b"max-age=0" in directives
    limits = [one.partition(b"=")[2].strip(b'"') for one in directives if one.startswith(b"max-age=")]
    return any(not limit.isdigit() or age > int(limit[:9]) for limit in limits)


def _selects_the_same(name: bytes, asked: dict[bytes, bytes], offered: dict[bytes, bytes]) -> bool:
    nothing = _ANYTHING.get(name)
    return _list(asked.get(name, nothing)) == _list(offered.get(name, nothing))


def _accepts(accepted: bytes | None, coding: bytes) -> bool:
    """True when Accept-Encoding allows a content coding (RFC 9110 section 12.5.3); a missing field allows all of them."""
    if accepted is None:
        return True
    weights = dict(_weighted(accepted))
    codings = [one.strip() for one in coding.split(b",") if one.strip() not in _IDENTITY]
    if not codings:
        return weights.get(b"identity", b"") != b"0" and (b"identity" in weights or weights.get(b"*", b"") != b"0")
    return all(weights.get(one, weights.get(b"*", b"0")) != b"0" for one in codings)


def _weighted(value: bytes) -> Iterable[tuple[bytes, bytes]]:
    """(coding, weight) of an Accept-Encoding value; a weight of zero, however it is written, is `0`."""
    for part in _list(value):
        name, _, parameter = part.partition(b";")
        weight = parameter.replace(b" ", b"").removeprefix(b"q=") if parameter else b"1"
        yield name.strip(), b"0" if not weight.strip(b"0.") else weight


def _list(value: bytes | None) -> list[bytes]:
    """The members of a comma-separated value, in lower case and without blanks around them."""
    return [part for one in (value or b"").lower().split(b",") if (part := one.strip())]


def _by_name(fields: Iterable[Field]) -> dict[bytes, bytes]:
    """Fields by name, several lines of one joined (RFC 9110 section 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        found[name] = found[name] + b", " + value if name in found else value
    return found


Key = tuple[bytes, bytes, bytes, bytes]
"""Method, scheme, authority and target, each in the form in which it is compared."""


def key_of(head: RequestHead) -> Key:
    """The key that a request and the promise that answers it share (RFC 9111 section 4)."""
    return head.method, head.scheme or b"", plain_authority(head.authority or b""), plain_target(head.path or b"")


def credentials_of(head: RequestHead) -> tuple[bytes | None, bytes | None]:
    """Authorization and Cookie of a request."""
    fields = _by_name(head.fields)
    return fields.get(b"authorization"), fields.get(b"cookie")
