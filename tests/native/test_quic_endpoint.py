"""The two drivers with sockets, over loopback: what both do, and what each does alone."""

import errno
import gc
import os
import select
import socket
import sys
import threading
import time

import pytest

from h3push import _quic

from .ends import Loopback, data_of

LOCAL = ("127.0.0.1", 0)


@pytest.fixture(params=["Endpoint", "ThreadedEndpoint"])
def driver(request):
    return getattr(_quic, request.param)


@pytest.fixture
def bind(driver, identity, authority):
    """Make endpoints that are shut down at the end."""
    made = []

    def bind(role, address=LOCAL, *, transport=None, **options):
        tls = (
            {"server": _quic.ServerTls([identity.pair])}
            if role == "server"
            else {"client": _quic.ClientTls(trust=authority.pem)}
        )
        made.append(driver.bind(address, **tls, transport=transport or _quic.Transport(), **options))
        return made[-1]

    yield bind
    for endpoint in made:
        endpoint.shutdown()


def connected(server, client, address=None):
    """The loop and both handles after a handshake."""
    loop = Loopback(server, client)
    ours = client.connect(address or server.local_address(), "localhost")
    loop.until(lambda: loop.seen(client, _quic.CONNECTED) and loop.seen(server, _quic.CONNECTED))
    return loop, ours, loop.seen(server, _quic.CONNECTED)[-1][1]


def test_bytes_travel_both_ways(bind):
    server, client = bind("server"), bind("client")
    loop, ours, theirs = connected(server, client)
    stream = client.open(ours, False)
    sent = os.urandom(3_000_000)
    client.write(ours, stream, sent, True)
    loop.until(lambda: data_of(loop.told[server], stream)[1])
    assert data_of(loop.told[server], stream)[0] == sent
    server.write(theirs, stream, sent[::-1], True)
    loop.until(lambda: data_of(loop.told[client], stream)[1])
    assert data_of(loop.told[client], stream)[0] == sent[::-1]
    loop.until(lambda: loop.seen(server, _quic.ACKED))


def test_large_bytes_are_sent_in_parts_and_let_go_of(bind):
    """A large write keeps the object until it has been acknowledged, and no longer."""
    server, client = bind("server"), bind("client")
    loop, ours, _ = connected(server, client)
    stream = client.open(ours, False)
    sent = os.urandom(3_000_000)
    references = sys.getrefcount(sent)
    client.write_part(ours, stream, sent, 0, 1_000_000, False)
    client.write_part(ours, stream, sent, 1_000_000, 10, False)
    client.write_part(ours, stream, sent, 1_000_010, 0, False)
    client.write(ours, stream, b"between", False)
    client.write_part(ours, stream, sent, 1_000_010, 1_999_990, False)
    assert sys.getrefcount(sent) > references
    client.write(ours, stream, sent, True)
    loop.until(lambda: data_of(loop.told[server], stream)[1])
    assert data_of(loop.told[server], stream)[0] == sent[:1_000_010] + b"between" + sent[1_000_010:] + sent
    loop.until(lambda: client.info(ours) and sys.getrefcount(sent) == references)


def test_what_waits_is_let_go_of_with_its_stream(bind):
    server, client = bind("server"), bind("client")
    _, ours, _ = connected(server, client)
    sent = bytes(30_000_000)
    references = sys.getrefcount(sent)
    stream = client.open(ours, True)
    assert client.write(ours, stream, sent, False) > 0
    assert client.write_part(ours, stream, sent, 1, 29_999_999, True) > 0
    assert sys.getrefcount(sent) > references
    client.reset(ours, stream, 1)
    assert client.write(ours, stream, sent, True) == 0
    assert sys.getrefcount(sent) == references


def test_objects_with_code_of_their_own_are_copied(bind):
    """Letting go of one would run its code in the midst of ours."""

    class Bytes(bytes):
        def __del__(self):
            gone.append(client.info(ours))

    gone = []
    server, client = bind("server"), bind("client")
    loop, ours, _ = connected(server, client)
    stream = client.open(ours, False)
    client.write(ours, stream, Bytes(100_000), True)
    assert len(gone) == 1
    loop.until(lambda: data_of(loop.told[server], stream)[1])
    assert data_of(loop.told[server], stream)[0] == bytes(100_000)


def test_a_part_is_within_its_bytes(bind):
    server, client = bind("server"), bind("client")
    _, ours, _ = connected(server, client)
    stream = client.open(ours, False)
    for offset, length in ((0, 4), (4, 0), (1, 2**64 - 1), (2**63, 2**63)):
        with pytest.raises(ValueError, match="within"):
            client.write_part(ours, stream, b"abc", offset, length, False)
    assert client.write_part(ours, stream, b"abc", 3, 0, False) == 0


def test_ipv6_and_the_unspecified_address(bind):
    try:
        server = bind("server", ("::", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    port = server.local_address()[1]
    for host in ("127.0.0.1", "::1"):
        client = bind("client", (host, 0))
        try:
            loop, ours, _ = connected(server, client, (host, port))
        except AssertionError:
            pytest.fail(f"no connection to {host}")
        assert loop.seen(server, _quic.ACCEPTED)[-1][2] == client.local_address()
        assert client.info(ours)["remote"] == (host, port)
    client = bind("client", ("::", 0))
    _, ours, _ = connected(server, client, ("127.0.0.1", port))
    assert client.info(ours)["remote"] == ("127.0.0.1", port)


def test_a_port_in_use(bind):
    server = bind("server")
    with pytest.raises(OSError, match="in use") as raised:
        bind("server", server.local_address())
    assert raised.value.errno == errno.EADDRINUSE


def test_a_socket_can_be_taken_over(bind):
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(LOCAL)
    address = bound.getsockname()
    server, client = bind("server", fd=bound.detach()), bind("client")
    assert server.local_address() == address
    connected(server, client)
    with pytest.raises(OSError, match="descriptor") as raised:
        bind("server", fd=9999)
    assert raised.value.errno == errno.EBADF


@pytest.mark.parametrize("options", [{"worker": (2, 2)}, {"worker": (0, 300)}, {"reset_key": b"short"}])
def test_options_that_cannot_be(bind, options):
    with pytest.raises(ValueError, match=r"worker|key"):
        bind("server", **options)


def test_the_client_may_move(bind):
    server, client = bind("server"), bind("client")
    loop, ours, theirs = connected(server, client)
    before = client.local_address()
    client.rebind()
    stream = client.open(ours, False)
    client.write(ours, stream, b"from elsewhere", True)
    loop.until(lambda: data_of(loop.told[server], stream)[1])
    assert client.local_address() != before
    loop.until(lambda: loop.seen(server, _quic.PATH_CHANGED))
    assert loop.seen(server, _quic.PATH_CHANGED)[0] == (_quic.PATH_CHANGED, theirs, client.local_address())


def test_shutting_down_says_goodbye(bind):
    server, client = bind("server"), bind("client")
    loop, ours, theirs = connected(server, client)
    server.shutdown()
    assert (_quic.CLOSED, theirs, _quic.CLOSED_LOCALLY, 0x100, "") in server.recv()
    assert server.recv() == []
    alone = Loopback(client)
    alone.until(lambda: alone.seen(client, _quic.CLOSED))
    assert alone.seen(client, _quic.CLOSED)[0][:4] == (_quic.CLOSED, ours, _quic.CLOSED_BY_APPLICATION, 0x100)
    assert server.flush() == (None, _quic.FLUSH_DONE)
    assert loop.told


def test_dropping_an_endpoint_says_goodbye(driver, bind, identity):
    server = driver.bind(LOCAL, server=_quic.ServerTls([identity.pair]), transport=_quic.Transport())
    client = bind("client")
    loop, ours, _ = connected(server, client)
    del loop, server
    gc.collect()
    alone = Loopback(client)
    alone.until(lambda: alone.seen(client, _quic.CLOSED))
    assert alone.seen(client, _quic.CLOSED)[0][1] == ours


def test_new_connections_can_be_turned_away(bind):
    server, client = bind("server"), bind("client")
    server.set_accepting(False)
    loop = Loopback(server, client)
    client.connect(server.local_address(), "localhost")
    loop.until(lambda: loop.seen(client, _quic.CLOSED))
    assert loop.seen(client, _quic.CLOSED)[0][2:4] == (_quic.CLOSED_BY_TRANSPORT, 2)


def test_garbage_is_ignored(bind):
    server, client = bind("server"), bind("client")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(LOCAL)
    with stranger:
        for length in (0, 1, 20, 1200, 1500, 60000):
            stranger.sendto(os.urandom(length), server.local_address())
            stranger.sendto(b"\xc0\0\0\0\1\x08" + os.urandom(length), server.local_address())
        connected(server, client)


def test_datagrams(bind):
    transport = _quic.Transport(max_datagram_frame=65535)
    server, client = bind("server", transport=transport), bind("client", transport=transport)
    loop, ours, theirs = connected(server, client)
    assert 1000 < client.max_datagram(ours) < 1500
    assert client.send_datagram(ours, b"ping")
    loop.until(lambda: loop.seen(server, _quic.DATAGRAM))
    assert loop.seen(server, _quic.DATAGRAM) == [(_quic.DATAGRAM, theirs, b"ping")]


def test_reading_is_bounded_by_batches(identity, authority):
    server = _quic.Endpoint.bind(LOCAL, server=_quic.ServerTls([identity.pair]), transport=_quic.Transport())
    client = _quic.Endpoint.bind(LOCAL, client=_quic.ClientTls(trust=authority.pem), transport=_quic.Transport())
    assert server.recv(0) == []
    client.connect(server.local_address(), "localhost")
    client.flush()
    assert select.select([server], [], [], 5)[0]
    assert server.recv(0) == []
    assert server.recv(1)[0][0] == _quic.ACCEPTED
    server.shutdown()
    client.shutdown()
    assert server.fileno() == -1


def test_the_thread_works_while_python_does_not(identity, authority):
    server = _quic.ThreadedEndpoint.bind(
        LOCAL, server=_quic.ServerTls([identity.pair]), transport=_quic.Transport(idle_timeout=1)
    )
    client = _quic.ThreadedEndpoint.bind(
        LOCAL,
        client=_quic.ClientTls(trust=authority.pem),
        transport=_quic.Transport(idle_timeout=1, keep_alive_interval=0.2),
    )
    loop, ours, _ = connected(server, client)
    time.sleep(2.5)  # the test: nobody calls anything for longer than the idle time-out
    stream = client.open(ours, False)
    client.write(ours, stream, b"still here", True)
    loop.until(lambda: data_of(loop.told[server], stream)[1])
    server.shutdown()
    client.shutdown()


def test_the_thread_holds_the_peer_back_when_nobody_reads(identity, authority):
    wide = {"stream_receive_window": 16 << 20, "connection_receive_window": 64 << 20, "send_window": 64 << 20}
    server = _quic.ThreadedEndpoint.bind(
        LOCAL, server=_quic.ServerTls([identity.pair]), transport=_quic.Transport(**wide)
    )
    client = _quic.ThreadedEndpoint.bind(
        LOCAL, client=_quic.ClientTls(trust=authority.pem), transport=_quic.Transport(**wide)
    )
    loop, ours, _ = connected(server, client)
    streams = [client.open(ours, False) for _ in range(4)]
    for stream in streams:
        client.write(ours, stream, bytes(40 << 20), True)
    client.flush()
    total = 4 * (40 << 20)
    received = 0
    ends = 0
    largest = 0
    while ends < 4:
        assert select.select([server], [], [], 20)[0]
        time.sleep(0.01)  # a slow reader
        events = server.recv()
        lengths = [len(event[3]) for event in events if event[0] == _quic.DATA]
        ends += sum(event[4] for event in events if event[0] == _quic.DATA)
        largest = max(largest, sum(lengths))
        received += sum(lengths)
        server.flush()
    assert received == total
    assert largest <= (4 << 20) + (16 << 20), "one stream's window at most beyond the bound"
    assert loop.told
    server.shutdown()
    client.shutdown()


def test_calls_may_come_from_several_threads(bind):
    server, client = bind("server"), bind("client")
    loop, ours, _ = connected(server, client)
    streams = [client.open(ours, False) for _ in range(8)]

    def send(stream):
        for _ in range(100):
            client.write(ours, stream, bytes([stream]) * 1000, False)
        client.write(ours, stream, b"", True)

    threads = [threading.Thread(target=send, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    loop.until(lambda: all(data_of(loop.told[server], stream)[1] for stream in streams))
    for thread, stream in zip(threads, streams, strict=True):
        thread.join()
        assert data_of(loop.told[server], stream)[0] == bytes([stream]) * 100_000


def test_a_restart_resets_the_connections_from_before(identity, authority):
    """Keys for stateless resets come from the TLS key (issue 9, point 6).

    Who was connected hears of a crash at its next packet, not after its idle time-out. With another key nothing can be said.
    """
    other = authority.issue("localhost")
    for successor, told in ((identity, True), (other, False)):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(LOCAL)
        crashed = _quic.Endpoint.bind(
            LOCAL, server=_quic.ServerTls([identity.pair]), transport=_quic.Transport(), fd=os.dup(bound.fileno())
        )
        client = _quic.Endpoint.bind(
            LOCAL, client=_quic.ClientTls(trust=authority.pem), transport=_quic.Transport(idle_timeout=2)
        )
        _, ours, _ = connected(crashed, client)
        server = _quic.Endpoint.bind(
            LOCAL, server=_quic.ServerTls([successor.pair]), transport=_quic.Transport(), fd=bound.detach()
        )
        loop = Loopback(server, client)
        client.write(ours, client.open(ours, False), b"are you there?" * 10, True)
        loop.until(lambda loop=loop, client=client: loop.seen(client, _quic.CLOSED))
        kind = loop.seen(client, _quic.CLOSED)[0][2]
        assert kind == (_quic.CLOSED_RESET if told else _quic.CLOSED_TIMED_OUT)
        for endpoint in (server, client, crashed):
            endpoint.shutdown()


def test_a_copy_in_a_child_process_says_nothing(bind):
    """What a child lets go of, or shuts down, stays its parent's (issue 9, point 9).

    No CONNECTION_CLOSE goes out, and what would read or send in the parent's name is a clear error.
    """
    server, client = bind("server"), bind("client")
    loop, ours, _ = connected(server, client)
    for act in (client.shutdown, client.flush, client.recv, client.tick, client.rebind):
        child = os.fork()
        if child == 0:
            try:
                act()
            except RuntimeError as error:
                os._exit(3 if "fork first" in str(error) else 4)
            finally:
                client.shutdown()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if act == client.shutdown else 3), act
    stream = client.open(ours, False)
    client.write(ours, stream, b"still here", True)
    loop.until(lambda: data_of(loop.told[server], stream)[1])
    assert not loop.seen(server, _quic.CLOSED)


def test_a_client_hears_that_its_server_is_gone(bind):
    """Refused UDP after the handshake makes the client ask at once, and give up soon (issue 9, point 22)."""
    server, client = bind("server"), bind("client", transport=_quic.Transport(idle_timeout=600))
    loop, ours, _ = connected(server, client)
    server.rebind()  # nobody listens on the old port any more, and no goodbye came from it
    client.ping(ours)
    loop.until(lambda: loop.seen(client, _quic.CLOSED))
    assert loop.seen(client, _quic.CLOSED)[0][1:4] == (ours, _quic.CLOSED_UNREACHABLE, errno.ECONNREFUSED)


def test_a_client_hears_that_nobody_listens(bind):
    """On either driver, and without harm to a connection with somebody else."""
    server, client = bind("server"), bind("client")
    loop, ours, _ = connected(server, client)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.2", 0))
        nobody = free.getsockname()
    gone = client.connect(nobody, "localhost")
    loop.until(lambda: loop.seen(client, _quic.CLOSED))
    assert loop.seen(client, _quic.CLOSED)[0][1:4] == (gone, _quic.CLOSED_UNREACHABLE, errno.ECONNREFUSED)
    assert client.info(ours), "another server's connection is not touched"
