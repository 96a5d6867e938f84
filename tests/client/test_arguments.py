"""Arguments of the client: taken as people write them, refused by name where they make no sense (issue 9, points 25, 31, 32)."""

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.client.handshake import certificate_sentence
from h3push.http.url import encode_target, parse_url
from h3push.testing import World, in_world, make_identity
from h3push.testing import identity as identities


def echo(request: h3push.Request) -> h3push.Response:
    fields = {"target": request.path, "authority": request.authority}
    return h3push.Response(200, fields | {"authorization": request.headers.get("authorization", "-")})


# point 25


def test_a_client_opens_once() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(RuntimeError, match="make a new one"):
            await world.client.open()
        assert (await world.client.get("/")).status == 200

    in_world(echo, scenario)


def test_a_client_that_could_not_connect_may_be_tried_again() -> None:
    async def scenario(world: World) -> None:
        client = world.connect()
        world.network.remove(world.server_driver)
        with pytest.raises(h3push.ConnectFailed):
            await client.open()
        with pytest.raises(h3push.ConnectFailed):
            await client.open()

    in_world(echo, scenario, connected=False)


def test_a_client_that_is_dropped_open_warns_and_closes() -> None:
    async def scenario(world: World) -> None:
        client = world.connect()
        await client.open()
        await (await client.get("/")).read()
        assert world.server.connections == 1
        clients = [client]
        del client
        with pytest.warns(ResourceWarning, match="dropped while it was open"):
            clients.clear()
        await asyncio.sleep(1)
        assert world.server.connections == 0

    in_world(echo, scenario, connected=False)


# point 31


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://EXAMPLE.org:8443/ä b?q=ö#part", "example.org", 8443, "/%C3%A4%20b?q=%C3%B6"),
        ("https://[::1]:4433/%41", "::1", 4433, "/%41"),
        ("https://user:pw@example.org", "example.org", 443, "/"),
    ],
)
def test_urls_are_taken_as_people_type_them(url: str, host: str, port: int, target: str) -> None:
    parsed = parse_url(url)
    assert (parsed.origin.host, parsed.origin.port, parsed.target) == (host, port, target)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://example.org:0/", "port 0"),
        ("https://example.org:99999/", "port out of range"),
        ("http://example.org/", "needs an https URL"),
        ("https:///path", "needs an https URL"),
        ("https://exa mple.org/", "no host name"),
        ("https://example.org/\udcff", "not UTF-8"),
        ("https://[::1/", "is no URL"),
    ],
)
def test_urls_that_lead_nowhere_are_refused_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        h3push.connect(url)
    assert "\n" not in str(refused.value)


def test_other_letters_in_a_path_are_encoded() -> None:
    async def scenario(world: World) -> str:
        return (await world.client.get("/größe a?x=é&y=%20")).headers["target"]

    assert in_world(echo, scenario) == "/gr%C3%B6%C3%9Fe%20a?x=%C3%A9&y=%20"
    assert encode_target("/a%2Fb?c=[d]") == "/a%2Fb?c=[d]"


def test_user_name_and_password_become_basic_for_their_own_host_alone() -> None:
    """RFC 7617, decoded from the URL first; a field that the caller gives wins; another authority does not get it."""

    async def scenario(world: World) -> list[str]:
        driver = world.client_endpoint()
        async with h3push.connect("https://me%40home:p%3Aw@origin.example/", driver=driver) as client:
            return [
                (await client.request("GET", "/", headers=headers, authority=authority)).headers["authorization"]
                for headers, authority in ((None, None), ({"Authorization": "Bearer x"}, None), (None, "other.example"))
            ]

    identity = make_identity(["origin.example", "other.example"])
    basic = "Basic " + base64.b64encode(b"me@home:p:w").decode()
    assert in_world(echo, scenario, connected=False, identity=identity) == [basic, "Bearer x", "-"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"url": b"https://example.org/"}, "url"),
        ({"max_pushes": "3"}, "max_pushes"),
        ({"max_pushes": True}, "max_pushes"),
        ({"settings": {}}, "settings"),
        ({"config": 1}, "config"),
        ({"tls": "ca.pem"}, "tls"),
        ({"cafile": 3}, "cafile"),
    ],
)
def test_connect_names_the_argument_that_has_the_wrong_type(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be"):
        h3push.connect(**{"url": "https://example.org/", **arguments})


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"method": b"GET"}, "method"),
        ({"path": None}, "path"),
        ({"path": b"/"}, "path"),
        ({"headers": 5}, "headers"),
        ({"headers": {"x": 1}}, "headers"),
        ({"headers": "x: y"}, "headers"),
        ({"content": 5}, "content"),
        ({"content": {"a": 1}}, "content"),
        ({"content": ["text"]}, "content"),
        ({"priority": "u=1"}, "priority"),
        ({"authority": b"x"}, "authority"),
        ({"timeouts": {"reed": 1}}, "timeouts"),
        ({"timeouts": {"read": "1"}}, "timeouts"),
    ],
)
def test_a_request_names_the_argument_that_has_the_wrong_type(arguments: dict[str, Any], name: str) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(TypeError, match=rf"^{name}"):
            await world.client.request(**{"method": "POST", "path": "/", **arguments})
        assert (await world.client.get("/")).status == 200

    in_world(echo, scenario)


def trial(identity: identities.Identity, trust: bytes | None = None, host: str = "origin.example") -> str:
    """The sentence of the failure to connect to a server with this certificate."""

    async def scenario(world: World) -> str:
        with pytest.raises(h3push.ConnectFailed) as failed:
            await world.connect().open()
        assert failed.value.kind is h3push.ConnectFailure.CERTIFICATE
        return str(failed.value)

    tls = h3push.ClientTls(trust=identity.authority if trust is None else trust)
    server = h3push.ServerTls([(identity.certificate, identity.key)])
    return in_world(
        lambda _: h3push.Response(), scenario, connected=False, server_tls=server, client_tls=tls, host=host
    )


def test_certificate_errors_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong name, unknown issuer, expired, not yet valid: each its own sentence; an authority helps with one of them only."""
    other = make_identity(["other.example"], seed=0)
    wrong = trial(other)
    assert "is not for origin.example" in wrong
    assert "other.example" in wrong
    unknown = trial(make_identity(["origin.example"], seed=1), trust=make_identity(["x.example"], seed=2).authority)
    assert "is not trusted" in unknown
    monkeypatch.setattr(identities, "_NOT_AFTER", datetime(2021, 1, 1, tzinfo=UTC))
    expired = trial(make_identity(["origin.example"], seed=0))
    assert "origin.example has expired" in expired
    sentences = [
        wrong,
        expired,
        certificate_sentence("a.example", "the certificate is not valid before another 3 days"),
    ]
    assert "not valid yet, for another 3 days: is the clock right?" in sentences[2]
    assert not any("cacert" in sentence for sentence in sentences)
    assert "cacert" in certificate_sentence("a.example", "the certificate is not trusted: no authority that we trust")
    for sentence in [*sentences, unknown]:
        assert "verify=False" not in sentence


def test_no_debug_text_of_rust_reaches_people() -> None:
    sentence = certificate_sentence("a.example", "the certificate is not acceptable: CaUsedAsEndEntity")
    assert sentence == "the certificate of a.example is not acceptable: ca used as end entity"


# point 32


def test_none_is_no_limit_for_every_time_out() -> None:
    """On both ends: what takes two hours is waited for."""
    client = h3push.ClientSettings(
        connect_timeout=None,
        idle_timeout=None,
        request_timeout=None,
        response_timeout=None,
        read_timeout=None,
        drain_timeout=None,
        push_timeout=None,
    )
    server = h3push.ServerSettings(
        idle_timeout=None,
        handshake_timeout=None,
        request_timeout=None,
        read_timeout=None,
        drain_timeout=None,
        first_request_timeout=None,
    )

    async def handler(request: h3push.Request) -> None:
        if request.path == "/":
            request.push_nowait("/slow")
        await asyncio.sleep(7200)
        await request.start_response(200)
        await asyncio.sleep(7200)
        await request.send(request.path.encode())

    async def scenario(world: World) -> tuple[bytes, bytes]:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        return await response.read(), await (await push.response()).read()

    config = h3push.H3Config(push_promise_timeout=None, push_stream_timeout=None)
    answers = in_world(
        handler, scenario, max_pushes=1, client_settings=client, server_settings=server, client_config=config
    )
    assert answers == (b"/", b"/slow")


def test_a_negative_number_of_pushes_is_refused() -> None:
    with pytest.raises(ValueError, match="max_pushes must not be negative"):
        h3push.connect("https://example.org/", max_pushes=-1)


def test_a_request_may_have_time_outs_of_its_own() -> None:
    """`timeouts` overrides what it names, `None` included, and leaves the rest to the settings."""

    async def handler(request: h3push.Request) -> h3push.Response:
        await asyncio.sleep(30)
        return h3push.Response()

    async def scenario(world: World) -> None:
        began = world.now
        with pytest.raises(h3push.ReadTimeout, match="within 5 s"):
            await world.client.request("GET", "/", timeouts={"read": 5})
        assert 5 <= world.now - began <= 6
        with pytest.raises(TimeoutError, match="within 10 s"):
            await world.client.request("GET", "/", timeouts={"write": 1})
        assert (await world.client.request("GET", "/", timeouts={"read": None})).status == 200

    in_world(handler, scenario, client_settings=h3push.ClientSettings(response_timeout=10))


def test_a_response_in_an_async_with_is_closed_at_its_end() -> None:
    async def scenario(world: World) -> None:
        async with world.client.stream("GET", "/") as response:
            assert response.status == 200
        await asyncio.sleep(1)
        assert not world.client.session.wanted

    in_world(lambda _: h3push.Response(content=b"x" * 20_000_000), scenario)


def test_files_are_sent_in_every_form(tmp_path: Path) -> None:
    """A path, an open file from where it is, and pieces that are not quite bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"line\n" * 40_000)

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=await request.read())

    async def scenario(world: World) -> list[bytes]:
        with path.open("rb") as file:
            file.seek(5)
            return [
                await (await world.client.post("/", content=content)).read()
                for content in (path, file, [bytearray(b"a"), memoryview(b"b")])
            ]

    whole = path.read_bytes()
    assert in_world(handler, scenario) == [whole, whole[5:], b"ab"]


# issue 11, point 1


def test_errors_say_whether_a_request_has_certainly_had_no_effect() -> None:
    """Then anything may be sent again, POST too; in doubt the answer is no."""
    certain = [
        h3push.ConnectFailed("x"),
        h3push.RequestNotProcessed("x"),
        h3push.PoolTimeout("x"),
        h3push.LocalProtocolError("x"),
        h3push.NoStreamCredit("x"),
    ]
    doubtful = [
        h3push.ConnectionClosed("x"),
        h3push.ReadTimeout("x"),
        h3push.WriteTimeout("x"),
        h3push.StreamFailed("x", 0),
    ]
    assert all(error.is_unprocessed for error in certain)
    assert not any(error.is_unprocessed for error in doubtful)


def test_time_outs_are_time_outs_of_python_too() -> None:
    for kind in (h3push.PoolTimeout, h3push.ReadTimeout, h3push.WriteTimeout):
        assert issubclass(kind, TimeoutError)
        assert issubclass(kind, h3push.Timeout)


def test_a_request_that_found_no_stream_says_that_it_was_not_sent() -> None:
    async def forever(request: h3push.Request) -> h3push.Response:
        await asyncio.sleep(3600)
        return h3push.Response()

    async def scenario(world: World) -> None:
        first = asyncio.create_task(world.client.get("/"))
        await asyncio.sleep(1)
        with pytest.raises(h3push.PoolTimeout, match="within 2 s") as failed:
            await world.client.request("POST", "/", timeouts={"pool": 2})
        assert failed.value.is_unprocessed
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    in_world(forever, scenario, server_settings=h3push.ServerSettings(max_concurrent_requests=1))


def test_an_upload_that_is_not_taken_has_a_time_out_of_its_own() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        await asyncio.sleep(3600)
        return h3push.Response()

    async def scenario(world: World) -> None:
        with pytest.raises(h3push.WriteTimeout):
            await world.client.request("POST", "/", content=b"x" * 20_000_000, timeouts={"write": 3})

    in_world(handler, scenario)


@pytest.mark.parametrize(("host", "kind"), [("nosuch.example", h3push.ConnectFailure.DNS)])
def test_connect_failures_have_a_kind(host: str, kind: h3push.ConnectFailure) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(h3push.ConnectFailed) as failed:
            await h3push.connect(f"https://{host}/", driver=world.client_endpoint()).open()
        assert failed.value.kind is kind

    in_world(echo, scenario, connected=False)
