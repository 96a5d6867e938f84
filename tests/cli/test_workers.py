"""`h3push serve --workers N` as processes on loopback: they answer, die, are replaced, reload and drain."""

import asyncio
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

import h3push
from h3push.cli import workers
from h3push.cli.failures import ExitCode
from h3push.cli.serving.binding import Binding
from h3push.cli.serving.development import Development
from h3push.cli.serving.processes import Processes
from h3push.server.certificates import development_certificates
from h3push.server.shared_port import SteeringUnavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need the Linux kernel")

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
APP = """
import asyncio, os, pathlib, time

HERE = pathlib.Path(__file__).parent
VERSION = b"one"

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        with open(HERE / "starts", "a") as starts:
            starts.write(f"{os.getpid()}\\n")
        if (HERE / "poison").exists():
            os._exit(3)
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"worker", str(os.getpid()).encode()), (b"version", VERSION)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/held":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while not (HERE / "release").exists():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b" and done"})
    elif scope["path"] == "/block":
        (HERE / "blocked").touch()
        while not (HERE / "release").exists():
            time.sleep(0.01)
        await send({"type": "http.response.body", "body": b"done"})
    else:
        size = 2_000_000 if scope["path"] == "/large" else 0
        await send({"type": "http.response.body", "body": bytes(size)})
"""


@pytest.fixture
def app_dir(tmp_path):
    (tmp_path / "sample.py").write_text(APP)
    return tmp_path


@pytest.fixture
def identity(certificates, tmp_path):
    """Certificate files that a test may replace."""
    files = SimpleNamespace(certfile=tmp_path / "cert.pem", keyfile=tmp_path / "key.pem")
    shutil.copy(certificates.certfile, files.certfile)
    shutil.copy(certificates.keyfile, files.keyfile)
    return files


class Serving:
    """A supervisor, and what it says."""

    def __init__(self, process):
        self.process = process
        self.port = int(self.line(r"https://\S+:(\d+)/")[1])
        self.url = f"https://127.0.0.1:{self.port}/"
        self.line("over TCP: HTTP/2 and HTTP/1.1")

    def line(self, pattern):
        """Wait for a line on stderr."""
        lines = []
        while line := self.process.stderr.readline().decode():
            lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(lines))

    def connect(self, **options):
        if "tls" not in options:
            options["verify"] = False
        return h3push.connect(self.url, **options)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        """The exit code, and what it said until then."""
        _, err = self.process.communicate(timeout=30)
        # A worker that the machine does not run for a second is told of as one that is blocked: it is.
        lines = [
            one for one in err.decode().splitlines(keepends=True) if not re.search(r"is blocked|goes on, and", one)
        ]
        return self.process.returncode, "".join(lines)


@pytest.fixture
def serving(app_dir, identity):
    processes = []

    def serving(*arguments):
        files = ("--certfile", identity.certfile, "--keyfile", identity.keyfile)
        process = subprocess.Popen(
            [*COMMAND, "serve", "sample:app", "--app-dir", app_dir, "--port", "0", "-q", *files, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        processes.append(process)
        return Serving(process)

    yield serving
    (app_dir / "release").touch()
    for process in processes:
        process.kill()  # its workers follow when their link ends
        process.communicate()


async def worker_of(client):
    """The process that answers this connection."""
    response = await client.get("/")
    await response.read()
    return int(response.headers["worker"])


async def clients_of_all(serving, stack, count, *, each=2):
    """Connect until `count` workers have `each` clients at least; clients by worker."""
    found = {}
    for _ in range(200):
        client = await stack.enter_async_context(serving.connect())
        found.setdefault(await worker_of(client), []).append(client)
        if len(found) == count and min(map(len, found.values())) >= each:
            return found
    raise AssertionError(found)


async def line(serving, pattern):
    """Wait for a line, while clients go on."""
    return await asyncio.to_thread(serving.line, pattern)


async def until(condition):
    """Wait for a condition that another process brings about."""
    while not condition():  # noqa: ASYNC110 - no event of this process
        await asyncio.sleep(0.01)


def test_all_workers_answer_over_udp_and_tcp(serving):
    """WEB_CONCURRENCY's workers share the port of both protocols, and the last line says how many there are."""
    server = serving("--workers", "3")

    async def main():
        async with AsyncExitStack() as connections:
            return await clients_of_all(server, connections, 3)

    processes = set(asyncio.run(main()))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port))) as tcp:
        tcp.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: tcp.recv(65536), b""))
    assert int(re.search(rb"worker: (\d+)", answer)[1]) in processes
    assert server.end() == (0, "")


def test_clients_stay_with_their_worker_when_their_address_changes(serving):
    """Connection IDs steer, not addresses: a download goes on, and the next request comes to the same process."""
    server = serving("--workers", "4")

    async def download(client):
        before = await worker_of(client)
        async with client.stream("GET", "/large") as response:
            received = 0
            async for piece in response.stream():
                if not received:
                    client.session.endpoint.driver.rebind()
                received += len(piece)
        assert (received, await worker_of(client)) == (2_000_000, before)

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 4, each=8)
            await asyncio.gather(*(download(client) for clients in found.values() for client in clients))

    asyncio.run(main())


def test_a_killed_worker_costs_its_own_connections_alone(serving):
    """They are told within a second (stateless reset), the others notice nothing, and the worker is replaced."""
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2, each=5)
            dead, alive = found
            os.kill(dead, signal.SIGKILL)
            begun = time.monotonic()
            lost = [client.get("/") for client in found[dead]]
            ends = await asyncio.wait_for(asyncio.gather(*lost, return_exceptions=True), 10)
            took = time.monotonic() - begun
            assert all(isinstance(end, h3push.ConnectionClosed) for end in ends), ends
            assert took < 1.0
            assert {await worker_of(client) for client in found[alive]} == {alive}
            said = await line(server, "takes its place")
            assert f"worker {1 + (said.string.count('worker 2'))} (process {dead}) was ended by SIGKILL" in said.string
            successors = set(await clients_of_all(server, connections, 2, each=1))
            assert successors - {alive}
            assert dead not in successors

    asyncio.run(main())
    assert server.end() == (0, "")


def test_clients_that_only_wait_know_of_a_killed_worker_too(serving):
    """They send nothing, so nothing of theirs can be answered: the supervisor tells them by the roster of the dead worker."""
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2, each=5)
            dead, alive = found
            held = {pid: [(await client.get("/held")).stream() for client in clients] for pid, clients in found.items()}
            for content in (one for contents in held.values() for one in contents):
                assert await anext(content) == b"begun"
            await asyncio.sleep(0.5)  # everything is acknowledged: nobody has anything to say
            waiting = [asyncio.ensure_future(anext(content)) for content in held[dead]]
            others = [asyncio.ensure_future(anext(content)) for content in held[alive]]
            os.kill(dead, signal.SIGKILL)
            begun = time.monotonic()
            ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
            assert time.monotonic() - begun < 1.0
            assert all(isinstance(end, h3push.ConnectionClosed) for end in ends), ends
            assert not any(other.done() for other in others)
            for other in others:
                other.cancel()

    asyncio.run(main())
    server.end(signal.SIGKILL)


def test_a_reload_refuses_nobody(serving, app_dir, identity, tmp_path):
    """SIGHUP under load: every handshake succeeds, long responses cross it, and what follows has new code and certificate."""
    server = serving("--workers", "2")
    other = development_certificates(tmp_path / "other")

    async def knock(until, certificates):
        """Connect without a pause; requests that were not processed may be repeated."""
        while not until.is_set():
            async with server.connect() as client:
                try:
                    await client.get("/")
                except h3push.RequestNotProcessed:
                    continue
                certificates.append(client.info["peer_certificates"][0])

    async def main():
        reloaded, seen = asyncio.Event(), []
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2)
            held = []
            for clients in found.values():
                for client in clients:
                    response = await connections.enter_async_context(client.stream("GET", "/held"))
                    pieces = response.stream()
                    assert await anext(pieces) == b"begun"
                    held.append(pieces)
            load = [asyncio.create_task(knock(reloaded, seen)) for _ in range(4)]
            (app_dir / "sample.py").write_text(APP.replace('b"one"', 'b"two"'))
            shutil.copy(other.certfile, identity.certfile)
            shutil.copy(other.keyfile, identity.keyfile)
            server.process.send_signal(signal.SIGHUP)
            await line(server, "reloaded: new connections go to 2 new workers")
            reloaded.set()
            await asyncio.gather(*load)
            (app_dir / "release").touch()
            assert [b"".join([piece async for piece in pieces]) for pieces in held] == [b" and done"] * len(held)
            new = await clients_of_all(server, connections, 2)
            assert not set(new) & set(found)
            for client in (client for clients in new.values() for client in clients):
                assert (await client.get("/")).headers["version"] == "two"
                assert client.info["peer_certificates"][0] != seen[0]

    asyncio.run(main())
    assert server.end() == (0, "")


def test_stopping_lets_responses_finish(serving, app_dir):
    """SIGTERM reaches every worker through the supervisor: what is under way is completed, then all are gone."""
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2)
            held = []
            for clients in found.values():
                response = await connections.enter_async_context(clients[0].stream("GET", "/held"))
                pieces = response.stream()
                assert await anext(pieces) == b"begun"
                held.append(pieces)
            server.process.send_signal(signal.SIGTERM)
            idle = next(iter(found.values()))[1]
            await until(lambda: not idle.is_usable)  # GOAWAY
            (app_dir / "release").touch()
            assert [b"".join([piece async for piece in pieces]) for pieces in held] == [b" and done"] * 2

    asyncio.run(main())
    assert server.ended() == (0, "")


def test_a_blocking_handler_holds_up_its_own_worker_alone(serving, app_dir):
    """Two processes, two loops: the clients of one do not wait for a handler of the other that never yields."""
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2)
            (_, blocked), (free, others) = found.items()
            waiting = asyncio.create_task(blocked[0].get("/block"))
            await until((app_dir / "blocked").exists)
            for client in others:
                assert await asyncio.wait_for(worker_of(client), 5) == free
            assert not waiting.done()
            (app_dir / "release").touch()
            assert await (await waiting).read() == b"done"

    asyncio.run(main())


def test_new_connections_do_not_wait_for_a_blocked_worker(serving, app_dir):
    """They go to the others once it is known to be blocked, and to it again when it goes on.

    Whose first packet came to it in the meantime is served with the second: nobody waits for the handler.
    """
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2)
            (stuck, blocked), (free, _) = found.items()
            waiting = asyncio.create_task(blocked[0].get("/block"))
            await until((app_dir / "blocked").exists)
            early = [asyncio.create_task(connections.enter_async_context(server.connect())) for _ in range(8)]
            assert (await line(server, r"worker \d \(process (\d+)\) is blocked"))[1] == str(stuck)
            early = [await asyncio.wait_for(one, 10) for one in early]
            assert {await asyncio.wait_for(worker_of(one), 5) for one in early} == {free}
            for _ in range(20):
                client = await connections.enter_async_context(server.connect())
                assert await asyncio.wait_for(worker_of(client), 5) == free
            (app_dir / "release").touch()
            assert await (await waiting).read() == b"done"
            assert (await line(server, r"process (\d+)\) goes on"))[1] == str(stuck)
            await clients_of_all(server, connections, 2, each=1)
            assert {await worker_of(one) for one in early} == {free}

    asyncio.run(main())


def test_sessions_are_resumed_on_every_worker(serving):
    """Tickets are sealed with a key that the workers share: whichever a client comes back to takes up its session."""
    server = serving("--workers", "3")
    tls = h3push.ClientTls(verify=False)

    async def main():
        resumed = {}
        while len(resumed) < 3:
            async with server.connect(tls=tls) as client:
                resumed.setdefault(await worker_of(client), []).append(client.info["resumed"])
        assert [facts for told in resumed.values() for facts in told][1:].count(False) == 0

    asyncio.run(main())


def test_a_worker_that_has_served_enough_gives_way(serving):
    """--limit-max-requests: a successor takes over, and every request is answered."""
    server = serving("--limit-max-requests", "5", "--limit-max-requests-jitter", "2")

    async def main():
        seen = []
        while len(set(seen)) < 3:
            async with server.connect() as client:
                seen.append(await worker_of(client))
        assert seen.count(seen[0]) >= 5

    asyncio.run(main())
    assert server.end() == (0, "")


def test_a_worker_that_dies_at_its_start_is_not_started_without_end(serving, app_dir):
    """Pauses of 0, 1, 2, ... seconds, with a sentence each; the others go on, and a cure is found at the next attempt."""
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2)
            dead, alive = found
            (app_dir / "poison").touch()
            os.kill(dead, signal.SIGKILL)
            await line(server, r"ended by SIGKILL; another one takes its place now")
            await line(server, r"ended with exit code 3 at its start; another one takes its place in 1 s")
            await line(server, r"ended with exit code 3 at its start; another one takes its place in 2 s")
            assert len((app_dir / "starts").read_text().split()) == 4
            async with server.connect() as client:
                assert await worker_of(client) == alive
            (app_dir / "poison").unlink()
            while len(set(await seen_workers(server, 8))) < 2:
                pass

    asyncio.run(main())
    assert server.end() == (0, "")


async def seen_workers(server, count):
    """The workers that so many new connections come to."""
    seen = []
    for _ in range(count):
        async with server.connect() as client:
            seen.append(await worker_of(client))
    return seen


def test_a_reload_that_cannot_start_keeps_what_there_is(serving, app_dir):
    """One new worker goes first; when it fails, that is said, and the workers from before go on."""
    server = serving("--workers", "2")
    (app_dir / "sample.py").write_text("raise RuntimeError('half an edit')")
    server.process.send_signal(signal.SIGHUP)
    assert server.line("half an edit")
    assert server.line("at its start: the workers from before go on")

    async def main():
        async with AsyncExitStack() as connections:
            await clients_of_all(server, connections, 2)

    asyncio.run(main())
    assert server.end() == (0, "")


def test_a_reload_reads_the_settings_anew(serving, tmp_path):
    """SIGHUP takes what --config says now; what cannot change is named, and a mistake keeps the workers from before."""
    config = tmp_path / "h3push.toml"
    config.write_text("")
    server = serving("--workers", "2", "--config", config)

    def alt_svc():
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(server.url, timeout=20, context=context) as answer:
            return answer.headers["alt-svc"]

    def reload(text, says):
        config.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        server.line(says)

    assert alt_svc() == f'h3=":{server.port}"; ma=86400'
    reload("alt-svc = 'clear'\nbacklog = 7\n", "a reload does not change --backlog: restart for that")
    server.line("reloaded: new connections go to 2 new workers")
    while alt_svc() != "clear":  # the old ones accept from TCP, too, until they make way
        pass
    reload("alt-svice = ''\n", "'alt-svice' is no flag of h3push serve.*; the workers from before go on")
    reload("timeout-keep-alive = -1\n", "timeout-keep-alive.*; the workers from before go on")
    reload("certfile = 'elsewhere'\n", "reloaded")  # the command line counts before the file
    while alt_svc() == "clear":
        pass
    assert server.end() == (0, "")


def test_an_application_that_does_not_start_is_told_once(app_dir, identity):
    """One worker goes first: its sentence is the command's, and so is its exit code."""
    (app_dir / "sample.py").write_text("raise RuntimeError('no database')")
    files = ("--certfile", identity.certfile, "--keyfile", identity.keyfile)
    result = subprocess.run(
        [*COMMAND, "serve", "sample:app", "--app-dir", app_dir, "--port", "0", "--workers", "4", *files],
        capture_output=True,
        timeout=60,
        check=False,
    )
    err = result.stderr.decode()
    assert (result.returncode, err.count("RuntimeError: no database"), err.count("h3push:")) == (
        ExitCode.FAILED,
        1,
        1,
    ), err


def test_an_application_that_takes_long_to_start_may_be_stopped(app_dir, identity):
    """A signal to stop counts while a lifespan is starting: nobody waits, and nothing has to be killed."""
    source = "import asyncio, sys\nasync def app(scope, receive, send):\n"
    source += "    print('starting', file=sys.stderr, flush=True)\n    await asyncio.Event().wait()\n"
    (app_dir / "sample.py").write_text(source)
    files = ("--certfile", identity.certfile, "--keyfile", identity.keyfile)
    arguments = ("--app-dir", app_dir, "--port", "0", "--workers", "2", *files)
    process = subprocess.Popen([*COMMAND, "serve", "sample:app", *arguments], stderr=subprocess.PIPE)
    try:
        assert process.stderr.readline() == b"starting\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, b"")
    finally:
        process.kill()
        process.communicate()


def test_workers_end_with_their_supervisor(serving):
    """A supervisor that is killed leaves no orphan that holds the port."""
    server = serving("--workers", "2")

    async def main():
        async with AsyncExitStack() as connections:
            return list(await clients_of_all(server, connections, 2, each=1))

    handles = [os.pidfd_open(pid) for pid in asyncio.run(main())]
    server.process.kill()
    for handle in handles:
        assert select.select([handle], [], [], 30)[0]
        os.close(handle)


def test_a_second_server_does_not_share_the_port(serving, run, identity, tmp_path):
    """Another `serve` at the same port is told that it is in use."""
    server = serving("--workers", "2")
    files = ("--certfile", identity.certfile, "--keyfile", identity.keyfile)
    result = run("serve", tmp_path, "--workers", "2", "--port", server.port, *files)
    assert result.code == ExitCode.FAILED
    assert f"UDP port {server.port} of localhost is in use by another program" in result.err


def test_where_the_system_cannot_steer_one_process_serves(monkeypatch, capsys):
    """It says so, and what is without effect then, and serves all the same."""
    served = []

    def unavailable(_options, _reread, _sockets):
        raise SteeringUnavailable("only Linux picks sockets by what is in a datagram")

    monkeypatch.setattr(workers, "_supervisor", unavailable)
    monkeypatch.setattr(workers, "run_alone", lambda options, _sockets: served.append(options))
    processes = Processes(workers=4, limit_max_requests=1000)
    options = SimpleNamespace(processes=processes, development=Development(), is_supervised=True, binding=Binding())
    assert workers.run(options, lambda: options) == 0
    assert served == [options]
    assert capsys.readouterr().err == (
        "h3push: one process serves, for several need what this system lacks: "
        "only Linux picks sockets by what is in a datagram\n"
        "h3push: --limit-max-requests has no effect here: nobody could take over\n"
    )


def test_the_environment_says_how_many(run, monkeypatch, tmp_path):
    """WEB_CONCURRENCY is what other servers read; what is no number is a sentence."""
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    result = run("serve", str(Path(tmp_path)), "--dev")
    assert result.code == ExitCode.USAGE
    assert "WEB_CONCURRENCY" in result.err or "--workers" in result.err


def figures(url):
    """What Prometheus reads, by name with labels."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (one.rpartition(" ") for one in lines if one[0] != "#")}


ANSWERED = 'h3push_requests_total{status="200",version="3"}'


async def ask(serving):
    """One request on a new connection."""
    async with serving.connect() as client:
        await worker_of(client)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_are_those_of_all_workers(serving, workers):
    """A port alone is one of the loopback address. Whichever worker answers a reader, the sum is the same."""
    server = serving("--workers", workers, "--metrics", "0")
    url = server.line(r"metrics at (http://127\.0\.0\.1:\d+/metrics)")[1]

    async def main():
        for count in range(1, 9):
            await ask(server)
            shown = await asyncio.to_thread(figures, url)
            assert (shown[ANSWERED], shown["h3push_workers"]) == (count, int(workers))

    asyncio.run(main())
    assert server.end() == (0, "")


def test_metrics_of_a_dead_worker_are_not_lost(serving):
    """Nor are those from before a reload: what was counted stays in the sum, and workers are counted as long as they serve."""
    server = serving("--workers", "2", "--metrics", "0")
    url = server.line(r"metrics at (\S+)")[1]

    async def main():
        async with AsyncExitStack() as connections:
            found = await clients_of_all(server, connections, 2)
            asked = sum(map(len, found.values()))
            os.kill(next(iter(found)), signal.SIGKILL)
            await line(server, "another one takes its place now")
        await ask(server)
        server.process.send_signal(signal.SIGHUP)
        await line(server, "reloaded")
        await ask(server)
        shown = await asyncio.to_thread(figures, url)
        assert shown[ANSWERED] == asked + 2
        assert shown["h3push_worker_starts_total"] == 5

    asyncio.run(main())
    assert server.end()[0] == 0


def test_an_application_that_does_not_start_may_be_mended(app_dir, identity):
    """--reload: the first start failed, which is said; the next change starts it, and nobody has to type the command again."""
    (app_dir / "sample.py").write_text("import")
    files = ("--certfile", identity.certfile, "--keyfile", identity.keyfile)
    arguments = ("--app-dir", app_dir, "--port", "0", "-q", *files, "--reload", "--reload-delay", "0.05")
    process = subprocess.Popen([*COMMAND, "serve", "sample:app", *arguments], stderr=subprocess.PIPE)
    try:
        said = ""
        while not ("the next change" in said and "reloading when files change" in said):
            said += (line := process.stderr.readline().decode())
            assert line, said
        assert "cannot be loaded" in said
        (app_dir / "sample.py").write_text(APP)
        server = Serving(process)
        asyncio.run(ask(server))
        assert server.end() == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_a_changed_file_is_served_anew(serving, app_dir):
    """--reload: connections begin all the time, and none is refused while the application changes, or while it is broken."""
    server = serving("--reload", "--reload-delay", "0.05")
    server.line("reloading when files change in")
    sample = app_dir / "sample.py"

    async def main():
        ended, seen = asyncio.Event(), []

        async def visit():
            while not ended.is_set():
                async with server.connect() as client:
                    with suppress(h3push.RequestNotProcessed):  # the GOAWAY was faster; it is safe to repeat
                        seen.append((await client.get("/")).headers["version"])

        visits = [asyncio.create_task(visit()) for _ in range(2)]
        await until(lambda: seen)
        sample.write_text(APP.replace('b"one"', 'b"two"'))
        await line(server, "sample.py changed")
        await line(server, "reloaded: new connections go to 1 new worker\n")
        sample.write_text("import")
        await line(server, "sample.py changed")
        await line(server, "sample:app cannot be loaded")
        await line(server, "the workers from before go on")
        sample.write_text(APP.replace('b"one"', 'b"six"'))
        await line(server, "reloaded: new connections go to 1 new worker\n")
        async with server.connect() as client:
            assert (await client.get("/")).headers["version"] == "six"
        await until(lambda: "six" in seen)
        ended.set()
        await asyncio.gather(*visits)
        assert list(dict.fromkeys(seen)) == ["one", "two", "six"]

    asyncio.run(main())
    assert server.end() == (0, "")
