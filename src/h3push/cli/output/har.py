"""A fetch as an HTTP archive (HAR 1.2), which the network panels of browsers open. Pushed entries have `_was_pushed` 1."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from h3push import __version__
from h3push.cli.fetch import Exchange, Fetched
from h3push.cli.output.report import text
from h3push.cli.pushes import PushRecord
from h3push.client.response import ClientResponse
from h3push.http.content import FileContent
from h3push.http.fields import Field

PAGE = "page_1"
"""The one page that all entries belong to."""
UNKNOWN = -1
"""HAR's word for a number that is not known."""
HTTP_VERSION = "h3"
"""As Chromium writes it."""


def har(fetched: Fetched) -> str:
    """Give the archive as JSON."""
    entries = [_requested(fetched, exchange) for exchange in fetched.exchanges]
    entries += [_pushed(fetched, push, push.promised) for push in fetched.pushes if push.promised is not None]
    entries.sort(key=lambda entry: str(entry["startedDateTime"]))
    page = {
        "startedDateTime": _instant(fetched, 0.0),
        "id": PAGE,
        "title": fetched.url,
        "pageTimings": {"onContentLoad": UNKNOWN, "onLoad": _milliseconds(fetched.time_total)},
    }
    creator = {"name": "h3push", "version": __version__}
    log = {"version": "1.2", "creator": creator, "pages": [page], "entries": entries}
    return json.dumps({"log": log}, ensure_ascii=False, indent=1)


def _requested(fetched: Fetched, exchange: Exchange) -> dict[str, Any]:
    request = exchange.request
    end = fetched.time_total if exchange.done is None else exchange.done
    told = _request(request.method, request.url, list(request.fields))
    size = request.content.size() if isinstance(request.content, FileContent) else UNKNOWN
    told["bodySize"] = 0 if request.content is None else getattr(request.content, "length", None) or size
    is_first = exchange is fetched.exchanges[0]
    set_up = (fetched.looked_up, fetched.connected) if is_first else (None, None)
    return _entry(
        fetched,
        0.0 if is_first else exchange.started,
        end,
        request=told,
        response=_response(exchange.response, exchange.body_bytes),
        timings=_timings(exchange.started, exchange.first_byte, end, *set_up),
        was_pushed=0,
    )


def _pushed(fetched: Fetched, push: PushRecord, promised: float) -> dict[str, Any]:
    end = fetched.time_total if push.done is None else push.done
    entry = _entry(
        fetched,
        promised,
        end,
        request=_request(push.method, push.url, push.fields),
        response=_response(push.response, push.body_bytes),
        timings=_timings(promised, push.first_byte, end),
        was_pushed=1,
    )
    return entry | {"_push_id": push.push_id, "_push_state": push.state, "comment": push.reason}


def _entry(
    fetched: Fetched, start: float, end: float, *, request: object, response: object, timings: object, was_pushed: int
) -> dict[str, Any]:
    host, port = fetched.remote or ("", 0)
    return {
        "pageref": PAGE,
        "startedDateTime": _instant(fetched, start),
        "time": _milliseconds(end - start),
        "request": request,
        "response": response,
        "cache": {},
        "timings": timings,
        "serverIPAddress": host,
        "connection": str(port),
        "_was_pushed": was_pushed,
    }


def _request(method: str, url: str, fields: Sequence[Field]) -> dict[str, Any]:
    return {
        "method": method,
        "url": url,
        "httpVersion": HTTP_VERSION,
        "cookies": _cookies(fields, b"cookie"),
        "headers": _pairs(fields),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "headersSize": UNKNOWN,
        "bodySize": 0,
    }


def _response(response: ClientResponse | None, body_bytes: int) -> dict[str, Any]:
    """A response; for one that never came, status 0 as browsers write it."""
    status = 0 if response is None else response.status
    fields = [] if response is None else response.headers.raw
    headers = {} if response is None else dict(response.headers)
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in set(HTTPStatus) else "",
        "httpVersion": HTTP_VERSION,
        "cookies": _cookies(fields, b"set-cookie"),
        "headers": _pairs(fields),
        "content": {"size": body_bytes, "mimeType": headers.get("content-type", "")},
        "redirectURL": headers.get("location", ""),
        "headersSize": UNKNOWN,
        "bodySize": body_bytes,
    }


def _timings(
    started: float,
    first_byte: float | None,
    ended: float,
    looked_up: float | None = None,
    connected: float | None = None,
) -> dict[str, float]:
    """The phases of an entry, in milliseconds; they add up to its time. The handshake of QUIC is that of TLS."""
    first = ended if first_byte is None else first_byte
    handshake = UNKNOWN if connected is None else _milliseconds(connected - (looked_up or 0.0))
    return {
        "blocked": UNKNOWN if connected is None else _milliseconds(started - connected),
        "dns": UNKNOWN if looked_up is None else _milliseconds(looked_up),
        "connect": handshake,
        "ssl": handshake,
        "send": 0,
        "wait": _milliseconds(first - started),
        "receive": _milliseconds(ended - first),
    }


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


def _instant(fetched: Fetched, seconds: float) -> str:
    return datetime.fromtimestamp(fetched.started_at + seconds, UTC).isoformat(timespec="microseconds")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
