"""Sockets that are open already, a UNIX socket for a proxy, and what a service manager is told."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from types import SimpleNamespace

import pytest

from h3push.server.inherited import inherited_sockets
from h3push.server.service_manager import ServiceManager

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
APP = """
import json

async def app(scope, receive, send):
    if scope["type"] == "http":
        seen = {name: scope[name] for name in ("http_version", "scheme", "root_path", "client")}
        body = json.dumps(seen).encode()
        fields = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})
"""
FORWARDED = (b"x-forwarded-for: 203.0.113.9", b"x-forwarded-proto: https")


@pytest.fixture
def serving(tmp_path, certificates):
    """Start a server, with sockets from 3 on where some are given; `.end()` stops it."""
    (tmp_path / "telling.py").write_text(APP)
    processes = []

    def serving(*arguments, inherited=(), environment=None):
        files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
        words = [*COMMAND, "serve", "telling:app", "--app-dir", tmp_path, "--port", "0", *files, *arguments]
        numbers = {one.fileno(): 3 + index for index, one in enumerate(inherited)}

        def place():
            high = {os.dup(fd): number for fd, number in numbers.items()}  # out of the way of 3, 4, ...
            for fd, number in high.items():
                os.dup2(fd, number)

        process = subprocess.Popen(
            ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[*numbers, *numbers.values()] if numbers else (),
            preexec_fn=place if numbers else None,
            env={**os.environ, **(environment or {})},
        )
        processes.append(process)
        line = process.stderr.readline().decode()
        found = re.search(r"https://\S+:(\d+)/", line)
        assert found, line + process.stderr.read().decode()
        second = process.stderr.readline().decode()

        def end():
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
            return process.returncode, out.decode(), err.decode()

        return SimpleNamespace(process=process, port=int(found[1]), line=second, end=end)

    yield serving
    for process in processes:
        process.kill()
        process.communicate()


def ask(connection, *fields):
    """Send a request; status and what the application saw."""
    with connection:
        connection.sendall(b"\r\n".join([b"GET / HTTP/1.1", b"host: x", b"connection: close", *fields, b"", b""]))
        answer = b""
        while data := connection.recv(65536):
            answer += data
    head, _, content = answer.partition(b"\r\n\r\n")
    return SimpleNamespace(head=head.decode(), seen=json.loads(content or b"null"))


def over_tls(port, certificates):
    context = ssl.create_default_context(cafile=certificates.cafile)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost")


def over_unix(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(path))
    return connection


def over_quic(run, port, certificates):
    return json.loads(run("get", "--cacert", certificates.cafile, f"https://localhost:{port}/").out)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_proxy_comes_by_a_unix_socket(serving, run, certificates, tmp_path, workers):
    """Plain HTTP/1.1 instead of TCP, beside HTTP/3; the proxy is believed, the log has the client, the path goes at the end."""
    path = tmp_path / "h3push.sock"
    server = serving("--uds", path, "--workers", workers)
    assert f"for a proxy, at {path}: plain HTTP/1.1 by uvicorn" in server.line
    answer = ask(over_unix(path), *FORWARDED)
    assert answer.seen == {"http_version": "1.1", "scheme": "https", "root_path": "", "client": ["203.0.113.9", 0]}
    assert f'alt-svc: h3=":{server.port}"' in answer.head
    assert ask(over_unix(path)).seen["scheme"] == "http"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    assert over_quic(run, server.port, certificates)["http_version"] == "3"
    code, out, err = server.end()
    assert (code, err) == (0, "")
    assert '203.0.113.9:0 "GET / HTTP/1.1" 200' in out
    assert not path.exists()


def test_a_path_that_is_taken(serving, run, site, certificates, tmp_path):
    """A socket that nobody listens at is replaced; one that somebody has, and any other file, is left alone."""
    files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = serving("--uds", path)
    taken = run("serve", site, *files, "--uds", path)
    assert (taken.code, f"cannot listen at {path}: address already in use" in taken.err) == (1, True)
    assert ask(over_unix(path)).seen["http_version"] == "1.1"
    server.end()
    (tmp_path / "file").write_text("mine")
    assert run("serve", site, *files, "--uds", tmp_path / "file").code == 1
    assert (tmp_path / "file").read_text() == "mine"
    assert "107 bytes at most" in run("serve", site, *files, "--uds", "x" * 108).err
    assert "takes the place of TCP" in run("serve", site, *files, "--uds", "x", "--tcp", "off").err


def sockets_of_systemd():
    """UDP and TCP at one port of 127.0.0.1, and a UNIX socket's place is left to the test."""
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    return udp, tcp


def test_sockets_of_systemd_are_taken_for_what_they_are(serving, run, certificates):
    """LISTEN_FDS: QUIC on the datagram socket, TLS on the stream socket, at systemd's port; a name for plain HTTP."""
    udp, tcp = sockets_of_systemd()
    plain = socket.create_server(("127.0.0.1", 0))
    with udp, tcp, plain:
        names = {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "quic:https:redirect"}
        server = serving(inherited=(udp, tcp, plain), environment=names)
        assert server.port == tcp.getsockname()[1]
        assert over_quic(run, server.port, certificates)["http_version"] == "3"
        assert ask(over_tls(server.port, certificates)).seen["http_version"] == "1.1"
        redirected = ask(socket.create_connection(plain.getsockname(), 10)).head
        assert f"location: https://x:{server.port}/" in redirected
        assert server.end()[0] == 0


def test_sockets_are_named_by_their_descriptors(serving, run, certificates):
    """`--fd`, as often as need be."""
    udp, tcp = sockets_of_systemd()
    with udp, tcp:
        server = serving("--fd", "3", "--fd", "4", inherited=(udp, tcp))
        assert server.port == tcp.getsockname()[1]
        assert over_quic(run, server.port, certificates)["http_version"] == "3"
        assert ask(over_tls(server.port, certificates)).seen["http_version"] == "1.1"


def test_workers_share_an_inherited_tcp_socket(serving, certificates):
    """UDP they bind for themselves; a UDP socket that is inherited goes with one process, which a sentence says."""
    udp, tcp = sockets_of_systemd()
    with udp, tcp:
        serving("--fd", "3", "--workers", "2", inherited=(tcp,))
        assert ask(over_tls(tcp.getsockname()[1], certificates)).seen["http_version"] == "1.1"
        with pytest.raises(AssertionError, match="a UDP socket that is inherited goes with one process"):
            serving("--fd", "3", "--workers", "2", inherited=(udp,))


def test_the_variables_of_systemd_are_for_one_process(tmp_path):
    """LISTEN_PID names it; nobody else believes them, and no child sees them."""
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    found = inherited_sockets(environment)
    assert (found.udp, found.tcp, found.unix, environment) == ({}, [], [], {})
    with (tmp_path / "file").open("w") as file, pytest.raises(ValueError, match="is no socket"):
        inherited_sockets({}, [file.fileno()])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, pytest.raises(ValueError, match="is neither a UDP"):
        inherited_sockets({}, [other.fileno()])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service_manager_is_told(serving, tmp_path, workers):
    """READY when it serves, RELOADING with a time and READY around SIGHUP, signs of life, STOPPING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        server = serving("--workers", workers, environment=told)

        def told_next(*, alive=False):
            while True:
                message = manager.recv(1000).decode()
                if (message == "WATCHDOG=1") is alive:
                    return message

        assert told_next() == "READY=1"
        told_next(alive=True)
        server.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told_next())
        assert told_next() == "READY=1"
        told_next(alive=True)
        server.process.send_signal(signal.SIGTERM)
        assert told_next() == "STOPPING=1"


def test_a_manager_that_is_not_there_or_asks_for_nothing():
    """No error, no signs of life; another process's watchdog is not ours."""
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": "/absent"}).ready()
    assert ServiceManager({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "5"}).interval == 2.5e-6
    assert ServiceManager({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}).interval is None
    assert ServiceManager({"WATCHDOG_USEC": "5"}).interval is None


@pytest.mark.parametrize(
    ("flags", "scheme", "client"),
    [
        ((), "https", "203.0.113.9"),
        (("--no-proxy-headers",), "https", "127.0.0.1"),
        (("--forwarded-allow-ips", "192.0.2.0/24"), "https", "127.0.0.1"),
        (("--forwarded-allow-ips", "127.0.0.0/8"), "https", "203.0.113.9"),
    ],
)
def test_proxies_that_are_trusted_tell_the_client(serving, certificates, flags, scheme, client):
    """Over TLS as well; this machine is trusted unless somebody else is."""
    server = serving(*flags, "--root-path", "api/")
    seen = ask(over_tls(server.port, certificates), *FORWARDED).seen
    assert (seen["scheme"], seen["client"][0], seen["root_path"]) == (scheme, client, "/api")


def test_one_authority_alone(serving, run, certificates):
    """`--server-name`, over both transports: others get 421, and Date can be left out."""
    server = serving("--server-name", "example.com", "--no-date-header")
    answer = ask(over_tls(server.port, certificates))
    assert answer.head.startswith("HTTP/1.1 421")
    assert "\r\ndate:" not in answer.head
    got = run("get", "-i", "--cacert", certificates.cafile, f"https://localhost:{server.port}/")
    assert got.out.startswith(b"HTTP/3 421")
