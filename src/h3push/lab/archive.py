"""A site from an HTTP archive (HAR 1.2) that a browser recorded: its sizes, who named whom, and how long each side took.

A recording was made over one network and is to be played over others. So what the network took is left out, and kept are:

* the content of each response, in bytes as it crossed the network;
* the initiator, where the browser tells it (`_initiator` of Chromium); else the last response that had ended before the
  request;
* the client's work: for what a script asked for, the time from the initiator's end to the request;
* the server's thinking: the wait for the first byte, less the shortest wait of the recording, which stands for the round trip.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from h3push.http.url import Origin, origin_of, resolve, target_of
from h3push.lab.site import MAX_RESOURCE_BYTES, MEBIBYTE, Site, SiteError, SiteResource, known_in_order
from h3push.plans.links import planned
from h3push.plans.plan import ResourceKind, Stage

MAX_ARCHIVE_BYTES = 512 * MEBIBYTE
"""Bytes of a recording that is read: browsers write the contents into it, and a page of 100 MB has reached its reader by then."""
MAX_DELAY = 10.0
"""Seconds of a client's work that are believed: behind a longer pause there was a person, not the page."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A request of the recording that the site may be made of; times in seconds."""

    url: str
    started: float
    waited: float
    ended: float
    size: int
    media_type: str
    destination: str
    is_blocking: bool | None
    initiator: str | None
    by_script: bool


def site_of_archive(path: Path) -> Site:
    """Read a recording: its first page, and what that needed from its own origin.

    Raises: SiteError: the file cannot be read, is no HTTP archive, or has no page.
    """
    entries, refused = _entries(path)
    first = next((entry for entry in entries if entry.media_type == "text/html"), entries[0] if entries else None)
    if first is None:
        raise SiteError(f"{path} has no answer to a GET request over https or http in it")
    origin = origin_of(first.url)
    own, others = _of_origin(entries, first, origin)
    shortest = min((entry.waited for entry in (first, *own) if entry.waited > 0), default=0.0)
    resources = [_resource(entry, first, own, shortest) for entry in own]
    return Site(
        name=str(path),
        path=target_of(first.url),
        size=first.size,
        thinking=max(0.0, first.waited - shortest),
        resources=known_in_order(target_of(first.url), resources),
        left_out=refused + others,
    )


def _of_origin(entries: list[_Entry], page: _Entry, origin: Origin | None) -> tuple[list[_Entry], int]:
    """Give the entries that the page needed from its own origin, each path once, and how many came from elsewhere."""
    own: dict[str, _Entry] = {}
    others = 0
    for entry in entries:
        if origin_of(entry.url) != origin:
            others += 1
        elif entry.started >= page.started and target_of(entry.url) != target_of(page.url):
            own.setdefault(target_of(entry.url), entry)
    return list(own.values()), others


def _entries(path: Path) -> tuple[list[_Entry], int]:
    """Read the entries that can be used, in the order of their beginnings, and count the others."""
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as error:
        raise SiteError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MAX_ARCHIVE_BYTES:
        raise SiteError(f"{path} is larger than {MAX_ARCHIVE_BYTES} bytes")
    try:
        recorded = json.loads(data.removeprefix(b"\xef\xbb\xbf"))["log"]["entries"]
        found = [_entry(one) for one in recorded]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise SiteError(f"{path} is no HTTP archive (HAR), the JSON that a browser's network panel exports") from None
    usable = [entry for entry in found if entry is not None]
    return sorted(usable, key=lambda entry: entry.started), len(found) - len(usable)


def _entry(recorded: Mapping[str, Any]) -> _Entry | None:
    """Read an entry; `None` for what no push could be: another method, another scheme, a failure."""
    request, response, timings = recorded["request"], recorded["response"], recorded.get("timings") or {}
    url = _absolute(request["url"])
    size = _size(response)
    is_answer = 200 <= int(response["status"]) < 300 or int(response["status"]) == 304
    if request["method"] != "GET" or url is None or not is_answer or size > MAX_RESOURCE_BYTES:
        return None
    started = datetime.fromisoformat(recorded["startedDateTime"]).timestamp()
    kind, initiator = _initiator(recorded.get("_initiator"))
    priority = recorded.get("_priority")
    media_type = str((response.get("content") or {}).get("mimeType") or "").partition(";")[0].strip().lower()
    return _Entry(
        url=url,
        started=started,
        waited=max(0.0, float(timings.get("wait") or 0)) / 1000,
        ended=started + max(0.0, float(recorded.get("time") or 0)) / 1000,
        size=size,
        media_type=media_type,
        destination=_destination(str(recorded.get("_resourceType") or ""), media_type),
        is_blocking=None if priority is None else priority in {"VeryHigh", "High"},
        initiator=initiator,
        by_script=kind != "parser",
    )


def _absolute(url: Any) -> str | None:
    """A recorded URL, as if its server spoke HTTP/3; `None` for what no server has, such as data:."""
    text = str(url)
    return resolve("https://nowhere.invalid/", f"https{text[4:]}" if text.startswith("http:") else text)


def _size(response: Mapping[str, Any]) -> int:
    """Content as it crossed the network; of one from the cache, as it is."""
    content = response.get("content") or {}
    whole = int(content.get("size") or 0) - int(content.get("compression") or 0)
    on_wire = int(response.get("bodySize") or -1)
    return on_wire if on_wire > 0 else max(0, whole)


def _initiator(recorded: Any) -> tuple[str, str | None]:
    """Read what asked for a resource, as Chromium tells it: how, and the URL; Firefox and Safari tell nothing."""
    if not isinstance(recorded, Mapping):
        return "", None
    kind, url = str(recorded.get("type") or ""), recorded.get("url")
    stack = recorded.get("stack")
    while url is None and isinstance(stack, Mapping):
        frames = stack.get("callFrames") or ()
        url = next((frame["url"] for frame in frames if frame.get("url")), None)
        stack = stack.get("parent")
    return kind, None if url is None else _absolute(url)


_DESTINATIONS = {"stylesheet": "style", "script": "script", "font": "font", "image": "image", "media": "video"}
"""Chromium's name of a kind of resource -> the `as` of a link to it; everything else is data."""


def _destination(told: str, media_type: str) -> str:
    if told:
        return _DESTINATIONS.get(told, "fetch")
    if media_type == "text/css":
        return "style"
    if "javascript" in media_type or "ecmascript" in media_type:
        return "script"
    group = media_type.partition("/")[0]
    if group == "font" or "font" in media_type:
        return "font"
    return group if group in {"image", "audio", "video"} else "fetch"


def _resource(entry: _Entry, page: _Entry, own: list[_Entry], shortest: float) -> SiteResource:
    """Make a resource of an entry: who names it, when, and how long that takes each side."""
    candidates = {other.url: other for other in (page, *own)}
    by = candidates.get(entry.initiator or "")
    inferred = by is None
    if by is None or by is entry:
        ended = [other for other in candidates.values() if other is not entry and other.ended <= entry.started]
        by = max(ended, key=lambda other: other.ended, default=page)
    position, delay = None, 0.0
    if by is page and entry.started < page.ended:
        position = _position(entry, page)
    elif entry.by_script or inferred:
        delay = min(MAX_DELAY, max(0.0, entry.started - by.ended))
    made = planned(target_of(entry.url), entry.destination, target_of(page.url))
    return SiteResource(
        path=made.path,
        kind=made.kind,
        stage=_stage(entry, made.kind, made.stage, by is page),
        size=entry.size,
        named_in=(target_of(by.url),),
        position=position,
        delay=delay,
        thinking=max(0.0, entry.waited - shortest),
    )


def _position(entry: _Entry, page: _Entry) -> int:
    """Bytes of the page that had come when it was asked for: the part of the time in which they came."""
    began = page.started + page.waited
    part = (entry.started - began) / (page.ended - began) if page.ended > began else 0.0
    return round(page.size * min(1.0, max(0.0, part)))


def _stage(entry: _Entry, kind: ResourceKind, stage: Stage, is_named_in_page: bool) -> Stage:
    """When the page needs it: scripts by the browser's priority, or, where that is not told, by who named them."""
    if kind is not ResourceKind.SCRIPT:
        return stage
    blocks = is_named_in_page if entry.is_blocking is None else entry.is_blocking
    return Stage.BLOCKING if blocks else Stage.DEFERRED
