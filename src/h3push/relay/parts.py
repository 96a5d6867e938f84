"""Parts of what the cache has whole (RFC 9110 section 14): a download that goes on, a film that is wound forward.

A part is cut here only where it cannot be one of another version than the asker has. An `If-Range` with a date, and every other
condition, goes to the origin. Where the content is coded, so does a request without `If-Range`: its asker may have the other
parts of another coding.
"""

from h3push.client.answer import Answer
from h3push.client.stored import streamed
from h3push.files.conditional import Validators, select
from h3push.http.fields import RequestHead
from h3push.http.headers import Headers, has_field
from h3push.http.semantics import PRECONDITION_FIELDS

_ANSWERED_HERE = frozenset({b"if-range"})
_OF_THE_WHOLE = frozenset({b"content-length", b"content-range"})


def of_the_whole(head: RequestHead) -> RequestHead | None:
    """The request for all of what a request wants a part of; `None` when it wants no part, or has to go to the origin."""
    names = {name for name, _ in head.fields}
    if head.method != b"GET" or b"range" not in names or not names & PRECONDITION_FIELDS <= _ANSWERED_HERE:
        return None
    return head._replace(
        fields=[one for one in head.fields if one[0] != b"range" and one[0] not in PRECONDITION_FIELDS]
    )


async def part_of(head: RequestHead, whole: Answer) -> Answer | None:
    """The answer to a request for a part, from the whole: 206, or 200 where all of it is due; `None`: ask the origin."""
    asked, has = Headers.wrap(list(head.fields)), whole.headers
    condition, tag = asked.get("if-range"), has.get("etag") or ""
    if whole.status != 200 or (condition is None and has_field(whole.fields, b"content-encoding")):
        await whole.close()
        return None
    if condition is not None and '"' not in condition:
        await whole.close()
        return None
    content = await whole.read()
    wanted = {"range": asked["range"]} if condition is None else {"range": asked["range"], "if-range": condition}
    chosen = select("GET", wanted, Validators("" if tag.startswith("W/") else tag, 0), len(content))
    if chosen.status == 416:
        return None
    fields = [one for one in whole.fields if one[0] not in _OF_THE_WHOLE]
    fields.append((b"content-length", b"%d" % chosen.length))
    last = chosen.offset + chosen.length - 1
    if chosen.status == 206:
        fields.append((b"content-range", b"bytes %d-%d/%d" % (chosen.offset, last, len(content))))
    part = content[chosen.offset : last + 1]
    return Answer(chosen.status, fields, whole.source, None, streamed(part))
