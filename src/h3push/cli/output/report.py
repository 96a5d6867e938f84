"""A fetch in words: verbose lines, and the JSON object."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from h3push.cli.failures import CommandFailed, ExitCode
from h3push.cli.outcome import Fetched, FetchOutcome, PushRecord, Reply
from h3push.http.fields import Field
from h3push.http.headers import Headers


def to_json(fetched: Fetched, failure: CommandFailed | None) -> str:
    """Give the fetch as one JSON object; with `error` when it failed."""
    document: dict[str, Any] = {"url": fetched.url if fetched.last is None else fetched.last.request.url}
    if fetched.response is not None:
        document |= _response_to_json(fetched.response)
    document |= {
        "body_bytes": 0 if fetched.last is None else fetched.last.body_bytes,
        "time_total": round(fetched.time_total - fetched.started, 6),
        "pushed": fetched.last is not None and fetched.last.push is not None,
        "pushes": [_push_to_json(push) for push in fetched.outcome.pushes_with(fetched)],
        "push_counts": dict(fetched.outcome.push_counts()),
    }
    if fetched.assets:
        document["assets"] = [_asset_to_json(asset) for asset in fetched.assets]
    if failure is not None:
        document["error"] = error_to_json(failure)
    return json.dumps(document, ensure_ascii=False)


def _asset_to_json(asset: Fetched) -> dict[str, Any]:
    last = asset.last
    return {
        "url": asset.url,
        "status": None if last is None or last.response is None else last.response.status,
        "body_bytes": 0 if last is None else last.body_bytes,
        "pushed": last is not None and last.push is not None,
        "error": asset.error or None,
    }


def asset_lines(outcome: FetchOutcome) -> list[str]:
    """Give a sentence about the pages that were loaded as a whole; before it a line for each asset that did not come."""
    lines = [f"* {asset.url}: {asset.error}" for page in outcome.transfers for asset in page.assets if asset.error]
    everything = [fetched.last for fetched in outcome.everything() if fetched.last is not None and not fetched.error]
    size = sum(exchange.body_bytes for exchange in everything)
    claimed = sum(exchange.push is not None for exchange in everything)
    wasted = [push for push in outcome.pushes if not push.claimed]
    told = f"{len(everything)} responses, {size:,} bytes in {outcome.time_total * 1000:.1f} ms"
    told += f": {len(everything) - claimed} asked for, {claimed} pushed"
    told += f"; {len(wasted)} pushes unclaimed ({sum(push.body_bytes for push in wasted):,} bytes wasted)"
    left_out = sum(page.left_out for page in outcome.transfers)
    more = [f"* {left_out} more were not loaded: they are too many"] if left_out else []
    return [*lines, f"* {told}; {len(lines)} failed", *more]


def error_to_json(failure: CommandFailed) -> dict[str, Any]:
    """Give a failure for programs: `kind` is a word of `ExitCode`."""
    kind = ExitCode(failure.exit_code).name.lower()
    return {"kind": kind, "message": failure.message, "exit_code": int(failure.exit_code)}


def _response_to_json(response: Reply) -> dict[str, Any]:
    interim = [{"status": status, "headers": _fields_to_json(headers)} for status, headers in response.informational]
    return {
        "status": response.status,
        "http_version": response.http_version,
        "headers": _fields_to_json(response.headers),
        "informational": interim,
    }


def _fields_to_json(headers: Headers) -> list[list[str]]:
    return [[text(name), text(value)] for name, value in headers.raw]


def _push_to_json(push: PushRecord) -> dict[str, Any]:
    return {
        "push_id": push.push_id,
        "url": push.url or None,
        "method": push.method or None,
        "status": push.status,
        "body_bytes": push.body_bytes,
        "body_sha256": push.body_sha256,
        "state": push.state,
        "claimed": push.claimed,
        "reason": push.reason or None,
    }


def head_lines(http_version: str, status: int, fields: Sequence[Field]) -> list[str]:
    """Give a response's header section as curl shows it: a space stands behind the status, where HTTP/1.1 has its reason."""
    return [f"HTTP/{http_version} {status} ", *(f"{text(name)}: {text(value)}" for name, value in fields)]


def response_heads(response: Reply) -> list[list[str]]:
    """Give the header sections in the order in which they came: 103 and its kin, then the final one."""
    sections = [*response.informational, (response.status, response.headers)]
    return [head_lines(response.http_version, status, headers.raw) for status, headers in sections]


def push_lines(outcome: FetchOutcome) -> list[str]:
    """Give a table with a line for each push, and at the end of a line why it was not fulfilled; then the counts."""
    counts = outcome.mark_counts()
    if not counts:
        return ["* nothing was pushed"]
    summary = ", ".join(f"{count} {mark}" for mark, count in sorted(counts.items()))
    unrecorded = outcome.unrecorded.total()
    more = [f"* {unrecorded} of them are not in the table: they are too many"] if unrecorded else []
    return [*_table(outcome.pushes), f"* {counts.total()} promised: {summary}", *more]


def _table(pushes: Iterable[PushRecord]) -> list[str]:
    lines = [f"{'push':>4}  {'status':>6}  {'bytes':>11}  {'promised':>10}  {'done':>10}  {'state':<9}  URL"]
    for push in pushes:
        status = "-" if push.status is None else str(push.status)
        promised, done = (f"{instant:.4f} s" if instant is not None else "-" for instant in (push.promised, push.done))
        line = f"{push.push_id:>4}  {status:>6}  {push.body_bytes:>11}  {promised:>10}  {done:>10}"
        line += f"  {push.mark:<9}  {push.url or 'no request came'}"
        lines.append(f"{line}  ({push.reason})" if push.reason else line)
    return lines


def text(value: bytes) -> str:
    """Field bytes as text in which nothing can drive a terminal: decoded where they are UTF-8, controls escaped."""
    decoded = value.decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() or character == "\t" else repr(character)[1:-1] for character in decoded
    )
