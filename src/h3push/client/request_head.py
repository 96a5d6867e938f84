"""The header section of a request that is about to be sent, and the length of its content."""

from h3push.errors import LocalProtocolError
from h3push.http.arguments import check_type
from h3push.http.content import Body, known_length
from h3push.http.fields import RequestHead
from h3push.http.headers import declared_length, has_field
from h3push.http.priority import Priority

METHODS_WITH_CONTENT = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods for which Content-Length is sent even when it is 0 (RFC 9110 section 8.6)."""


def with_length(head: RequestHead, body: Body) -> RequestHead:
    """The head with the length of its content, where that is known; `LocalProtocolError` when it says another."""
    length = known_length(body)
    fields = head.fields
    if has_field(fields, b"content-length"):
        _check_length(declared_length(fields), length)
    elif length is not None and (length > 0 or head.method in METHODS_WITH_CONTENT):
        fields = [*fields, (b"content-length", b"%d" % length)]
    return head._replace(fields=fields, content_length=length)


def _check_length(declared: int | None, length: int | None) -> None:
    if declared is None:
        raise LocalProtocolError("the Content-Length of the request is no number")
    if length is not None and declared != length:
        raise LocalProtocolError(
            f"the content has {length} bytes, not the {declared} of the Content-Length that was given"
        )


def check_arguments(method: object, path: object, priority: object, authority: object) -> None:
    """Raise `TypeError` for an argument of a request that has the wrong type."""
    if type(method) is not str:
        check_type("method", method, str)
    if type(path) is not str:
        check_type("path", path, str)
    if priority is not None:
        check_type("priority", priority, Priority, type(None))
    if authority is not None:
        check_type("authority", authority, str, type(None))
