"""A page and what it needs, as a browser finds it: names, sizes and who names whom, without the contents.

From a directory, a URL or a recording comes the same value, and all that is measured is measured of it. A resource is known
once all that it is named in is there, or so many bytes of the page; then the client may work a while, and asks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from h3push.plans.page import PageScanSettings, scan_page
from h3push.plans.plan import PlannedResource, ResourceKind, Stage

MEBIBYTE = 1024 * 1024
SCAN = PageScanSettings(max_page_bytes=16 * MEBIBYTE, max_sheet_bytes=16 * MEBIBYTE, max_sheets=256, max_resources=2_000,
                        max_work=256 * MEBIBYTE)  # fmt: skip
"""Bounds of reading a page here: nobody waits for the answer, so they are wider than a server's."""
MAX_RESOURCE_BYTES = 64 * MEBIBYTE
"""Bytes of one resource that are emulated; a larger one is a download, not a part of a page."""


class SiteError(ValueError):
    """The site cannot be read; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteResource:
    """One resource of the page's origin."""

    path: str
    """Its `:path`."""
    kind: ResourceKind
    """Its role in the page."""
    stage: Stage
    """When the page needs it."""
    size: int
    """Content in bytes, as it crosses the network."""
    named_in: tuple[str, ...]
    """`:path` of the page and resources that have to be there before the client knows of it; never empty."""
    position: int | None = None
    """Bytes of the page after which it is known; `None`: all that it is named in has to be whole."""
    delay: float = 0.0
    """Seconds that the client works before it asks, from when it could know."""
    thinking: float = 0.0
    """Seconds that the server takes before it answers."""

    def planned(self) -> PlannedResource:
        """The resource as plans name it."""
        return PlannedResource(self.path, self.kind, self.stage, self.named_in[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A page and what it needs from its own origin."""

    name: str
    """The name that the user gave."""
    path: str
    """`:path` of the page."""
    size: int
    """Bytes of the page itself."""
    thinking: float = 0.0
    """Seconds that the server takes for the page."""
    resources: tuple[SiteResource, ...] = ()
    """In the order in which a client finds them; each names only what stands before it, or the page."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Files that the server has beside them, and that a plan may push for nothing: `:path` and bytes."""
    left_out: int = 0
    """Resources that are not emulated: of another origin, missing, or not fetched with GET."""

    @property
    def content_bytes(self) -> int:
        """Bytes of the page and all resources."""
        return self.size + sum(resource.size for resource in self.resources)

    @property
    def blocks(self) -> bool:
        """True when something besides the page has to be there before anything is shown."""
        return any(resource.stage is Stage.BLOCKING for resource in self.resources)

    @property
    def depth(self) -> int:
        """Levels of resources below the page: the round trips that a client without help needs for them."""
        depths = {self.path: 0}
        for resource in self.resources:
            depths[resource.path] = 1 + max(depths[name] for name in resource.named_in)
        return max(depths.values())


LoadContent = Callable[[str], bytes | None]
"""Gives the content at a `:path`; `None` when there is none."""


def site_of_page(name: str, url: str, html: bytes, load: LoadContent, *, thinking: float = 0.0) -> Site:
    """Read a page of HTML (at `url`, absolute, https) and the style sheets that it names."""
    contents: dict[str, bytes | None] = {}

    def content(path: str) -> bytes | None:
        if path not in contents:
            contents[path] = load(path)
        return contents[path]

    plan = scan_page(url, html, content, SCAN)
    sheets = tuple(path for path in plan.sheets if content(path) is not None)
    found, missing = [], 0
    for resource in plan.resources:
        data = content(resource.path)
        if data is None or len(data) > MAX_RESOURCE_BYTES:
            missing += 1
        else:
            found.append(_site_resource(resource, len(data), plan.page, html, sheets))
    resources = known_in_order(plan.page, found)
    return Site(name=name, path=plan.page, size=len(html), thinking=thinking, resources=resources,
                left_out=plan.left_out + missing)  # fmt: skip


def _site_resource(
    resource: PlannedResource, size: int, page: str, html: bytes, sheets: tuple[str, ...]
) -> SiteResource:
    """Tell when a browser knows of a resource, from what names it."""
    named_in: tuple[str, ...] = (resource.named_in,)
    position = _position(resource.path, html) if resource.named_in == page else None
    waits_for_styles = resource.kind is ResourceKind.FONT or (
        resource.kind is ResourceKind.IMAGE and resource.named_in != page
    )
    if waits_for_styles and sheets:
        named_in, position = (page, *sheets), None
    return SiteResource(path=resource.path, kind=resource.kind, stage=resource.stage, size=size, named_in=named_in,
                        position=position)  # fmt: skip


def _position(path: str, html: bytes) -> int | None:
    """Where the page names a resource: the end of the first mention of its file name."""
    name = path.rpartition("/")[2].partition("?")[0].encode()
    at = html.find(name) if name else -1
    return None if at < 0 else at + len(name)


def known_in_order(page: str, found: Sequence[SiteResource]) -> tuple[SiteResource, ...]:
    """Sort resources so that each stands behind what names it; what is missing or goes in a circle counts as the page."""
    paths = {resource.path for resource in found} | {page}
    waiting = [
        replace(one, named_in=tuple(name for name in one.named_in if name in paths and name != one.path) or (page,))
        for one in found
    ]
    known, ordered = {page}, []
    while waiting:
        ready = [resource for resource in waiting if known.issuperset(resource.named_in)]
        if not ready:
            ready = [replace(waiting[0], named_in=(page,))]
        done = {resource.path for resource in ready}
        ordered += ready
        known |= done
        waiting = [resource for resource in waiting if resource.path not in done]
    return tuple(ordered)
