"""TCP sockets at the addresses that UDP has."""

import socket


class TcpAddressError(OSError):
    """A TCP address cannot be taken, for the reason that its `errno` names."""

    where: str = ""
    """The address in words."""


def listen(address: tuple[str, int], backlog: int) -> socket.socket:
    """Listen at an address; "::" is IPv6 and IPv4, as it is for UDP.

    Args:
        address: host and port.
        backlog: connections that may wait to be accepted.

    Raises:
        TcpAddressError: it cannot be taken.
    """
    try:
        return _listen(address, backlog)
    except OSError as error:
        raised = TcpAddressError(error.errno, error.strerror)
        raised.where = f"TCP port {address[1]} of {address[0]}"
        raise raised from None


def _listen(address: tuple[str, int], backlog: int) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Name the protocol, or asyncio leaves TCP_NODELAY off, and a response in two writes waits 40 ms for an acknowledgment.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for old connections
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        found.setblocking(False)
        found.bind((host, port))
        found.listen(backlog)
    except BaseException:
        found.close()
        raise
    return found
