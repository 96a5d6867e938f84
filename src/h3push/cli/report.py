"""What `h3push get` tells about a fetch: verbose lines and the JSON object."""

import json
from collections.abc import Iterable
from typing import Any

from h3push.cli.fetch import Fetched, PushRecord
from h3push.http.fields import Fields


def to_json(url: str, fetched: Fetched) -> str:
    """Give the fetch as one JSON object."""
    response = fetched.response
    document: dict[str, Any] = {
        "url": url,
        "status": response.status,
        "http_version": response.http_version,
        "headers": [[text(name), text(value)] for name, value in response.headers.raw],
        "body_bytes": fetched.body_bytes,
        "time_total": round(fetched.time_total, 6),
        "pushes": [_push_to_json(push) for push in fetched.pushes],
    }
    return json.dumps(document, ensure_ascii=False)


def _push_to_json(push: PushRecord) -> dict[str, Any]:
    return {
        "push_id": push.push_id,
        "url": push.url,
        "method": push.method,
        "status": push.status,
        "body_bytes": push.body_bytes,
        "body_sha256": push.body_sha256,
        "state": push.state,
    }


def head_lines(status: int, fields: Fields) -> list[str]:
    """Give a response's header section as curl shows it."""
    return [f"HTTP/3 {status}", *(f"{text(name)}: {text(value)}" for name, value in fields)]


def push_lines(pushes: Iterable[PushRecord]) -> list[str]:
    """Give a table with a line for each push; at the end of the line, why it was not fulfilled."""
    lines = [f"{'push':>4}  {'status':>6}  {'bytes':>11}  {'promised':>10}  {'done':>10}  {'state':<9}  URL"]
    for push in pushes:
        status = "-" if push.status is None else str(push.status)
        done = "-" if push.done is None else f"{push.done:.4f} s"
        line = f"{push.push_id:>4}  {status:>6}  {push.body_bytes:>11}  {push.promised:>8.4f} s  {done:>10}"
        line += f"  {push.state:<9}  {push.url}"
        lines.append(f"{line}  ({push.reason})" if push.reason else line)
    return lines


def text(value: bytes) -> str:
    """Field bytes as text in which nothing can drive a terminal: UTF-8 where it is that, controls escaped."""
    decoded = value.decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() or character == "\t" else repr(character)[1:-1] for character in decoded
    )
