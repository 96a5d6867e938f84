"""A fetch as an HTTP archive (HAR 1.2), which the network panels of browsers open. Pushed entries have `_was_pushed` 1."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from h3push import __version__
from h3push.cli.outcome import Address, Exchange, FetchOutcome, PushRecord, Reply
from h3push.cli.output.report import text
from h3push.http.content import FileContent
from h3push.http.fields import Field

PAGE = "page_1"
"""The one page that all entries belong to."""
UNKNOWN = -1
"""HAR's word for a number that is not known."""
VERSIONS = {"3": "h3", "2": "h2", "1.1": "http/1.1", "1.0": "http/1.0"}
"""HTTP versions as Chromium writes them."""


def har(outcome: FetchOutcome) -> str:
    """Give the archive as JSON. What a push answered has the entry of the push alone: nothing was sent for it."""
    exchanges = [exchange for exchange in outcome.exchanges() if exchange.push is None]
    entries = [_requested(outcome, exchange) for exchange in exchanges]
    entries += [_pushed(outcome, push, push.promised) for push in outcome.pushes if push.promised is not None]
    entries.sort(key=lambda entry: str(entry["startedDateTime"]))
    page = {
        "startedDateTime": _instant(outcome, 0.0),
        "id": PAGE,
        "title": outcome.transfers[0].url,
        "pageTimings": {"onContentLoad": UNKNOWN, "onLoad": _milliseconds(outcome.time_total)},
    }
    creator = {"name": "h3push", "version": __version__}
    log = {"version": "1.2", "creator": creator, "pages": [page], "entries": entries}
    return json.dumps({"log": log}, ensure_ascii=False, indent=1)


def _requested(outcome: FetchOutcome, exchange: Exchange) -> dict[str, Any]:
    request, reply = exchange.request, exchange.response
    end = outcome.time_total if exchange.done is None else exchange.done
    version = VERSIONS["3" if reply is None else reply.http_version]
    told = _request(request.method, request.url, list(request.fields), version)
    size = request.content.size() if isinstance(request.content, FileContent) else UNKNOWN
    told["bodySize"] = 0 if request.content is None else getattr(request.content, "length", None) or size
    return _entry(
        outcome,
        exchange.begun,
        end,
        request=told,
        response=_response(reply, exchange.body_bytes, version),
        timings=_timings(exchange, end),
        remote=exchange.remote,
    ) | {"_was_pushed": 0}


def _pushed(outcome: FetchOutcome, push: PushRecord, promised: float) -> dict[str, Any]:
    end = outcome.time_total if push.done is None else push.done
    first = end if push.first_byte is None else push.first_byte
    initiator = outcome.exchange_of(push.initiator)
    entry = _entry(
        outcome,
        promised,
        end,
        request=_request(push.method, push.url, push.fields, VERSIONS["3"]),
        response=_response(push.response, push.body_bytes, VERSIONS["3"]),
        timings=_phases(wait=first - promised, receive=end - first),
        remote=None if initiator is None else initiator.remote,
    )
    told = {"_was_pushed": 1, "_push_id": push.push_id, "_push_state": push.state, "_push_claimed": push.claimed}
    return entry | told | {"comment": push.reason}


def _entry(
    outcome: FetchOutcome,
    start: float,
    end: float,
    *,
    request: object,
    response: object,
    timings: object,
    remote: Address | None,
) -> dict[str, Any]:
    entry = {
        "pageref": PAGE,
        "startedDateTime": _instant(outcome, start),
        "time": _milliseconds(end - start),
        "request": request,
        "response": response,
        "cache": {},
        "timings": timings,
    }
    if remote is None:
        return entry
    return entry | {"serverIPAddress": remote[0], "connection": str(remote[1])}


def _request(method: str, url: str, fields: Sequence[Field], version: str) -> dict[str, Any]:
    return {
        "method": method,
        "url": url,
        "httpVersion": version,
        "cookies": _cookies(fields, b"cookie"),
        "headers": _pairs(fields),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "headersSize": UNKNOWN,
        "bodySize": 0,
    }


def _response(response: Reply | None, body_bytes: int, version: str) -> dict[str, Any]:
    """A response; for one that never came, status 0 as browsers write it."""
    status = 0 if response is None else response.status
    fields = [] if response is None else response.headers.raw
    headers = {} if response is None else dict(response.headers)
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in set(HTTPStatus) else "",
        "httpVersion": version,
        "cookies": _cookies(fields, b"set-cookie"),
        "headers": _pairs(fields),
        "content": {"size": body_bytes, "mimeType": headers.get("content-type", "")},
        "redirectURL": headers.get("location", ""),
        "headersSize": UNKNOWN,
        "bodySize": body_bytes,
    }


def _timings(exchange: Exchange, end: float) -> dict[str, float]:
    """The phases of a request, in milliseconds; they add up to its time."""
    first = end if exchange.first_byte is None else exchange.first_byte
    wait, receive = first - exchange.started, end - first
    if exchange.connected is None:
        return _phases(blocked=exchange.started - exchange.begun, wait=wait, receive=receive)
    looked_up = exchange.begun if exchange.looked_up is None else exchange.looked_up
    return _phases(
        blocked=exchange.started - exchange.connected,
        dns=looked_up - exchange.begun,
        connect=exchange.connected - looked_up,
        wait=wait,
        receive=receive,
    )


def _phases(
    *, blocked: float | None = None, dns: float | None = None, connect: float | None = None, wait: float, receive: float
) -> dict[str, float]:
    """Phases as HAR has them, of seconds. The handshake of QUIC is that of TLS."""
    phases = {"blocked": blocked, "dns": dns, "connect": connect, "ssl": connect, "send": 0, "wait": wait}
    told = {name: UNKNOWN if phase is None else _milliseconds(phase) for name, phase in phases.items()}
    return told | {"receive": _milliseconds(receive)}


def _cookies(fields: Sequence[Field], name: bytes) -> list[dict[str, str]]:
    found = []
    for field, value in fields:
        if field == name:
            try:
                cookies = SimpleCookie(text(value))
            except CookieError:
                continue
            found += [{"name": cookie.key, "value": cookie.value} for cookie in cookies.values()]
    return found


def _pairs(fields: Sequence[Field]) -> list[dict[str, str]]:
    return [{"name": text(name), "value": text(value)} for name, value in fields]


def _instant(outcome: FetchOutcome, seconds: float) -> str:
    return datetime.fromtimestamp(outcome.started_at + seconds, UTC).isoformat(timespec="microseconds")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
