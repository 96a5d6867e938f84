"""Header and trailer sections that we send. Our callers are held to the rules of any peer."""

from collections.abc import Sequence

from h3push.errors import H3StreamError, LocalProtocolError
from h3push.http.fields.received import parse_request, parse_response
from h3push.http.fields.rules import (
    CONNECTION_SPECIFIC,
    MAX_STATUS,
    NEVER_IN_RESPONSES,
    NOT_IN_TRAILERS,
    REQUEST_RULES,
    RESPONSE_RULES,
    STATUSES,
    Field,
    Fields,
    RequestHead,
    are_good_values,
    show,
    verified_names,
)

_STATUS_FIELDS = {status: (b":status", text) for text, status in STATUSES.items() if status <= MAX_STATUS}


def request_fields(head: RequestHead) -> Fields:
    """Header section for a request, or for a promise: pseudo-header fields first, then `head.fields`.

    Names are put in lower case, blanks around values and fields that only HTTP/1.1 has are taken off. A Host field is
    left out where `head.authority` says the same (RFC 9114 section 4.3.1). `head.content_length` is not looked at: the
    Content-Length field counts.

    Raises:
        LocalProtocolError: a receiver would have to treat the result as malformed; the sentence says why.
    """
    pseudo = (
        (b":method", head.method),
        (b":protocol", head.protocol),
        (b":scheme", head.scheme),
        (b":authority", head.authority),
        (b":path", head.path),
    )
    section = [(name, value) for name, value in pseudo if value is not None]
    regular = _presentable(head.fields, REQUEST_RULES)
    if head.authority is not None:
        regular = [field for field in regular if field != (b"host", head.authority)]
    section += regular
    try:
        parse_request(section, connect_protocol=head.protocol is not None)
    except H3StreamError as error:
        raise LocalProtocolError(f"the request cannot be sent: {error.reason}") from None
    return section


def response_fields(status: int, fields: Fields) -> Fields:
    """Header section for a response: `:status` first, then `fields`.

    Names are put in lower case, blanks around values and fields that only HTTP/1.1 has are taken off, and so is
    Content-Length from an interim response and a 204 (RFC 9110 section 8.6).

    Raises:
        LocalProtocolError: a receiver would have to treat the result as malformed; the sentence says why.
    """
    status_field = _STATUS_FIELDS.get(status)
    if status_field is None:
        raise LocalProtocolError(f"{status} is not a status that HTTP/3 can carry")
    return [status_field, *_sendable(fields, no_content_length=status < 200 or status == 204)]


def trailer_fields(fields: Fields) -> Fields:
    """Trailer section: `fields` with names in lower case and without what only HTTP/1.1 has.

    Raises:
        LocalProtocolError: a receiver would have to treat the result as malformed, or would ignore a field
            (`NOT_IN_TRAILERS`).
    """
    sendable = _sendable(fields)
    for name, _ in sendable:
        if name in NOT_IN_TRAILERS:
            raise LocalProtocolError(f"{show(name)} cannot be sent as a trailer field: receivers ignore it there")
    return sendable


def _sendable(fields: Fields, *, no_content_length: bool = False) -> Fields:
    """Fields of a response as they may be sent."""
    if not fields:
        return fields
    names, values = zip(*fields, strict=True)
    if (
        verified_names.issuperset(names)
        and are_good_values(values)
        and NEVER_IN_RESPONSES.isdisjoint(names)
        and (b"content-length" not in names or (not no_content_length and _is_one_length(names, values)))
    ):
        return fields
    fields = _presentable(fields, RESPONSE_RULES)
    if no_content_length:
        fields = [field for field in fields if field[0] != b"content-length"]
    try:
        return parse_response([_STATUS_FIELDS[200], *fields]).fields
    except H3StreamError as error:
        raise LocalProtocolError(f"the fields cannot be sent: {error.reason}") from None


def _is_one_length(names: tuple[bytes, ...], values: tuple[bytes, ...]) -> bool:
    value = values[names.index(b"content-length")]
    return names.count(b"content-length") == 1 and value.isdigit() and len(value) < 19


def _presentable(fields: Sequence[Field], rules: frozenset[bytes]) -> Fields:
    """Lower-case names, stripped values, and without what speaks about an HTTP/1.1 connection (RFC 9110 section 7.6.1)."""
    presentable = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    if rules.isdisjoint(name for name, _ in presentable):
        return presentable
    dropped = set(CONNECTION_SPECIFIC)
    for name, value in presentable:
        if name == b"connection":
            dropped.update(option.strip(b" \t").lower() for option in value.split(b","))
        elif name == b"te" and (rules is RESPONSE_RULES or value.lower() != b"trailers"):
            dropped.add(name)
    return [field for field in presentable if field[0] not in dropped]
