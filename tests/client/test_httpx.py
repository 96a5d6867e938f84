"""httpx and httpx2 over HTTP/3: their own features, unchanged, and pushes that answer their requests; in virtual time."""

import asyncio
import gzip
import json
import time
from email.utils import formatdate

import httpx
import httpx2
import pytest

import h3push
from h3push.client.alternatives import Alternative, Alternatives, parse
from h3push.client.push_stats import Unused
from h3push.http.url import Origin
from h3push.httpx import AsyncTransport
from h3push.runtime.settings import PoolSettings
from h3push.testing import LinkSettings, in_world

BOTH = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
RESOURCES = [f"/r{number}.css" for number in range(20)]


class Site:
    """Something of everything; logs the requests that were sent."""

    def __init__(self, fields=None):
        self.log = []
        self.fields = fields or {}

    async def __call__(self, request):
        if request.push_id is None:
            self.log.append(request.path)
        path = request.path.partition("?")[0]
        if path == "/":
            for resource in RESOURCES:
                await request.push(resource)
            return h3push.Response(200, {"set-cookie": "seen=1", "content-type": "text/html"}, b"page")
        if path == "/echo":
            seen = {"method": request.method, "query": request.path, "headers": dict(request.headers.items())}
            body = (await request.read()).decode("latin-1")
            return h3push.Response(
                200, {"content-type": "application/json"}, json.dumps({**seen, "body": body}).encode()
            )
        if path == "/moved":
            return h3push.Response(302, {"location": "/echo", "set-cookie": "moved=1"})
        if path == "/private":
            return h3push.Response(200 if "authorization" in request.headers else 401, {"www-authenticate": "Basic"})
        if path == "/slow":
            await asyncio.sleep(30)
        content = request.path.encode() * 100
        if self.fields.get("content-encoding") == "gzip":
            content = gzip.compress(content)
        return h3push.Response(200, {"date": formatdate(time.time(), usegmt=True), **self.fields}, content)


def with_client(library, scenario, site=None, delay=0.05, client_options=None, **options):
    site = site or Site()

    async def main(world):
        def dial(url, *, max_pushes, on_push, address):
            driver = world.client_endpoint(max_pushes)
            return h3push.connect(url, driver=driver, max_pushes=max_pushes, on_push=on_push)

        transport = AsyncTransport(dial=dial, verify=False, **{"fallback": False, **options})
        base = {"base_url": "https://origin.example", **(client_options or {})}
        async with library.AsyncClient(transport=transport, **base) as client:
            return await scenario(client, transport)

    return in_world(site, main, connected=False, link=LinkSettings(delay=delay))


@BOTH
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("fields", [{}, {"vary": "accept-encoding"}, {"content-encoding": "gzip"}])
def test_a_page_of_twenty_resources_takes_one_request(library, delay, fields):
    """With the library's own fields and cookies; the server's log and the client's statistics say the same."""
    site = Site(fields)

    async def scenario(client, transport):
        page = await client.get("/")
        assert not page.extensions["pushed"]
        assert client.cookies["seen"] == "1"
        answers = await asyncio.gather(*(client.get(path) for path in RESOURCES))
        for path, answer in zip(RESOURCES, answers, strict=True):
            assert answer.content == path.encode() * 100
            assert answer.extensions["pushed"]
            assert answer.http_version == "HTTP/3"
        return transport.push_stats

    stats = with_client(library, scenario, site, delay)
    assert site.log == ["/"]
    assert (stats.promised, stats.claimed, stats.cancelled.total()) == (20, 20, 0)


@BOTH
def test_what_is_stored_is_used_until_it_is_stale_and_its_promises_are_cancelled(library):
    """A warm cache: two requests in all, and 20 promises cancelled because they are fresh."""
    site = Site({"cache-control": "max-age=600"})

    async def scenario(client, transport):
        for _ in range(2):
            await client.get("/")
            answers = [await client.get(path) for path in RESOURCES]
            assert [answer.content for answer in answers] == [path.encode() * 100 for path in RESOURCES]
        assert answers[0].extensions["stream_id"] is None
        return transport.push_stats

    stats = with_client(library, scenario, site)
    assert site.log == ["/", "/"]
    assert stats.cancelled == {Unused.FRESH: 20}


@BOTH
def test_the_promises_can_be_seen(library):
    """`pushes` among the extensions; to see them takes nothing away."""

    async def scenario(client, transport):
        async with client.stream("GET", "/") as page:
            await page.aread()
            seen = [promise.path async for promise in page.extensions["pushes"]]
        assert seen == RESOURCES
        assert (await client.get(RESOURCES[3])).extensions["pushed"]

    with_client(library, scenario)


@BOTH
def test_the_librarys_own_features_work(library):
    """Forms, JSON, multipart, streaming both ways, redirects, cookies, auth, event hooks."""

    async def pieces():
        for number in range(3):
            await asyncio.sleep(0.1)
            yield b"%d" % number

    hooked = []

    async def hook(response):
        hooked.append(response.status_code)

    async def scenario(client, _transport):
        client.event_hooks = {"response": [hook]}
        echo = (await client.post("/echo?a=b c", json={"x": 1})).json()
        assert (echo["method"], echo["query"]) == ("POST", "/echo?a=b%20c")
        assert json.loads(echo["body"]) == {"x": 1}
        assert "host" not in echo["headers"]
        assert "connection" not in echo["headers"]
        assert (await client.post("/echo", content=pieces())).json()["body"] == "012"
        form = (await client.post("/echo", files={"file": ("a.txt", b"data")}, data={"b": "c"})).json()
        assert 'filename="a.txt"' in form["body"]
        moved = await client.get("/moved", follow_redirects=True)
        assert moved.json()["headers"]["cookie"] == "moved=1"
        assert [one.status_code for one in moved.history] == [302]
        assert (await client.get("/private")).status_code == 401
        assert (await client.get("/private", auth=("user", "secret"))).status_code == 200
        async with client.stream("GET", "/r5.css") as response:
            assert b"".join([piece async for piece in response.aiter_bytes()]) == b"/r5.css" * 100
        assert hooked[0] == 200

    with_client(library, scenario)


@BOTH
def test_a_hundred_at_once_share_one_connection(library):
    async def scenario(client, transport):
        await asyncio.gather(*(client.get(f"/{number}") for number in range(100)))
        return len(transport._sender.pool.connections)

    assert with_client(library, scenario) == 1


@BOTH
def test_errors_are_the_librarys(library):
    """By kind: time-outs apart from failures, connecting apart from reading."""

    async def scenario(client, _transport):
        with pytest.raises(library.ReadTimeout):
            await client.get("/slow", timeout=2)
        with pytest.raises(library.ConnectError):
            await client.get("https://nowhere.example/")
        with pytest.raises(library.ConnectTimeout):
            await client.get("https://192.0.2.99/", timeout=2)
        with pytest.raises(library.LocalProtocolError, match="certificate"):
            await client.get("/", headers={"host": "another.example"})  # it is the authority, as everywhere
        with pytest.raises(library.UnsupportedProtocol):
            await client.get("http://origin.example/")

    with_client(library, scenario)


@BOTH
def test_a_cancelled_request_leaves_the_connection_usable(library):
    async def scenario(client, transport):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.get("/slow")
        assert (await client.get("/r1.css")).status_code == 200
        return len(transport._sender.pool.connections)

    assert with_client(library, scenario) == 1


class Ordinary:
    """An ordinary transport that answers itself."""

    def __init__(self, library, alt_svc=None):
        self.library = library
        self.alt_svc = alt_svc
        self.asked = []

    async def handle_async_request(self, request):
        self.asked.append(str(request.url))
        headers = {} if self.alt_svc is None else {"alt-svc": self.alt_svc}
        return self.library.Response(200, headers=headers, content=b"ordinary")

    async def aclose(self):
        pass


@BOTH
def test_the_ordinary_transport_takes_over_where_nothing_answers(library):
    """After the head start, once: the origin is remembered, so the next request does not wait; and tried again later."""

    async def scenario(client, _transport):
        loop = asyncio.get_running_loop()
        times = []
        for wait in (0, 0, 200):
            await asyncio.sleep(wait)
            began = loop.time()
            assert (await client.get("https://192.0.2.99/")).content == b"ordinary"
            times.append(round(loop.time() - began, 3))
        assert (await client.get("/r1.css")).http_version == "HTTP/3"
        assert (await client.get("http://origin.example/")).content == b"ordinary"
        return times

    settings = PoolSettings(head_start=0.4, retry_after=100)
    assert with_client(library, scenario, fallback=Ordinary(library), settings=settings) == [0.4, 0, 0.4]


@BOTH
def test_alt_svc_that_the_ordinary_transport_sees_is_used(library):
    """RFC 7838: HTTP/3 is tried where the origin says; an offer of what was silent changes nothing."""
    ordinary = Ordinary(library, 'h3="192.0.2.98:4433"; ma=60')
    dialled = []

    async def scenario(client, transport):
        dial = transport._sender.pool.connections._connect

        def recorded(url, **options):
            dialled.append(options["address"])
            return dial(url, **options)

        transport._sender.pool.connections._connect = recorded
        for _ in range(3):
            await client.get("https://192.0.2.99/")

    with_client(library, scenario, fallback=ordinary, settings=PoolSettings(head_start=0.2))
    assert dialled[0] is None
    assert len(ordinary.asked) == 3


@pytest.mark.parametrize(("value", "place"), [
    ('h3=":8443"', ("example.org", 8443)),
    ('h2=":443", h3="alt.example:444"; ma=10', ("alt.example", 444)),
    ("clear", None), ("h3=443", None), ('h3=":0"', None), ('h3=":99999"', None), ('h3-29=":443"', None), ("", None),
])  # fmt: skip
def test_alt_svc_is_read_as_rfc_7838_says(value, place):
    offer = parse(value, Origin("example.org", 443))
    assert (None if offer is None else (offer.place.host, offer.place.port)) == place


def test_what_is_known_of_origins_is_bounded_and_ends():
    known = Alternatives(2, 10)
    for number in range(5):
        known.seen(Origin(f"{number}.example", 443), 'h3=":444"; ma=5', 0)
    assert known.of(Origin("0.example", 443), 1) == Alternative("0.example", 443)
    assert known.of(Origin("4.example", 443), 1) == Alternative("4.example", 444)
    assert known.of(Origin("4.example", 443), 6) == Alternative("4.example", 443)


def test_mounts_give_one_origin_to_http3():
    """`mounts=` alone moves a program that exists."""

    async def main(world):
        def dial(url, *, max_pushes, on_push, address):
            return h3push.connect(url, driver=world.client_endpoint(max_pushes), max_pushes=max_pushes, on_push=on_push)

        mounts = {"https://origin.example": AsyncTransport(dial=dial, verify=False)}
        async with httpx.AsyncClient(mounts=mounts) as client:
            return (await client.get("https://origin.example/r0.css")).http_version

    assert in_world(Site(), main, connected=False) == "HTTP/3"


def test_a_client_of_ours_is_httpx2s():
    """`h3push.AsyncClient` takes httpx2's arguments."""
    client = h3push.AsyncClient(push="off", verify=False, base_url="https://origin.example", headers={"x": "y"})
    assert isinstance(client, httpx2.AsyncClient)
    assert client.headers["x"] == "y"
    assert client.push_stats.promised == 0
