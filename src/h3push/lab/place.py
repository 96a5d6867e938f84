"""A site from where it is served: a directory, or a server that is asked over HTTP/3."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from h3push import _quic
from h3push.client.connect import connect
from h3push.errors import H3PushError
from h3push.files.directory import Directory
from h3push.files.media_types import HTML, media_type
from h3push.files.paths import INDEX
from h3push.http.url import parse_url, resolve, target_of
from h3push.lab.page_load import LoadedResource, PageLoad, load_page
from h3push.lab.site import MAX_RESOURCE_BYTES, Site, SiteError, site_of_page
from h3push.plans.plan import PushPlan

_BASE = "https://site.test/"


def site_of_directory(root: Path, page: str) -> Site:
    """Read a page of a directory, and what it names.

    Args:
        root: the directory.
        page: `:path` of the page.

    Raises: SiteError: there is no such page.
    """
    directory = Directory(root)
    url = resolve(_BASE, page)
    if url is None or not page.startswith("/"):
        raise SiteError(f"{page!r} is no path of a page: it begins with /")
    path = target_of(url)
    html = _read(directory, path)
    if html is None:
        raise SiteError(f"{os.fspath(root)} has no page at {path}: name one with --page")
    if media_type(path.rpartition("/")[2] or INDEX) != HTML:
        raise SiteError(f"{path} is no page of HTML")
    return site_of_page(os.fspath(root), url, html, lambda wanted: _read(directory, wanted))


def with_planned(site: Site, root: Path, plan: PushPlan | None) -> Site:
    """Add the files of a directory that a plan names and the page does not need: pushing them costs their bytes."""
    needed = {site.path, *(resource.path for resource in site.resources)}
    directory = Directory(root)
    planned = [one.path for one in plan.resources if one.path not in needed] if plan is not None else []
    found = {path: file.size for path in planned if (file := directory.find(path)) is not None}
    return replace(site, others={path: size for path, size in found.items() if size <= MAX_RESOURCE_BYTES})


def _read(directory: Directory, path: str) -> bytes | None:
    """A file's content; `None` when there is none, or it is no part of a page for its size."""
    found = directory.find(path)
    if found is None or found.size > MAX_RESOURCE_BYTES:
        return None
    try:
        return found.path.read_bytes()
    except OSError as error:
        raise SiteError(f"cannot read {found.path}: {error.strerror or error}") from None


async def site_of_url(url: str, tls: _quic.ClientTls) -> Site:
    """Load a page over HTTP/3, with all that it names, without pushes.

    Args:
        url: the page, absolute and https.
        tls: whom to trust.

    Raises:
        H3PushError: there is no connection, or a response failed.
        SiteError: what came is no page.
    """
    async with connect(url, tls=tls) as client:
        load = await load_page(client, url)
        round_trip = float(client.stats.get("min_rtt", 0.0))
    return _site_of_load(url, load, round_trip)


def _site_of_load(url: str, load: PageLoad, round_trip: float) -> Site:
    page = next(resource for resource in load.resources if resource.path == target_of(url))
    if page.status != 200:
        raise SiteError(f"{url} answered with status {page.status}: there is no page to measure")
    contents: Mapping[str, LoadedResource] = {one.path: one for one in load.resources if one.status == 200}

    def content(path: str) -> bytes | None:
        found = contents.get(path)
        return None if found is None else found.content

    thinking = max(0.0, page.first_byte - page.started - round_trip)
    return site_of_page(url, url, page.content, content, thinking=thinking)


def fetch_site(url: str, *, cafile: Path | None = None, verify: bool = True) -> Site:
    """Fetch a page over HTTP/3 and tell what it needs.

    Args:
        url: the page, absolute and https.
        cafile: PEM file with the authorities to trust, instead of the system's.
        verify: False accepts every certificate.

    Raises: SiteError: it could not be fetched.
    """
    try:
        parse_url(url)
        trust = None if cafile is None else cafile.read_bytes()
        return asyncio.run(site_of_url(url, _quic.ClientTls(trust=trust, verify=verify)))
    except OSError as error:
        if isinstance(error, H3PushError):
            raise SiteError(str(error)) from None
        raise SiteError(f"cannot read the authorities in {cafile}: {error.strerror or error}") from None
    except H3PushError as error:
        raise SiteError(str(error)) from None
    except ValueError as error:
        raise error if isinstance(error, SiteError) else SiteError(str(error)) from None
