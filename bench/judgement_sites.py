"""The sites of `bench/judgement.py`: pages, what each of them needs, and how likely a view is to need it."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random

from h3push.cli.demo import site_directory
from h3push.lab.place import site_of_directory
from h3push.lab.site import Site, SiteError, SiteResource
from h3push.plans.plan import ResourceKind, Stage

DOCUMENTATION = "debian-policy"
"""The Debian package of the documentation site; its pages are made by Sphinx."""
DOCUMENTATION_PAGES = 12
SHOP_ROUTES = 50


@dataclass(frozen=True)
class Pages:
    """A site of several pages."""

    name: str
    pages: tuple[Site, ...]
    """Each with everything that it may need."""
    chances: Mapping[str, float]
    """The probability that a view needs a resource, by path; 1 where nothing stands."""
    is_cached: bool = True
    """Clients keep what they got; answers of an API they do not."""
    has_cookies: bool = False
    """Clients that come again say so."""

    def view(self, page: Site, random: Random) -> Site:
        """What one view needs."""
        kept = tuple(one for one in page.resources if random.random() < self.chances.get(one.path, 1.0))
        paths = {page.path, *(one.path for one in kept)}
        named = tuple(
            replace(one, named_in=tuple(n for n in one.named_in if n in paths) or (page.path,)) for one in kept
        )
        return replace(page, resources=named)

    def renamed(self) -> "Pages":
        """The same after a deployment: every other resource has another name, and the old names are not there any more."""
        paths = sorted({one.path for page in self.pages for one in page.resources})
        new = {path: _renamed(path) for path in paths[::2]}
        pages = tuple(
            replace(
                page,
                resources=tuple(
                    replace(
                        one,
                        path=new.get(one.path, one.path),
                        named_in=tuple(new.get(name, name) for name in one.named_in),
                    )
                    for one in page.resources
                ),
            )
            for page in self.pages
        )
        chances = {new.get(path, path): chance for path, chance in self.chances.items()}
        return replace(self, pages=pages, chances=chances)


def _renamed(path: str) -> str:
    stem, dot, ending = path.rpartition(".")
    return f"{stem}-next.{ending}" if dot else f"{path}-next"


def chain() -> Pages:
    """An API of four small answers, each of which names the next: three levels below the first."""
    paths = ["/api/order", "/api/order/items", "/api/order/items/stock", "/api/order/items/stock/places"]
    resources = tuple(_resource(path, 2_000, "fetch", (before,)) for before, path in pairwise(paths))
    return Pages(
        "API chain",
        (Site(name="chain", path=paths[0], size=2_000, thinking=0.0, resources=resources),),
        {},
        is_cached=False,
    )


def bundled() -> Pages:
    """The site that comes with h3push, one page."""
    return Pages("bundled site", (site_of_directory(site_directory(), "/"),), {})


def documentation() -> Pages | str:
    """A site from a Debian package; why not, where it cannot be had."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "this is no Debian"
    with tempfile.TemporaryDirectory(prefix="h3push-bench-") as folder:
        try:
            subprocess.run(
                ["apt-get", "download", DOCUMENTATION], cwd=folder, capture_output=True, timeout=60, check=True
            )
            (package,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package.name, "tree"], cwd=folder, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return f"apt-get download {DOCUMENTATION} failed: {error}"
        found = sorted(Path(folder).glob("tree/usr/share/doc/*/*/genindex.html")) or sorted(
            Path(folder).glob("tree/usr/share/doc/*/*/index.html")
        )
        roots = sorted({one.parent for one in found}, key=lambda root: -len(list(root.glob("*.html"))))
        pages = []
        for html in sorted(roots[0].glob("*.html"))[:DOCUMENTATION_PAGES] if roots else ():
            try:
                pages.append(site_of_directory(roots[0], f"/{html.name}"))
            except SiteError:
                continue
    return Pages(f"documentation ({package.stem})", tuple(pages), {}) if pages else "the package has no pages"


def shop(seed: int = 1) -> Pages:
    """A shop of 50 routes: what all pages need, what each alone needs, and what only some views need."""
    random = Random(f"shop {seed}")
    shared = [("/site.css", 14_000, "style"), ("/app.js", 30_000, "script"), ("/shop.woff2", 20_000, "font")]
    pages, chances = [], {"/offers.js": 0.4}
    for number in range(SHOP_ROUTES):
        path = f"/shelf-{'abcdefghijklmnopqrstuvwxyz'[number % 26]}{'xyz'[number // 26]}"
        resources = [_resource(name, size, kind, (path,)) for name, size, kind in shared]
        resources.append(_resource("/offers.js", 6_000, "script", ("/app.js",)))
        for index in range(random.randint(2, 6)):
            chance = random.choice([1.0, 1.0, 1.0, 0.9, 0.5, 0.1])
            name = f"{path}-{index}.json" if index % 2 else f"{path}-{index}.webp"
            named = ("/app.js",) if index % 2 else (path,)
            resources.append(_resource(name, random.randint(1_000, 12_000), "fetch" if index % 2 else "image", named))
            chances[name] = chance
        thinking = random.choice([0.0, 0.0, 0.03, 0.1])
        size = random.randint(3_000, 20_000)
        pages.append(Site(name=path, path=path, size=size, thinking=thinking, resources=tuple(resources)))
    return Pages("shop of 50 routes", tuple(pages), chances, has_cookies=True)


_STAGES = {
    "style": Stage.BLOCKING,
    "script": Stage.DEFERRED,
    "font": Stage.FONT,
    "image": Stage.IMAGE,
    "fetch": Stage.DEFERRED,
}


def _resource(path: str, size: int, kind: str, named_in: Sequence[str]) -> SiteResource:
    return SiteResource(path=path, kind=ResourceKind(kind), stage=_STAGES[kind], size=size, named_in=tuple(named_in))
