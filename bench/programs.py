"""The programs among the peers that no package of Python brings: where they are found, and why one is missing."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "load" / "target"
"""Where what is built or unpacked for the benchmark lies; git ignores it."""
NEWER_DEBIAN = TARGET / "trixie"
"""The root of a newer Debian, with nginx; `make bench-peers` makes it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be measured."""

    command: tuple[str, ...]
    """How it is called, without its arguments."""
    version: str
    """Its version alone."""


def nginx_program() -> Program | str:
    """An nginx with HTTP/3: that of `H3PUSH_NGINX`, of the PATH, or of `make bench-peers`; or a sentence on why there is none."""
    given = os.environ.get("H3PUSH_NGINX")
    candidates = [(given,)] if given else [*_nginx_on_path(), *_nginx_of_newer_debian()]
    seen = []
    for command in candidates:
        told = said([*command, "-V"])
        found = re.search(r"nginx/([\d.]+)", told)
        if found and "http_v3_module" in told:
            return Program(command, found.group(1))
        seen.append(f"nginx {found.group(1)} has no HTTP/3" if found else f"{command[-1]} does not run")
    return f"{'; '.join(seen) or 'no nginx is installed'} (make bench-peers unpacks one that has)"


def _nginx_on_path() -> list[tuple[str, ...]]:
    path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    return [(path,)] if path else []


def _nginx_of_newer_debian() -> list[tuple[str, ...]]:
    """Begun by the loader and with the libraries of its own release, so it needs no chroot and reads files where they are."""
    program = NEWER_DEBIAN / "usr" / "sbin" / "nginx"
    loaders = sorted(NEWER_DEBIAN.glob("lib*/ld-linux-*.so.*"))
    libraries = [str(path) for path in NEWER_DEBIAN.glob("usr/lib/*-linux-gnu")]
    if not (program.exists() and loaders and libraries):
        return []
    return [(str(loaders[0]), "--library-path", ":".join(libraries), str(program))]


def caddy_program() -> Program | str:
    """Caddy with HTTP/3, of the PATH or of this machine's packages; or a sentence on why there is none."""
    path = shutil.which("caddy") or unpacked("caddy")
    if path is None:
        return "no caddy on the PATH, and none among this machine's packages"
    version = said([path, "version"]).split()[0]
    if [int(number) for number in re.findall(r"\d+", version)[:2]] < [2, 6]:
        return f"caddy {version} has no HTTP/3 (2.6 has)"
    return Program((path,), version)


def said(command: list[str]) -> str:
    """What a command prints, on both its outputs; an empty text when it cannot be started."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr


def _candidate(package: str) -> str | None:
    """The version that Debian's package manager would install."""
    if shutil.which("apt-cache") is None:
        return None
    found = re.search(r"Candidate: (\S+)", said(["apt-cache", "policy", package]))
    return None if found is None or found.group(1) == "(none)" else found.group(1)


def unpacked(package: str) -> str | None:
    """A program out of a Debian package, downloaded and unpacked beside the binaries of the benchmark; nothing is installed."""
    folder = TARGET / "packages"
    program = folder / "usr" / "bin" / package
    if not program.exists() and shutil.which("dpkg") and _candidate(package):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, check=False)
        for archive in folder.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg", "-x", str(archive), str(folder)], capture_output=True, check=False)
    return str(program) if program.exists() else None
