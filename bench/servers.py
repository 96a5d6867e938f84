"""The servers that `run.py` measures: how each is started, what it can do, and why one is missing."""

import contextlib
import functools
import importlib.metadata
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from programs import Program, caddy_program, nginx_program, said

BENCH = Path(__file__).resolve().parent
PEERS = BENCH / "peers"
BINARIES = BENCH / "load" / "target" / "release"

COMPILED_PYTHON = Path(f"{sys.prefix}-compiled") / "bin" / "python"
"""Runs the compiled form; `make install COMPILED=1` makes it, beside the environment of the interpreted one."""

SERVER_CORE = 0
"""Every server runs here."""
CLIENT_CORE = 1
"""The load client runs here."""

START_SECONDS = 20.0
"""A server that is not ready after so long is broken."""

CADDYFILE = """{{
    admin off
    auto_https off
    servers {{
        protocols h1 h3
    }}
}}
https://127.0.0.1:{port}, https://localhost:{port} {{
    tls {certificate} {key}
    handle /1k {{
        respond "{one_k}"
    }}
    handle /hello {{
        respond "Hello, world!"
    }}
    handle {{
        root * {root}
        file_server
    }}
}}
"""

NGINX_CONF = """daemon off;
master_process off;
pid {work}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 262144; }}
http {{
    client_body_temp_path {work}/nginx-body;
    proxy_temp_path {work}/nginx-proxy;
    fastcgi_temp_path {work}/nginx-fastcgi;
    uwsgi_temp_path {work}/nginx-uwsgi;
    scgi_temp_path {work}/nginx-scgi;
    access_log off;
    sendfile on;
    quic_gso on;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} quic reuseport;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location = /1k {{ return 200 "{one_k}"; }}
        location = /hello {{ return 200 "Hello, world!"; }}
        location / {{ root {root}; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """The ports and files that every server is given."""

    work: Path
    """A directory for what a server writes."""
    root: Path
    """The files of servers of files: `/static/1k` and `/bulk`."""
    certificate: Path
    """P-256, PEM."""
    key: Path
    """Its key."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the comparison."""

    name: str
    """Its name in the tables."""
    command: Callable[[Setting, int], list[str]]
    """How it is started on a port."""
    version: str | None
    """Name and version of the software; `None`: it is missing."""
    missing: str = ""
    """Why it is missing."""
    ready: str = "ready"
    """The line that it prints when it is ready."""


class Running:
    """A server that runs, on the servers' core."""

    def __init__(self, server: Server, setting: Setting, port: int) -> None:
        self.port = port
        self._process = subprocess.Popen(
            server.command(setting, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=setting.work,
            env={**os.environ, "GOMAXPROCS": "1", "HOME": str(setting.work), "XDG_DATA_HOME": str(setting.work)},
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
            process_group=0,  # some have workers, which are to end with them
        )
        self._wait(server)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def resident(self) -> int:
        """Memory that it holds now, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found.group(1)) * 1024 if found else 0

    def stop(self) -> None:
        """End it, and the workers that it has."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def terminate(self) -> None:
        """End it and the processes that it has started: with the signal that it forwards."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self.stop()

    def _wait(self, server: Server) -> None:
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        said, deadline = b"", time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while server.ready.encode() not in said:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"{server.name} did not start: {said.decode(errors='replace')[-2000:]}")
                if selector.select(0.2):
                    said += self._process.stdout.read() or b""


def all_servers() -> list[Server]:
    """Every server of the comparison, the missing ones too."""
    return [
        *_both_forms("h3push", "h3push_handler.py"),
        *_both_forms("h3push, ASGI", "h3push_asgi.py"),
        *_both_forms("h3push, static files", "h3push_static.py", files=True),
        Server("quinn + h3 (native)", _native, _crates("quinn", "h3")),
        _library("aioquic", "aioquic", _python("quic_python.py", "aioquic", "asgi")),
        _library("aioquic, no task", "aioquic", _python("quic_python.py", "aioquic", "direct")),
        _library("qh3", "qh3", _python("quic_python.py", "qh3", "direct")),
        _library("Hypercorn", "hypercorn", _python("hypercorn_asgi.py")),
        _caddy(),
        _nginx(),
    ]


def client_servers() -> dict[str, Server]:
    """The servers that clients are measured with, by protocol."""
    http3 = Server("h3push", _python("h3push_handler.py"), distribution("h3push"))
    return {"HTTP/3": http3, "HTTP/2": granian(), "HTTP/1.1": granian()}


def granian() -> Server:
    """One worker of granian, with the application of the benchmark."""
    return Server(
        "granian", _granian, distribution("granian"), "the Python package granian is not installed", "Started worker"
    )


@functools.cache
def compiled_form() -> tuple[str | None, str]:
    """Name and version of the compiled h3push; or `None`, and why it is missing."""
    if not COMPILED_PYTHON.exists():
        return None, "the compiled form is not built: make install COMPILED=1"
    script = "import h3push, sys; print(h3push.__version__, h3push.compiled, ascii(sys.version))"
    told = said([*compiled_python(), "-c", script]).strip().rpartition("\n")[2]
    version, compiled, python = [*told.split(" ", 2), "", ""][:3]
    if compiled != "True":
        return None, f"{COMPILED_PYTHON} does not have the compiled form of h3push: {told}"
    if python != ascii(sys.version):  # what is gained by another interpreter is not gained by compiling
        return None, f"{COMPILED_PYTHON} is Python {python}, and the interpreted form runs on {sys.version!a}"
    return f"h3push {version}, compiled", ""


def compiled_python() -> list[str]:
    """How a script is begun that is to have the compiled form, whatever PYTHONPATH says."""
    return [str(COMPILED_PYTHON), "-E"]


def _both_forms(name: str, script: str, *, files: bool = False) -> list[Server]:
    compiled, missing = compiled_form()
    return [
        Server(name, _python(script, files=files), distribution("h3push")),
        Server(f"{name}, compiled", _python(script, files=files, python=compiled_python()), compiled, missing),
    ]


def _granian(setting: Setting, port: int) -> list[str]:
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--working-dir", str(PEERS)]
    tls = ["--ssl-certificate", str(setting.certificate), "--ssl-keyfile", str(setting.key)]
    return [sys.executable, "-m", "granian", "--interface", "asginl", *address, *tls, "application:app"]


def _python(
    script: str, *arguments: str, files: bool = False, python: list[str] | None = None
) -> Callable[[Setting, int], list[str]]:
    def command(setting: Setting, port: int) -> list[str]:
        root = [str(setting.root)] if files else []
        base = [*(python or [sys.executable]), str(PEERS / script), *arguments, str(port)]
        return [*base, str(setting.certificate), str(setting.key), *root]

    return command


def _native(setting: Setting, port: int) -> list[str]:
    return [str(BINARIES / "native"), str(port), str(setting.certificate), str(setting.key)]


def distribution(name: str) -> str | None:
    """Name and version of an installed package; `None` when it is missing."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def _crates(*names: str) -> str:
    lock = (BENCH / "load" / "Cargo.lock").read_text(encoding="utf-8")
    versions = [re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock) for name in names]
    return ", ".join(f"{name} {found.group(1)}" for name, found in zip(names, versions, strict=True) if found)


def _library(name: str, package: str, command: Callable[[Setting, int], list[str]]) -> Server:
    version = distribution(package)
    return Server(name, command, version, missing=f"the Python package {package} is not installed")


def _caddy() -> Server:
    program = caddy_program()
    if not isinstance(program, Program):
        return Server("Caddy", _native, None, missing=program)

    def command(setting: Setting, port: int) -> list[str]:
        config = setting.work / "Caddyfile"
        config.write_text(_filled(CADDYFILE, setting, port), encoding="utf-8")
        return [*program.command, "run", "--config", str(config), "--adapter", "caddyfile"]

    return Server("Caddy", command, f"Caddy {program.version}", ready="serving initial configuration")


def _nginx() -> Server:
    program = nginx_program()
    if not isinstance(program, Program):
        return Server("nginx", _native, None, missing=program)

    def command(setting: Setting, port: int) -> list[str]:
        config = setting.work / "nginx.conf"
        config.write_text(_filled(NGINX_CONF, setting, port), encoding="utf-8")
        return [*program.command, "-e", "stderr", "-p", str(setting.work), "-c", str(config)]

    return Server("nginx", command, f"nginx {program.version}", ready="using the")


def _filled(template: str, setting: Setting, port: int) -> str:
    return template.format(
        port=port,
        certificate=setting.certificate,
        key=setting.key,
        root=setting.root,
        work=setting.work,
        one_k="x" * 1024,
    )
