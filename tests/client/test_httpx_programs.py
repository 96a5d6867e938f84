"""Programs of the kinds that the documentation of httpx and httpx2 shows, over HTTP/3 by `transport=` alone; in virtual time."""

import asyncio
import hashlib
import json
import zlib
from urllib.parse import parse_qsl

import pytest

import h3push

from .test_httpx import BOTH, with_client


def answer(status=200, fields=None, content=b""):
    return h3push.Response(status, fields or {}, content)


def told(value):
    return answer(200, {"content-type": "application/json"}, json.dumps(value).encode())


class Notes:
    """What people write around a client."""

    def __init__(self, client):
        self.http = client

    async def add(self, name, text):
        made = await self.http.put(f"/notes/{name}", json={"text": text}, params={"draft": "no"})
        made.raise_for_status()
        return made.json()

    async def text(self, name):
        found = await self.http.get(f"/notes/{name}")
        return found.raise_for_status().json()["text"]

    async def remove(self, name):
        assert (await self.http.delete(f"/notes/{name}")).status_code == 204

    async def exists(self, name):
        return (await self.http.head(f"/notes/{name}")).is_success


@BOTH
def test_a_class_of_an_api_with_a_client_inside(library):
    """Base URL, default fields, parameters, JSON both ways, every method, `raise_for_status`."""
    notes = {}

    async def site(request):
        assert request.headers["x-client"] == "notes/1"
        path, _, query = request.path.partition("?")
        name = path.removeprefix("/api/notes/")
        if request.method == "PUT":
            assert query == "draft=no"
            notes[name] = json.loads(await request.read())
            return answer(201, {"content-type": "application/json"}, json.dumps(notes[name]).encode())
        if name not in notes:
            return answer(404)
        if request.method == "DELETE":
            del notes[name]
            return answer(204)
        return told(notes[name])

    async def scenario(client, _transport):
        api = Notes(client)
        assert await api.add("a", "é") == {"text": "é"}
        assert await api.text("a") == "é"
        assert await api.exists("a")
        await api.remove("a")
        assert not await api.exists("a")
        with pytest.raises(library.HTTPStatusError, match="404"):
            await api.text("a")

    options = {"base_url": "https://origin.example/api", "headers": {"x-client": "notes/1"}}
    with_client(library, scenario, site, client_options=options)


@BOTH
def test_streaming_down_by_bytes_lines_and_text(library):
    """Pieces come as the server sends them; lines and characters that are cut between pieces are whole."""

    async def pieces():
        for piece in (b"one\ntw", b"o\ncaf\xc3", b"\xa9\n"):
            yield piece
            await asyncio.sleep(1)

    async def site(_request):
        return answer(200, {"content-type": "text/plain; charset=utf-8"}, pieces())

    async def scenario(client, _transport):
        loop = asyncio.get_running_loop()
        async with client.stream("GET", "/") as response:
            began, moments = loop.time(), []
            async for _ in response.aiter_raw():
                moments.append(round(loop.time() - began))
            assert moments == [0, 1, 2]
            assert response.num_bytes_downloaded == 14
        async with client.stream("GET", "/") as response:
            assert [line async for line in response.aiter_lines()] == ["one", "two", "café"]
        async with client.stream("GET", "/") as response:
            assert "".join([text async for text in response.aiter_text()]) == "one\ntwo\ncafé\n"
        async with client.stream("GET", "/") as response:
            assert response.status_code == 200  # and the rest is not wanted
        assert (await client.get("/")).text.endswith("café\n")

    with_client(library, scenario, site)


@BOTH
def test_uploads_from_files_iterators_and_forms(library, tmp_path):
    """Multipart with files and fields, a file as content, bytes from an iterator: all of it arrives, and once."""
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 4000)
    seen = []

    async def site(request):
        content = await request.read()
        seen.append((request.headers.get("content-type", "").partition(";")[0], len(content), content[:3]))
        return told({"sha": hashlib.sha256(content).hexdigest(), "length": request.headers.get("content-length")})

    async def parts():
        for _ in range(40):
            yield b"x" * 25_000

    async def scenario(client, _transport):
        whole = (tmp_path / "big.bin").read_bytes()
        with (tmp_path / "big.bin").open("rb") as file:
            form = await client.post("/", files={"upload": ("big.bin", file, "application/x-big")}, data={"k": "v"})
        assert int(form.json()["length"]) > len(whole)
        sent = await client.post("/", content=whole)
        assert sent.json() == {"sha": hashlib.sha256(whole).hexdigest(), "length": str(len(whole))}
        streamed = (await client.post("/", content=parts())).json()
        assert streamed == {"sha": hashlib.sha256(b"x" * 1_000_000).hexdigest(), "length": None}
        await client.post("/", data={"a": "b c", "d": ["1", "2"]})

    with_client(library, scenario, site)
    kinds = [kind for kind, _, _ in seen]
    assert kinds == ["multipart/form-data", "", "", "application/x-www-form-urlencoded"]
    assert [length for _, length, _ in seen[1:]] == [1_024_000, 1_000_000, 13]


@BOTH
def test_an_auth_flow_of_several_requests(library):
    """A scheme of one's own that reads the refusal, fetches a token, and sends the request again with its content; digest too."""
    log = []

    class Tokens(library.Auth):
        requires_response_body = True
        requires_request_body = True

        def __init__(self):
            self.token = "none"

        def auth_flow(self, request):
            request.headers["authorization"] = f"Bearer {self.token}"
            refused = yield request
            if refused.status_code == 401:
                fetched = yield library.Request("POST", request.url.join("/token"), content=refused.content)
                self.token = fetched.text
                request.headers["authorization"] = f"Bearer {self.token}"
                yield request

    async def site(request):
        log.append((request.method, request.path, request.headers.get("authorization")))
        if request.path == "/token":
            return answer(200, {}, b"token-of-" + await request.read())
        if request.path == "/digest":
            if "authorization" in request.headers:
                assert 'username="u"' in request.headers["authorization"]
                return answer(200, {}, b"digested")
            challenge = 'Digest realm="r", qop="auth", nonce="n", opaque="o", algorithm=SHA-256'
            return answer(401, {"www-authenticate": challenge})
        if request.headers["authorization"] != "Bearer token-of-challenge":
            return answer(401, {}, b"challenge")
        return answer(200, {}, await request.read())

    async def scenario(client, _transport):
        tokens = Tokens()
        assert (await client.post("/thing", content=b"twice", auth=tokens)).content == b"twice"
        assert (await client.post("/thing", content=b"once", auth=tokens)).content == b"once"
        assert (await client.get("/digest", auth=library.DigestAuth("u", "p"))).content == b"digested"

    with_client(library, scenario, site)
    assert [path for _, path, _ in log] == ["/thing", "/token", "/thing", "/thing", "/digest", "/digest"]


@BOTH
def test_event_hooks_see_and_change_every_request(library):
    """Request hooks add fields, response hooks may read and raise; both run for redirects."""
    requests, responses = [], []

    async def sign(request):
        request.headers["x-signature"] = str(len(requests))
        requests.append(request.url.path)

    async def look(response):
        await response.aread()
        responses.append((response.status_code, response.http_version, len(response.content)))
        if response.status_code == 500:
            raise ValueError("the hook's own")

    async def site(request):
        assert "x-signature" in request.headers
        if request.path == "/from":
            return answer(303, {"location": "/to"})
        return answer(500 if request.path == "/broken" else 200, {}, request.method.encode())

    async def scenario(client, _transport):
        assert (await client.post("/from", content=b"x", follow_redirects=True)).content == b"GET"
        with pytest.raises(ValueError, match="own"):
            await client.get("/broken")

    with_client(library, scenario, site, client_options={"event_hooks": {"request": [sign], "response": [look]}})
    assert requests == ["/from", "/to", "/broken"]
    assert responses == [(303, "HTTP/3", 0), (200, "HTTP/3", 3), (500, "HTTP/3", 3)]


@BOTH
def test_cookies_are_kept_sent_and_deleted(library):
    """Several Set-Cookie lines, paths, deletion, and cookies of the caller's own; other hosts get none of them."""

    async def site(request):
        if request.path == "/login":
            fields = [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; Path=/deep"), ("set-cookie", "own=3; Secure")]
            return answer(200, fields)
        if request.path == "/logout":
            return answer(200, {"set-cookie": "a=; Max-Age=0; Path=/"})
        return told(dict(pair.split("=") for pair in request.headers.get("cookie", "").split("; ") if pair))

    async def scenario(client, _transport):
        await client.get("/login")
        assert (await client.get("/")).json() == {"a": "1", "own": "3", "mine": "0"}
        assert (await client.get("/deep/er")).json() == {"a": "1", "b": "2", "own": "3", "mine": "0"}
        await client.get("/logout")
        assert (await client.get("/")).json() == {"own": "3", "mine": "0"}

    with_client(library, scenario, site, client_options={"cookies": {"mine": "0"}})


@BOTH
def test_redirects_of_every_kind(library):
    """303 becomes GET, 307 sends the content again, a loop ends; Authorization does not follow to another host."""

    async def site(request):
        path, _, query = request.path.partition("?")
        if path == "/loop":
            return answer(302, {"location": "/loop"})
        if path == "/goes":
            wanted = dict(parse_qsl(query))
            return answer(int(wanted["status"]), {"location": "/came"})
        return told([request.method, (await request.read()).decode(), request.headers.get("authorization")])

    async def pieces():
        yield b"once"

    async def scenario(client, _transport):
        client.follow_redirects = True
        for status, method, content in (
            (301, "GET", ""),
            (303, "GET", ""),
            (307, "POST", "data"),
            (308, "POST", "data"),
        ):
            came = await client.post(f"/goes?status={status}", content=b"data", headers={"authorization": "Bearer t"})
            assert came.json() == [method, content, "Bearer t"]
            assert [one.status_code for one in came.history] == [status]
        with pytest.raises(library.TooManyRedirects):
            await client.get("/loop")
        with pytest.raises(library.StreamConsumed):
            await client.post("/goes?status=307", content=pieces())
        answered = await client.get("/goes?status=302", follow_redirects=False)
        assert str(answered.next_request.url) == "https://origin.example/came"

    with_client(library, scenario, site)


@BOTH
def test_content_is_decoded_by_the_library(library):
    """Deflate as httpx asks for it; a raw reader sees the coded bytes."""
    coded = zlib.compress(b"decoded" * 100)

    async def site(request):
        assert "deflate" in request.headers["accept-encoding"]
        return answer(200, {"content-encoding": "deflate", "content-type": "text/plain"}, coded)

    async def scenario(client, _transport):
        assert (await client.get("/")).text == "decoded" * 100
        async with client.stream("GET", "/") as response:
            assert b"".join([piece async for piece in response.aiter_raw()]) == coded

    with_client(library, scenario, site)


async def slow():
    yield b"begun"
    await asyncio.sleep(8)
    yield b"done"


async def endless():
    while True:
        yield b"x" * 65_536


@BOTH
@pytest.mark.parametrize("where", ["client", "request"])
def test_each_time_out_is_its_own(library, where):
    """Read between pieces, read before the answer, write while nobody takes the content; none where there is none."""

    async def site(request):
        if request.path == "/late":
            await asyncio.sleep(8)
        if request.path == "/deaf":
            await asyncio.sleep(100)
        return answer(200, {}, slow() if request.path == "/slow" else b"done")

    async def scenario(client, _transport):
        def options(**seconds):
            limits = library.Timeout(None, **seconds)
            if where == "request":
                return {"timeout": limits}
            client.timeout = limits
            return {}

        for path in ("/late", "/slow"):
            with pytest.raises(library.ReadTimeout):
                await client.get(path, **options(read=3))
            assert (await client.get(path, **options())).content.endswith(b"done")
        with pytest.raises(library.WriteTimeout):
            await client.post("/deaf", content=endless(), **options(write=3))
        with pytest.raises(library.ConnectTimeout):
            await client.get("https://192.0.2.99/", **options(connect=3))

    with_client(library, scenario, site)


@BOTH
def test_a_program_gives_up_and_goes_on(library):
    """Tasks that are cancelled, responses that are closed half read and sent by hand: the next request works."""

    async def endless():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    async def site(request):
        return answer(200, {}, endless() if request.path == "/endless" else b"fine")

    async def scenario(client, transport):
        request = client.build_request("GET", "/endless", headers={"x": "y"})
        response = await client.send(request, stream=True)
        async for _ in response.aiter_bytes():
            break
        await response.aclose()
        task = asyncio.create_task(client.get("/endless"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.get("/")).content == b"fine"
        assert response.elapsed.total_seconds() >= 0
        return len(transport._sender.pool.connections), next(iter(transport._sender.pool.connections.values())).session

    connections, session = with_client(library, scenario, site)
    assert connections == 1
    assert session.exchanges == {}
