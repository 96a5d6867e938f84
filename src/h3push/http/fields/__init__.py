"""Header and trailer sections (RFC 9114 sections 4.2 and 4.3): parsed once, then trusted.

Theory of operation
===================

A field section is a list of name and value pairs, pseudo-header fields first. `parse_request`, `parse_response` and
`parse_trailers` take what the QPACK decoder gave and either return something that no later code has to doubt, or raise
`H3StreamError` with H3_MESSAGE_ERROR and one sentence. `request_fields` and `response_fields` go the other way and hold our
own callers to the same rules, with `LocalProtocolError`.

`rules` has what holds in both directions, `received` parses, `sent` makes what we send.
"""

from h3push.http.fields.received import parse_promised_request, parse_request, parse_response, parse_trailers
from h3push.http.fields.rules import (
    CONNECTION_SPECIFIC,
    FIELD_OVERHEAD,
    MAX_CONTENT_LENGTH,
    NOT_IN_TRAILERS,
    SECRET_NAMES,
    Field,
    Fields,
    RequestHead,
    ResponseHead,
    holds_secret,
    is_secret,
    section_size,
)
from h3push.http.fields.sent import request_fields, response_fields, trailer_fields

__all__ = [
    "CONNECTION_SPECIFIC",
    "FIELD_OVERHEAD",
    "MAX_CONTENT_LENGTH",
    "NOT_IN_TRAILERS",
    "SECRET_NAMES",
    "Field",
    "Fields",
    "RequestHead",
    "ResponseHead",
    "holds_secret",
    "is_secret",
    "parse_promised_request",
    "parse_request",
    "parse_response",
    "parse_trailers",
    "request_fields",
    "response_fields",
    "section_size",
    "trailer_fields",
]
