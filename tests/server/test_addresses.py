"""Where a server listens."""

import asyncio
import errno

import pytest

import h3push
from h3push.server.addresses import bind_all, resolve


class Socket:
    """A driver that has a port and may be shut down."""

    def __init__(self, address):
        self.address = address
        self.open = True

    def local_address(self):
        return self.address

    def shutdown(self):
        self.open = False


class Machine:
    """Binds addresses; some it does not have, some ports are taken."""

    def __init__(self, *, absent=(), taken=(), free=5000):
        self.absent, self.taken, self.free = absent, set(taken), free
        self.sockets = []

    def bind(self, address):
        host, port = address
        if host in self.absent:
            raise OSError(errno.EADDRNOTAVAIL, "absent")
        if not port:
            self.free += 1
            port = self.free
        if (host, port) in self.taken:
            raise OSError(errno.EADDRINUSE, "taken")
        made = Socket((host, port))
        self.sockets.append(made)
        return made


BOTH = [("127.0.0.1", 0), ("::1", 0)]


def test_localhost_is_both_loopback_addresses():
    """Whatever the hosts file says (RFC 6761 section 6.3); an address is itself (issue 9, point 40)."""
    assert asyncio.run(resolve("localhost", 4433)) == [("127.0.0.1", 4433), ("::1", 4433)]
    assert asyncio.run(resolve("::", 1)) == [("::", 1)]


def test_every_address_has_the_same_port():
    """Which is free at all of them; what is free at some only is given back (issue 9, point 40)."""
    machine = Machine(taken=[("::1", 5001)])
    assert [one.address for one in bind_all(BOTH, machine.bind)] == [("127.0.0.1", 5002), ("::1", 5002)]
    assert [one.address for one in machine.sockets if one.open] == [("127.0.0.1", 5002), ("::1", 5002)]


def test_an_address_that_the_machine_lacks_is_left_out():
    """As long as there is another; else it is the error (issue 9, point 40)."""
    assert [one.address for one in bind_all(BOTH, Machine(absent=["::1"]).bind)] == [("127.0.0.1", 5001)]
    with pytest.raises(OSError, match="absent"):
        bind_all(BOTH, Machine(absent=["::1", "127.0.0.1"]).bind)


def test_a_port_that_is_taken_at_one_address_is_an_error():
    """Half a server would be a riddle; what was bound is let go (issue 9, point 40)."""
    machine = Machine(taken=[("::1", 443)])
    with pytest.raises(OSError, match="taken"):
        bind_all([("127.0.0.1", 443), ("::1", 443)], machine.bind)
    assert not any(one.open for one in machine.sockets)


def test_two_sockets_are_one_server(tmp_path):
    """One set of counters, one list of connections, one shutdown (issue 9, point 40)."""
    from h3push.server.certificates import development_certificates

    made = development_certificates(tmp_path)

    async def main():
        server = h3push.serve(
            lambda request: h3push.Response(200, content=request.connection.local_address[0]),
            "localhost",
            0,
            certfile=made.certfile,
            keyfile=made.keyfile,
            settings=h3push.ServerSettings(linger_timeout=0.1),
        )
        async with server:
            if len(server.addresses) == 1:
                pytest.skip("this machine has no ::1")
            got = []
            clients = []
            for host, port in server.addresses:
                named = f"[{host}]" if ":" in host else host
                client = h3push.connect(f"https://{named}:{port}/", cafile=made.cafile)
                await client.open()
                clients.append(client)
                got.append((await (await client.get("/")).read()).decode())
            assert got == ["127.0.0.1", "::1"]
            assert (server.counters.requests, server.connections) == (2, 2)
            await server.shutdown(0)
            assert server.connections == 0
            for client in clients:
                await client.close()

    asyncio.run(main())
