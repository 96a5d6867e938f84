"""The path of a TCP connection, as Linux measures it: `struct tcp_info` of linux/tcp.h."""

import socket
import struct
import sys
from dataclasses import dataclass

_SEGMENT, _ROUND_TRIP, _WINDOW = 16, 68, 80
"""Offsets of tcpi_snd_mss, tcpi_rtt and tcpi_snd_cwnd, which never move: fields are added at the end."""
_SIZE = 104


@dataclass(frozen=True, slots=True)
class PathMeasures:
    """One look at a connection."""

    rtt: float
    """Smoothed round trip, in seconds."""
    window: int
    """Congestion window, in bytes."""


def measure_path(connection: socket.socket) -> PathMeasures | None:
    """Ask the kernel, in one call; `None` where it has no answer."""
    if sys.platform != "linux" or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return None
    if len(told) < _SIZE:
        return None
    segment, rtt, window = (struct.unpack_from("=I", told, at)[0] for at in (_SEGMENT, _ROUND_TRIP, _WINDOW))
    return PathMeasures(rtt / 1e6, window * segment)
