"""The machine: buffers that the kernel gives to UDP sockets, and file descriptors."""

import resource
from pathlib import Path

from h3push.doctor.finding import Finding, advice, good, wrong

KERNEL = Path("/proc/sys/net/core")
"""Where Linux shows its bounds on socket buffers."""
BUFFER = 4 << 20
"""The buffer that the native module asks for (`rust/src/io.rs`). Linux gives 208 KiB by itself: 5 ms at 300 Mbit/s."""
DESCRIPTORS = 4096
"""Descriptors below which a public server runs out: each client over TCP has one, files that are sent have 64."""
_BUFFERS = {
    "rmem_max": ("receive buffer", "packets that come in a burst"),
    "wmem_max": ("send buffer", "bursts of packets"),
}


def examine_buffers(directory: Path = KERNEL) -> list[Finding]:
    """Compare the kernel's bounds with what is asked for; nothing where the kernel shows none."""
    findings = []
    for name, (what, lost) in _BUFFERS.items():
        try:
            size = int((directory / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if size >= BUFFER:
            findings.append(good("buffers", f"net.core.{name} allows a {what} of {size:,} bytes"))
        else:
            message = f"net.core.{name} is {size:,}: {lost} are lost under load"
            findings.append(advice("buffers", message, f"sudo sysctl -w net.core.{name}={BUFFER}"))
    return findings


def examine_descriptors(limit: int | None = None) -> Finding:
    """Look at the hard limit of open files, which the server raises its own to; `limit` instead of that of this process."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit == resource.RLIM_INFINITY:
        return good("descriptors", "the number of open files is not limited")
    if limit < DESCRIPTORS:
        message = f"a process may open {limit:,} files (RLIMIT_NOFILE): no more clients than that are served over TCP"
        return wrong("descriptors", message, "ulimit -Hn 65536, or LimitNOFILE=65536 in the systemd unit")
    return good("descriptors", f"a process may open {limit:,} files")
