"""Plans that are kept: when a page is scanned, where, and how much of it all is remembered."""

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from h3push.plans.bounds import BoundedCache
from h3push.plans.cache import PlanCache, PlanCacheSettings, Stamp
from h3push.plans.html import HtmlDocument
from h3push.plans.page import PageScanSettings, scan_page
from h3push.plans.plan import PlanSource, PushPlan
from h3push.testing.virtual import run_virtual

ORIGIN = "https://site.test"


class Site:
    """Pages in a dictionary; a state is the content itself."""

    def __init__(self, files):
        self.files = {path: content.encode() for path, content in files.items()}
        self.bytes_read = 0

    def is_page(self, path):
        return path.endswith((".html", "/"))

    def is_there(self, path):
        return path in self.files

    def stamp(self, path):
        content = self.files.get(path)
        return None if content is None else Stamp(content, len(content))

    def read(self, path, limit, known=None):
        stamp = self.stamp(path)
        if stamp is None or stamp == known:
            return None if stamp is None else (stamp, None)
        self.bytes_read += len(self.files[path][:limit])
        return stamp, self.files[path][:limit]


def paths(plan):
    return None if plan is None else [one.path for one in plan.resources]


def asked(site, *targets, **options):
    """Plans of the targets, asked for one after the other, each when all work of the one before is done."""

    async def main():
        cache = PlanCache(site, **options)
        plans = []
        for target in targets:
            if callable(target):
                target()
            else:
                plans.append(paths(cache.plan(ORIGIN + target)))
                await asyncio.sleep(1)
        return plans, cache.scans

    return run_virtual(main)


def test_a_style_sheet_that_pages_share_is_read_once():
    """Reading style sheets was 93 % of the work of a crawl (issue 9, point 33)."""
    shared = ".x { color: red }" * 100
    site = Site({f"/{n}.html": "<link rel=stylesheet href=/a.css>" for n in range(50)} | {"/a.css": shared})
    plans, scans = asked(site, *(f"/{n}.html" for n in range(50)))
    assert (plans, scans) == ([["/a.css"]] * 50, 50)
    assert site.bytes_read < 50 * 40 + 2 * len(shared)


def test_a_sheet_that_changed_is_read_again_for_every_page():
    """A kept sheet counts for the state that it was read in alone."""
    page = "<link rel=stylesheet href=/a.css><p>x"
    site = Site({"/1.html": page, "/2.html": page, "/a.css": ""})

    def change():
        site.files["/a.css"] = b"p { background: url(/a.png) }"

    plans, scans = asked(site, "/1.html", "/1.html", "/2.html", change, "/1.html", "/2.html", "/2.html")
    assert plans == [["/a.css"]] * 3 + [["/a.css", "/a.png"]] * 3
    assert scans == 4


def test_a_sheet_that_appears_makes_the_plan_stale():
    """A sheet that was absent when the page was scanned is looked for again."""
    site = Site({"/": "<link rel=stylesheet href=/a.css><p>x"})
    plans, _ = asked(site, "/", lambda: site.files.update({"/a.css": b"@import '/b.css'"}), "/")
    assert plans == [["/a.css"], ["/a.css", "/b.css"]]


def test_a_page_that_is_gone_has_no_plan():
    """`None` is no plan, and not an empty one."""
    site = Site({"/": "<img src=a.png>"})
    assert asked(site, "/", site.files.clear, "/", "/absent")[0] == [["/a.png"], None, None]


def test_plans_are_bounded_by_bytes():
    """The plan that was used longest ago goes first, and costs one more scan."""
    names = [f"/{n}.html" for n in range(10)]
    site = Site(dict.fromkeys(names, "<img src=a.png>"))
    few = PlanCacheSettings(max_plan_bytes=4_000)
    assert asked(site, *names, *names[:1], settings=few)[1] == 11
    assert asked(site, *names, *names[-2:], settings=few)[1] == 10
    assert asked(site, *names, *names)[1] == 10


def test_memory_is_exact_about_its_bytes():
    """An entry that is replaced or goes is not counted any more."""
    memory = BoundedCache[str, str](10, lambda key, value: len(key) + len(value))
    for key, value in [("a", "1234"), ("a", "12"), ("b", "12"), ("c", "123")]:
        memory.keep(key, value)
    assert (memory.bytes, len(memory)) == (10, 3)
    assert memory.get("a") == "12"
    memory.keep("d", "")
    assert (memory.get("b"), memory.get("a"), memory.bytes) == (None, "12", 8)
    memory.keep("e", "x" * 20)
    assert (len(memory), memory.bytes) == (0, 0)


def test_so_many_pages_wait_for_the_thread_and_no_more():
    """A client that asks for every long page at once makes no queue without end."""
    site = Site({f"/{n}.html": "<img src=a.png>" for n in range(9)})
    none_in_the_loop = PlanCacheSettings(loop_work=0, max_waiting_scans=3)

    async def main():
        cache = PlanCache(site, settings=none_in_the_loop)
        for n in range(9):
            assert paths(cache.plan(f"{ORIGIN}/{n}.html")) == []
        await asyncio.sleep(1)
        return [n for n in range(9) if paths(cache.plan(f"{ORIGIN}/{n}.html"))]

    assert run_virtual(main) == [0, 1, 2]


def test_a_scan_that_fails_leaves_the_others_to_go_on(monkeypatch, caplog):
    """One page that cannot be read is logged; the pages that wait behind it get their plans."""
    site = Site({"/bad.html": "<img src=a.png>", "/good.html": "<img src=a.png>"})
    scan = PlanCache._scan

    def failing(self, url, settings, *pause):
        if url.endswith("bad.html") and settings.max_work:
            raise RecursionError
        return scan(self, url, settings, *pause)

    monkeypatch.setattr(PlanCache, "_scan", failing)
    plans, _ = asked(site, "/bad.html", "/good.html", "/good.html", settings=PlanCacheSettings(loop_work=0))
    assert plans == [[], [], ["/a.png"]]
    assert "/bad.html could not be scanned" in caplog.text


def long_page(kind, count):
    """A page of many bytes that are dear to read, each in its own way."""
    numbers = range(count)
    return {
        "attributes": "".join(f"<p style='background:url(i{count}-{n}.png)'>x</p>" for n in numbers),
        "rules": "<style>" + "".join(f".c{n}{{background:url(i{count}-{n}.png)}}" for n in numbers) + "</style>"
        + "".join(f"<p class=c{n}>" for n in numbers),
        "a run of words": "<style>p { --x: " + "word " * count + "}</style>",
        "a picture": "<picture>" + "<img src=a.png>" * count,
        "faces": "<style>" + f"@font-face {{ font-family: F; src: url(f); unicode-range: U+{count:x} }}" * count
        + "p { font: 1em F }</style>" + "".join(chr(0x4E00 + n % 9_000) for n in numbers),
    }[kind].encode()  # fmt: skip


def test_scans_take_a_share_of_the_time_and_no_more():
    """Whoever asks for page after page is not served at the speed of the scanner (issue 9, point 33)."""
    site = Site({f"/{n}.html": "<img src=a.png>" for n in range(1_000)})
    now = 0.0
    read = site.read

    def slow_read(*asked):
        nonlocal now
        now += 0.001
        return read(*asked)

    site.read = slow_read

    async def main():
        nonlocal now
        cache = PlanCache(site, settings=PlanCacheSettings(share=0.25, burst=0.1), clock=lambda: now)
        begin = now
        planned = 0
        for n in range(1_000):
            now += 0.0005
            planned += cache.plan(f"{ORIGIN}/{n}.html") is not None
        taken = now - begin
        now += 1.0
        return planned, taken, cache.plan(ORIGIN + "/999.html")

    planned, taken, later = run_virtual(main)
    assert 100 < planned < 400
    assert taken < 0.5 / (1 - 0.25) + 0.2
    assert paths(later) == ["/a.png"]


@pytest.mark.parametrize("kind", ["attributes", "rules", "a run of words", "a picture", "faces"])
def test_the_work_of_a_scan_grows_with_the_page_and_not_with_its_square(kind):
    """Twice the page is at most some twice the work, in calls and in bytes that are looked through (issue 9, point 33)."""

    def work(count):
        done = 0

        def count_call(frame, event, argument):
            nonlocal done
            done += event in {"call", "c_call"}

        sys.setprofile(count_call)
        try:
            scan_page(ORIGIN + "/", long_page(kind, count), lambda _: None)
        finally:
            sys.setprofile(None)
        return done

    assert work(2_000) < 2.2 * work(1_000)


def test_selectors_are_looked_for_within_the_bound_of_work(monkeypatch):
    """Each is a look through the whole page, so as many as there are bytes would be the square."""
    looked_through = 0
    matches = HtmlDocument.matches

    def counting(self, selector):
        nonlocal looked_through
        looked_through += len(page)
        return matches(self, selector)

    monkeypatch.setattr(HtmlDocument, "matches", counting)
    page = long_page("rules", 5_000)
    plan = scan_page(ORIGIN + "/", page, lambda _: None, PageScanSettings(max_work=1_000_000))
    assert not plan.complete
    assert plan.resources
    assert 100_000_000 < looked_through < 400 * 1_000_000


def test_a_long_scan_leaves_the_loop_to_others():
    """1.1 MB with 20,000 `url()` held everybody up for 6.6 s (issue 9, point 33). The clock is real: the bound is generous."""
    site = Site({"/": long_page("rules", 20_000).decode()})
    longest = 0.0

    async def main():
        nonlocal longest
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        cache = PlanCache(site)
        before = time.thread_time()
        assert paths(cache.plan(ORIGIN + "/")) == []
        longest = time.thread_time() - before
        while not paths(cache.plan(ORIGIN + "/")):
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    asyncio.run(main())
    assert longest < 0.1


def test_a_scan_in_the_thread_stops_when_the_loop_ends(monkeypatch):
    """A server that was told to stop does not wait for a page to be read to its end (issue 9, point 33)."""
    begun, read = threading.Event(), []

    def read_slowly(url, html, load, settings, sheet_read, pause):
        if settings.max_work:
            begun.set()
            for _ in range(1_000):
                time.sleep(0.001)
                pause()
        read.append(url)
        return PushPlan(ORIGIN + "/", PlanSource.PAGE_SCAN, complete=False)

    async def main():
        PlanCache(Site({"/": "page"}), settings=PlanCacheSettings(loop_work=0)).plan(ORIGIN + "/")
        await asyncio.to_thread(begun.wait)

    monkeypatch.setattr("h3push.plans.cache.scan_page", read_slowly)
    asyncio.run(main())
    assert len(read) == 1  # the short one, in the loop
