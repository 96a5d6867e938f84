"""A push answers the next request that it matches: with virtual time, on the whole stack."""

import asyncio
import gzip
import sys
import time
from email.utils import formatdate

import pytest

import h3push
from h3push.client.answer import Source
from h3push.client.pool import Pool
from h3push.client.push_stats import Unused
from h3push.client.stored import ResponseStore
from h3push.runtime.settings import PoolSettings, PushCacheSettings
from h3push.testing import LinkSettings, World, in_world

RESOURCES = [f"/r{number}.css" for number in range(20)]
HTTPX = {"accept": "*/*", "accept-encoding": "gzip, deflate, br, zstd", "user-agent": "python-httpx/0.28.1"}


def now():
    return formatdate(time.time(), usegmt=True)


class Site:
    """A page that pushes its resources; every request that was sent, and not pushed, is logged."""

    def __init__(self, fields=None, size=1000, promise_fields=None, resources=RESOURCES):
        self.log = []
        self.fields = fields or {}
        self.size = size
        self.promise_fields = promise_fields
        self.resources = resources
        self.pushes = []

    async def __call__(self, request):
        if request.push_id is None:
            self.log.append((request.method, request.path))
        if request.path == "/":
            for path in self.resources:
                push = await request.push(path, headers=self.promise_fields) if self.promise_fields else (
                    await request.push(path))  # fmt: skip
                self.pushes.append(push)
            return h3push.Response(200, {"content-type": "text/html"}, b"page")
        content = request.path.encode() * (self.size // len(request.path))
        if self.fields.get("content-encoding") == "gzip":
            content = gzip.compress(content)
        return h3push.Response(200, {"content-type": "text/css", "date": now(), **self.fields}, content)


def pool_of(world, **options):
    def dial(url, *, max_pushes, on_push, address):
        return h3push.connect(url, driver=world.client_endpoint(max_pushes), max_pushes=max_pushes, on_push=on_push)

    return Pool(dial=dial, **options)


def visit(site, scenario, delay=0.05, **options):
    async def main(world):
        async with pool_of(world, **options) as pool:
            return await scenario(pool)

    return in_world(site, main, connected=False, link=LinkSettings(delay=delay))


async def get(pool, path, method="GET", **headers):
    answer = await pool.request(
        method, f"https://origin.example{path}", headers={**HTTPX, **{k.replace("_", "-"): v for k, v in headers.items()}}
    )  # fmt: skip
    async with answer:
        return answer, await answer.read()


async def page(pool, **headers):
    await get(pool, "/", **headers)
    return await asyncio.gather(*(get(pool, path, **headers) for path in RESOURCES))


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {}),
        ({}, {"cookie": "session=1"}),
        ({"vary": "accept-encoding"}, {}),
        ({"content-encoding": "gzip", "vary": "accept-encoding"}, {}),
        ({"cache-control": "no-cache"}, {}),
        ({"etag": '"x"'}, {}),
    ],
)
def test_a_page_of_twenty_resources_takes_one_request(delay, fields, sent):
    """One request goes out instead of 21, and every resource is whole, whatever the round trip."""
    site = Site(fields)

    async def scenario(pool):
        answers = await page(pool, **sent)
        for path, (answer, content) in zip(RESOURCES, answers, strict=True):
            whole = gzip.decompress(content) if "content-encoding" in fields else content
            assert (answer.status, answer.source) == (200, Source.PUSH)
            assert whole == path.encode() * (1000 // len(path))
        return pool.push_stats

    stats = visit(site, scenario, delay)
    assert site.log == [("GET", "/")]
    assert (stats.promised, stats.claimed, stats.unclaimed, stats.round_trips_saved) == (20, 20, 0, 20)
    assert stats.bytes_wasted == 0
    assert stats.bytes_claimed > 0


def test_a_push_is_used_once():
    """Used without a test of freshness, so only by the request that it answers; the next one asks the server."""
    site = Site({"cache-control": "no-cache"})

    async def scenario(pool):
        await get(pool, "/")
        return [(await get(pool, "/r0.css"))[0].source for _ in range(2)]

    assert visit(site, scenario) == [Source.PUSH, Source.SERVER]
    assert site.log == [("GET", "/"), ("GET", "/r0.css")]


def test_the_server_hears_what_became_of_its_pushes():
    """The next request to the server says which were used and which were dropped, once; nothing is said where nobody wants it."""
    reports = []

    class Noting(Site):
        async def __call__(self, request):
            reports.append(request.headers.get("push-report"))
            return await super().__call__(request)

    async def scenario(pool):
        await get(pool, "/")
        await get(pool, "/r0.css")
        await get(pool, "/r1.css")
        await get(
            pool, "/form", "POST"
        )  # when it was not refused, what was pushed before may be out of date: it is dropped
        await get(pool, "/elsewhere")
        await get(pool, "/elsewhere")

    def sent(**bounds):
        reports.clear()
        visit(Noting({"cache-control": "no-cache"}), scenario, push_cache=PushCacheSettings(**bounds))
        return [report for report in reports if report is not None]

    assert sent() == ["used=(0 1)", f"unused=({' '.join(map(str, range(2, 20)))})"]
    assert sent(report=False) == []


def test_a_warm_cache_cancels_every_promise():
    """What is stored and fresh is cancelled in the moment of the promise, and answers from the store."""
    site = Site({"cache-control": "max-age=3600"})

    async def main(world):
        async with pool_of(world, store=ResponseStore(PushCacheSettings())) as pool:
            return await scenario(pool), world.server.counters.push.content_bytes

    async def scenario(pool):
        await page(pool)
        again = await page(pool)
        assert {answer.source for answer, _ in again} == {Source.STORE}
        assert [content for _, content in again] == [path.encode() * (1000 // len(path)) for path in RESOURCES]
        await asyncio.sleep(1)
        return pool.push_stats

    stats, sent = in_world(site, main, connected=False)
    assert site.log == [("GET", "/")] * 2
    assert stats.cancelled == {Unused.FRESH: 20}
    assert (stats.claimed, stats.reused, stats.promised) == (20, 20, 40)
    wasted = sent - stats.bytes_claimed
    assert wasted <= stats.bytes_claimed  # sent before the server knew
    sys.stdout.write(f"a warm cache: {wasted} bytes of cancelled pushes sent, {stats.bytes_wasted} received\n")


def test_off_allows_no_push():
    """No MAX_PUSH_ID goes out, so the server can promise nothing."""
    site = Site()

    async def scenario(pool):
        answers = await page(pool)
        assert {answer.source for answer, _ in answers} == {Source.SERVER}
        return pool.push_stats

    assert visit(site, scenario, push="off").promised == 0
    assert len(site.log) == 21


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_may_refuse(is_async):
    """What it refuses is asked for; everything else is taken as ever."""
    site = Site()

    def ask(push):
        return push.request.path != "/r3.css"

    async def ask_later(push):
        await asyncio.sleep(0.01)
        return ask(push)

    async def scenario(pool):
        await page(pool)
        return pool.push_stats

    stats = visit(site, scenario, push=ask_later if is_async else ask)
    assert site.log == [("GET", "/"), ("GET", "/r3.css")]
    assert (stats.claimed, stats.cancelled) == (19, {Unused.REFUSED: 1})


@pytest.mark.parametrize(
    ("fields", "first", "then"),
    [
        ({}, {"authorization": "Bearer a"}, {"authorization": "Bearer b"}),
        ({}, {"authorization": "Bearer a"}, {}),
        ({}, {}, {"authorization": "Bearer b"}),
        ({"cache-control": "private"}, {}, {"cookie": "user=b"}),
        ({"vary": "cookie"}, {}, {"cookie": "user=b"}),
        ({"vary": "accept-language"}, {}, {"accept_language": "de"}),
        ({"vary": "user-agent"}, {}, {"user_agent": "another"}),
        ({"vary": "*"}, {}, {}),
        ({"content-encoding": "gzip"}, {}, {"accept_encoding": "identity"}),
        ({}, {}, {"range": "bytes=0-9"}),
        ({}, {}, {"cache_control": "no-cache"}),
    ],
)
def test_a_push_for_somebody_else_answers_nobody(fields, first, then):
    """A wrong answer is impossible: what could have been made for other fields than these is asked for."""
    site = Site(fields)

    async def scenario(pool):
        await get(pool, "/", **first)
        await asyncio.sleep(1)
        return (await get(pool, "/r0.css", **then))[0].source

    assert visit(site, scenario) is Source.SERVER


@pytest.mark.parametrize(
    ("first", "then"),
    [({"authorization": "Bearer a"}, {"authorization": "Bearer b"}), ({"cookie": "u=a"}, {"cookie": "u=b"})],
)
def test_a_stored_push_answers_only_who_may_have_it(first, then):
    """Our own rule beside hishel's, whose private cache takes one Authorization for another."""
    site = Site({"cache-control": "max-age=3600", "vary": "cookie"}, promise_fields=first)

    async def scenario(pool):
        await get(pool, "/", **first)
        return [(await get(pool, "/r0.css", **one))[0].source for one in (first, first, then)]

    sources = visit(site, scenario, store=ResponseStore(PushCacheSettings()))
    assert sources == [Source.PUSH, Source.STORE, Source.SERVER]


def test_a_post_is_always_sent_and_puts_pushes_out_of_date():
    """RFC 9111 section 4.4, and more: no push that came before an unsafe request answers after it."""
    site = Site({"cache-control": "max-age=3600"})

    async def scenario(pool):
        await get(pool, "/")
        await get(pool, "/r0.css")
        await get(pool, "/r0.css", method="POST")
        assert [(await get(pool, path))[0].source for path in ("/r0.css", "/r1.css")] == [Source.SERVER] * 2
        return pool.push_stats

    stats = visit(site, scenario, store=ResponseStore(PushCacheSettings()))
    assert stats.cancelled == {Unused.CHANGED: 19}


def test_a_promise_of_what_was_asked_for_already_is_cancelled():
    """The answer to the request comes from the request."""
    site = Site(resources=["/r0.css"])

    async def scenario(pool):
        answers = await asyncio.gather(get(pool, "/"), get(pool, "/r0.css"))
        return [answer.source for answer, _ in answers], pool.push_stats

    sources, stats = visit(site, scenario)
    assert sources == [Source.SERVER] * 2
    assert stats.cancelled == {Unused.REQUESTED: 1}


@pytest.mark.parametrize(
    ("bounds", "left"),
    [({"unclaimed": 5}, 5), ({"unclaimed_bytes": 4_000}, 4), ({"unclaimed_seconds": 0.5}, 0)],
)
def test_pushes_that_nobody_claims_are_bounded(bounds, left):
    """By count, bytes and age, the oldest first; what is evicted is wasted, counted, and gives its credit back."""
    site = Site(size=1_000)

    async def scenario(pool):
        for _ in range(3):
            await get(pool, "/")
            await asyncio.sleep(1)
            stats = pool.push_stats
            assert stats.unclaimed == left
            assert stats.promised == stats.claimed + stats.unclaimed + stats.cancelled.total()
        assert stats.bytes_wasted > 0
        return stats

    stats = visit(site, scenario, push_cache=PushCacheSettings(concurrent=20, **bounds))
    if left == 0:
        assert (stats.promised, stats.cancelled) == (60, {Unused.EVICTED: 60})


def test_a_whole_push_gives_its_credit_back_before_it_is_claimed():
    """The cache bounds what it holds itself: a server that waits for credit promises twenty to a client that allows four."""

    async def site(request):
        if request.path == "/":
            for path in RESOURCES:
                await request.push(path, wait=True)
        return h3push.Response(200, {}, b"x")

    async def scenario(pool):
        async with asyncio.timeout(5):
            await page(pool)
        return pool.push_stats

    assert visit(site, scenario, push_cache=PushCacheSettings(concurrent=4)).claimed == 20


def test_what_is_promised_again_while_it_waits_is_cancelled():
    """One answer is enough for one request."""

    async def scenario(pool):
        for _ in range(2):
            await get(pool, "/")
        await asyncio.sleep(1)
        return pool.push_stats

    stats = visit(Site(), scenario)
    assert (stats.unclaimed, stats.cancelled) == (20, {Unused.HELD: 20})


class Slow:
    """A page that pushes `/slow`, which takes a while, and then `/other`."""

    def __init__(self, body=b"slow"):
        self.log = []
        self.body = body

    async def __call__(self, request):
        if request.push_id is None:
            self.log.append(request.path)
        if request.path == "/":
            await request.push("/slow")
            await asyncio.sleep(1)
            await request.push("/other")
        elif request.path == "/slow" and request.push_id is not None:
            await asyncio.sleep(3)
            return h3push.Response(200, {}, self.body if isinstance(self.body, bytes) else self.body())
        return h3push.Response(200, {}, b"x")


def test_a_push_that_somebody_waits_for_is_not_evicted():
    """Neither by count nor by age."""
    site = Slow()

    async def scenario(pool):
        page = asyncio.create_task(get(pool, "/"))
        await asyncio.sleep(0.4)
        answer, content = await get(pool, "/slow")
        await page
        return answer.source, content

    bounds = PushCacheSettings(unclaimed=1, unclaimed_seconds=1)
    assert visit(site, scenario, push_cache=bounds) == (Source.PUSH, b"slow")
    assert site.log == ["/"]


def test_a_claimed_push_has_the_time_outs_of_the_request():
    """`read`: to begin, or the server is asked; and from one piece to the next, or it is an error."""

    async def stalled():
        yield b"a piece"
        await asyncio.sleep(100)
        yield b"and another"

    async def scenario(pool):
        await get(pool, "/")
        answer = await pool.request("GET", "https://origin.example/slow", timeouts={"read": 1.0})
        assert answer.source is Source.SERVER  # it had not begun
        await answer.read()
        await asyncio.sleep(3)
        async with await pool.request("GET", "https://origin.example/slow", timeouts={"read": 2.0}) as answer:
            assert answer.source is Source.PUSH
            began = asyncio.get_running_loop().time()
            with pytest.raises(h3push.ReadTimeout):
                await answer.read()
            return asyncio.get_running_loop().time() - began

    assert 2 <= visit(Slow(stalled), scenario) < 2.5


def test_a_page_that_was_read_goes_on_bringing_promises():
    """Its content is there by its length; its stream stays open behind it, and what comes on it is taken."""

    async def site(request):
        async def body():
            yield b"page"
            await asyncio.sleep(1)
            await request.push("/late")

        return h3push.Response(
            200, {"content-length": "4"} if request.path == "/" else {}, body() if request.path == "/" else b"l"
        )

    async def scenario(pool):
        await get(pool, "/")
        await asyncio.sleep(3)
        return (await get(pool, "/late"))[0].source

    assert visit(site, scenario) is Source.PUSH


def test_a_push_that_fails_half_way_is_an_error_and_never_short():
    """A claimed push whose server gives up raises; what fails before it began is asked for."""

    async def half():
        yield b"half"
        await asyncio.sleep(1)
        raise RuntimeError("the rest is not there")

    log = []

    async def site(request):
        if request.path == "/":
            await request.push("/half")
            return h3push.Response(200, {}, b"page")
        if request.push_id is None:
            log.append(request.path)
            return h3push.Response(200, {}, b"whole")
        return h3push.Response(200, {}, half())

    async def scenario(pool):
        await get(pool, "/")
        with pytest.raises(h3push.H3PushError):
            await get(pool, "/half")
        return await get(pool, "/half")

    answer, content = visit(site, scenario)
    assert (answer.source, content) == (Source.SERVER, b"whole")
    assert log == ["/half"]


@pytest.mark.parametrize("ending", ["raises", "cancels"])
def test_an_unclaimed_push_that_ends_half_way_is_counted_as_failed(ending):
    """However its server ends it, a push whose response had begun is FAILED in the statistics; WITHDRAWN is one that had not."""

    async def half(push):
        yield b"half"
        await asyncio.sleep(1)
        if ending == "raises":
            raise RuntimeError("the rest is not there")
        push.cancel()
        await asyncio.sleep(1)

    pushes = {}

    async def site(request):
        if request.path == "/":
            for path in ("/half", "/waits"):
                pushes[path] = await request.push(path)
            asyncio.get_running_loop().call_later(1, pushes["/waits"].cancel)
            return h3push.Response(200, {}, b"page")
        if request.path == "/waits":
            await asyncio.sleep(10)
        return h3push.Response(200, {}, half(pushes["/half"]))

    async def scenario(pool):
        await get(pool, "/")
        await asyncio.sleep(3)
        return pool.push_stats

    stats = visit(site, scenario)
    assert stats.cancelled == {Unused.FAILED: 1, Unused.WITHDRAWN: 1}
    assert (stats.promised, stats.unclaimed, stats.bytes_wasted) == (2, 0, 4)


def test_another_origin_has_nothing_of_it():
    """A push answers for its own authority alone."""
    site = Site()

    async def main(world: World):
        async with pool_of(world, settings=PoolSettings()) as pool:
            await get(pool, "/")
            with pytest.raises(h3push.H3PushError):
                await pool.request("GET", "https://origin.example:8443/r0.css", timeouts={"connect": 1.0})
            return pool.push_stats.claimed

    assert in_world(site, main, connected=False) == 0


def test_what_the_store_has_no_room_for_is_pushed_again():
    """An answer that was evicted is not fresh any more: its promise is taken."""
    site = Site({"cache-control": "max-age=3600"})

    async def scenario(pool):
        await page(pool)
        await get(pool, "/")
        return pool.push_stats

    bounds = PushCacheSettings(stored_bytes=8_000)
    stats = visit(site, scenario, store=ResponseStore(bounds), push_cache=bounds)
    assert (stats.cancelled, stats.unclaimed) == ({Unused.FRESH: 8}, 12)


def test_whoever_waits_for_a_connection_when_the_client_closes_is_not_cancelled():
    """The caller gets an error of ours, and its task lives on."""

    async def main(world):
        pool = pool_of(world)
        waiting = asyncio.create_task(get(pool, "/"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(h3push.ConnectFailed, match="closed"):
            await waiting

    in_world(Site(), main, connected=False)
