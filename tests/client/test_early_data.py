"""Early data (0-RTT, RFC 8470) on both ends: a round trip is saved for what may be repeated alone (issue 9, point 23)."""

import asyncio

import pytest

import h3push
from h3push.testing import LinkSettings, VirtualNetwork, make_identity, run_virtual

IDENTITY = make_identity(["origin.example"], seed=0)
ROUND_TRIP = 0.1
LINK = LinkSettings(delay=ROUND_TRIP / 2)
URL = "https://origin.example/"

Seen = list[tuple[str, str, bool]]
"""Method, path and early of each request, in the order of the handler's calls."""


class Early:
    """A server and clients that share a session."""

    def __init__(self, handler: h3push.Handler, *, server: bool = True, tls: bool = True, client: bool = True) -> None:
        self.network = VirtualNetwork(seed=1, up=LINK, down=LINK)
        self.settings = h3push.ServerSettings(early_data=server)
        server_tls = h3push.ServerTls([(IDENTITY.certificate, IDENTITY.key)], early_data=tls)
        driver = self.network.server_endpoint(server_tls, self.settings.transport(), names=("origin.example",))
        self.server = h3push.serve(handler, driver=driver, settings=self.settings)
        self.tls = h3push.ClientTls(trust=IDENTITY.authority, early_data=True)
        self.early_data = client

    def connect(self, max_pushes: int | None = None) -> h3push.ClientConnection:
        driver = self.network.client_endpoint(self.tls, h3push.ClientSettings().transport(max_pushes))
        return h3push.connect(URL, driver=driver, early_data=self.early_data, max_pushes=max_pushes)

    async def visit(self) -> None:
        """Get a session to resume."""
        async with self.connect() as client:
            await (await client.get("/first")).read()
            await asyncio.sleep(1)


def noting(seen: Seen) -> h3push.Handler:
    async def handler(request: h3push.Request) -> h3push.Response:
        seen.append((request.method, request.path, request.early))
        return h3push.Response(content=request.path.encode() + await request.read())

    return handler


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(("server", "client", "round_trips"), [(True, True, 1), (False, True, 2), (True, False, 2)])
def test_a_round_trip_is_saved_when_both_ends_ask_for_it(server: bool, client: bool, round_trips: int) -> None:
    """Measured from `connect` to the content of the first response, over a round trip of 100 ms."""
    seen: Seen = []

    async def main() -> float:
        early = Early(noting(seen), server=server, client=client)
        async with early.server:
            await early.visit()
            began = now()
            async with early.connect() as connection:
                assert await (await connection.get("/second")).read() == b"/second"
                return now() - began

    assert run_virtual(main) == pytest.approx(round_trips * ROUND_TRIP, abs=0.005)
    assert seen[-1] == ("GET", "/second", server and client)


def test_what_must_not_be_repeated_waits_for_the_handshake() -> None:
    """POST, and GET with content, go out when the server has shown that it is there, and are no early requests."""
    seen: Seen = []

    async def main() -> list[float]:
        early = Early(noting(seen))
        async with early.server:
            await early.visit()
            began = now()

            async def timed(method: str, content: bytes | None) -> float:
                response = await connection.request(method, f"/{method}", content=content)
                await response.read()
                return now() - began

            async with early.connect() as connection:
                return await asyncio.gather(
                    timed("HEAD", None), timed("POST", b"x"), timed("GET", b"x"), timed("DELETE", None)
                )

    times = run_virtual(main)
    assert times == [pytest.approx(ROUND_TRIP * trips, abs=0.005) for trips in (1, 2, 2, 2)]
    assert {(method, early) for method, path, early in seen if path != "/first"} == {
        ("HEAD", True),
        ("POST", False),
        ("GET", False),
        ("DELETE", False),
    }


def test_requests_go_out_again_when_the_server_refuses_early_data() -> None:
    """A server that was restarted does not know the session: it sees each request once, after the handshake."""
    seen: Seen = []

    async def main() -> None:
        first = Early(noting([]))
        async with first.server:
            await first.visit()
        second = Early(noting(seen))
        second.tls = first.tls
        async with second.server, second.connect(max_pushes=3) as client:
            answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(3)))
            assert [await answer.read() for answer in answers] == [b"/0", b"/1", b"/2"]
            assert client.info["early_data"] is False
            assert await (await client.post("/", content=b"more")).read() == b"/more"
            assert client.session.core.max_push_id == 2

    run_virtual(main)
    assert sorted(seen) == [("GET", "/0", False), ("GET", "/1", False), ("GET", "/2", False), ("POST", "/", False)]


def test_a_handler_may_answer_425_and_gets_the_request_again() -> None:
    """RFC 8470 section 5.2: the client repeats it by itself, after the handshake; its caller sees the answer to that."""
    seen: Seen = []

    async def handler(request: h3push.Request) -> h3push.Response:
        seen.append((request.method, request.path, request.early))
        return h3push.Response(425 if request.early else 200, content=b"now")

    async def main() -> tuple[int, bytes]:
        early = Early(handler)
        async with early.server:
            await early.visit()
            async with early.connect() as client:
                response = await client.get("/order")
                return response.status, await response.read()

    assert run_virtual(main) == (200, b"now")
    assert seen[1:] == [("GET", "/order", True), ("GET", "/order", False)]


def test_a_handshake_that_fails_fails_early_requests_as_any_connection() -> None:
    """Nobody answers: the error is that of `connect`, and a request may be repeated."""

    async def main() -> None:
        early = Early(noting([]))
        async with early.server:
            await early.visit()
        early.network.remove(early.server._driver)  # type: ignore[arg-type]
        async with early.connect() as client:
            with pytest.raises(h3push.ConnectFailed, match="nothing answers") as failed:
                await client.get("/")
            assert failed.value.kind is h3push.ConnectFailure.TIMEOUT
            with pytest.raises(h3push.ConnectFailed):
                await client.get("/again")

    run_virtual(main)


def test_an_asgi_application_is_told() -> None:
    """The scope says so under our own extension, for an application to answer 425."""
    told: list[tuple[str, bool]] = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        told.append((scope["path"], "http.early_data" in scope["extensions"]))  # type: ignore[operator, arg-type]
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"x"})  # type: ignore[operator]

    async def main() -> None:
        early = Early(noting([]))
        driver = early.network.server_endpoint(
            h3push.ServerTls([(IDENTITY.certificate, IDENTITY.key)], early_data=True),
            early.settings.transport(),
            names=("origin.example",),
        )
        async with h3push.serve_asgi(app, driver=driver, settings=early.settings, lifespan=False):
            await early.visit()
            async with early.connect() as client:
                await (await client.get("/early")).read()
                await (await client.get("/late")).read()

    run_virtual(main)
    assert told == [("/first", False), ("/early", True), ("/late", False)]
