"""Tells a service manager (sd_notify(3)) that the server is ready, reloads, stops, and is alive.

Nothing is said without NOTIFY_SOCKET in the environment. A message is one datagram, and that is all that a library would do.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class ServiceManager:
    """The program that started this process, if it wants to know."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.interval: float | None = None
        """Seconds between two signs of life: half of what is asked for; `None`: nobody asks."""
        if self._address and watched and microseconds.isdecimal() and int(microseconds):
            self.interval = int(microseconds) / 2_000_000

    def ready(self) -> None:
        """It serves, or has reloaded."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It reloads; `ready` ends that."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It stops."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """It is alive."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.encode(), self._address)
