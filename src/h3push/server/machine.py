"""Names and addresses under which other machines reach this one, as far as it knows them without asking anybody."""

import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

_SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of an interface."""
_REQUEST = struct.Struct("16s16s")
_IPV6_TABLE = Path("/proc/net/if_inet6")


def machine_names() -> list[str]:
    """Host name, short and with .local (RFC 6762), and the addresses of the interfaces; none of them link-local."""
    host = socket.gethostname().lower()
    names = [host, host.partition(".")[0], f"{host.partition('.')[0]}.local"] if _is_host_name(host) else []
    return list(dict.fromkeys([*names, *_ipv4_addresses(), *_ipv6_addresses()]))


def _is_host_name(text: str) -> bool:
    return text.isascii() and all(part.replace("-", "").isalnum() for part in text.split("."))


def _ipv4_addresses() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has none, or this is not Linux
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, _REQUEST.pack(name.encode(), b""))
                found.append(socket.inet_ntop(socket.AF_INET, answer[20:24]))
    return [one for one in found if _is_reachable(one)]


def _ipv6_addresses() -> list[str]:
    try:
        lines = _IPV6_TABLE.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    addresses = (str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines)
    return [one for one in addresses if _is_reachable(one)]


def _is_reachable(address: str) -> bool:
    """False for addresses that mean something else on every machine, or on every link."""
    found = ipaddress.ip_address(address)
    return not (found.is_loopback or found.is_link_local or found.is_unspecified)
