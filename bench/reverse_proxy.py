"""`make bench-proxy`: the CPU of a proxied request and the time that a proxy adds, beside nginx and Caddy as reverse proxies.

One upstream (nginx, 1 KB from memory, HTTP/1.1) stands behind each proxy in turn. h2load asks over HTTP/2 with TLS, the load
client of `make bench` over HTTP/3. The proxy has one core, upstream and load client have the other. CPU is the proxy process's
own; the time that a proxy adds is the difference of two 99th percentiles at a rate that keeps nobody busy: through the proxy,
and the upstream itself over TLS. What else the machine does is in these times: `chrt -f 5 make bench-proxy` keeps it out.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from programs import said, unpacked
from report import machine, markdown_table, text_table, write_section
from servers import BINARIES, CLIENT_CORE, Running, Server, Setting, distribution

from h3push.server.certificates import development_certificates

NGINX = "nginx"
UPSTREAM_PORT = 18_080
QUIET_RATE = 100
"""Requests a second at which nobody is busy."""
PER_CONNECTION = 2_000
"""Requests on one connection: some servers end one that has had many."""
TICKS = os.sysconf("SC_CLK_TCK")

UPSTREAM_CONF = """daemon off;
master_process off;
pid {work}/upstream.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{upstream};
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{ default_type text/plain; return 200 "{one_k}"; }}
    }}
}}
"""

NGINX_CONF = """daemon off;
master_process off;
pid {work}/proxy.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    upstream behind {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"""

CADDYFILE = """{{
    admin off
    auto_https off
}}
https://127.0.0.1:{port}, https://localhost:{port} {{
    tls {certificate} {key}
    reverse_proxy 127.0.0.1:{upstream}
}}
"""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one proxy, medians over the rounds."""

    name: str
    rate: float
    """Requests a second, as many as it can."""
    cpu: float
    """Microseconds of CPU of its process, for one request."""
    p50: float
    """Milliseconds at the quiet rate."""
    p99: float
    """The same."""
    http3: "OverHttp3 | None"
    """Over HTTP/3, where it speaks that."""


@dataclass(frozen=True, slots=True)
class OverHttp3:
    """The figures of one proxy whose clients speak HTTP/3."""

    rate: float
    """Requests a second, 50 at once."""
    cpu: float
    """Microseconds of CPU of its process, for one request."""
    p50: float
    """Milliseconds, one request directly after another."""
    p99: float
    """The same."""


def filled(template: str, setting: Setting, port: int) -> str:
    """A configuration."""
    return template.format(
        port=port,
        upstream=UPSTREAM_PORT,
        certificate=setting.certificate,
        key=setting.key,
        work=setting.work,
        one_k="x" * 1024,
    )


def nginx_command(template: str, name: str) -> Callable[[Setting, int], list[str]]:
    """How nginx is started with a configuration."""

    def command(setting: Setting, port: int) -> list[str]:
        config = setting.work / f"{name}.conf"
        config.write_text(filled(template, setting, port), encoding="utf-8")
        return [nginx_path() or "nginx", "-p", str(setting.work), "-c", str(config)]

    return command


def nginx_path() -> str | None:
    """The nginx of this machine."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def caddy_command(setting: Setting, port: int) -> list[str]:
    """How Caddy is started."""
    config = setting.work / "Caddyfile"
    config.write_text(filled(CADDYFILE, setting, port), encoding="utf-8")
    return [caddy_path() or "caddy", "run", "--config", str(config), "--adapter", "caddyfile"]


def caddy_path() -> str | None:
    """The Caddy of this machine, or of its packages."""
    return shutil.which("caddy") or unpacked("caddy")


def h3push_command(setting: Setting, port: int) -> list[str]:
    """How h3push is started."""
    code = "from h3push.cli import main; main()"
    files = ["--certfile", str(setting.certificate), "--keyfile", str(setting.key)]
    flags = ["--port", str(port), "--host", "127.0.0.1", "--no-access-log", *files]
    return [sys.executable, "-c", code, "proxy", f"127.0.0.1:{UPSTREAM_PORT}", *flags]


def proxies() -> list[Server]:
    """Every proxy of the comparison."""
    nginx, caddy = nginx_path(), caddy_path()
    found = re.search(r"nginx/([\d.]+)", said([nginx, "-v"])) if nginx else None
    return [
        Server("h3push proxy", h3push_command, distribution("h3push"), ready="over TCP"),
        Server(
            NGINX,
            nginx_command(NGINX_CONF, "proxy"),
            f"nginx {found[1]}" if found else None,
            missing="no nginx is installed",
            ready="using the",
        ),
        Server(
            "Caddy",
            caddy_command,
            f"Caddy {said([caddy, 'version']).split()[0]}" if caddy else None,
            missing="no caddy is installed, and none is among this machine's packages",
            ready="serving initial configuration",
        ),
    ]


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used, its threads too."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def load(port: int, requests: int, *arguments: str) -> str:
    """Run h2load on the client's core, on one connection; its output. `RuntimeError` when an answer is missing, or no 2xx."""
    command = ["h2load", "-c", "1", "-n", str(requests), *arguments, f"https://127.0.0.1:{port}/1k"]
    done = subprocess.run(
        ["taskset", "-c", str(CLIENT_CORE), *command], capture_output=True, text=True, check=True, timeout=300
    )
    if f"status codes: {requests} 2xx," not in done.stdout:  # what got no answer at all is not among the status codes
        raise RuntimeError(f"h2load: not every answer was 2xx:\n{done.stdout}")
    return done.stdout


def busy(port: int, pid: int, requests: int) -> tuple[float, float]:
    """As many requests as it can, 50 at once: rate, and CPU of one in microseconds."""
    load(port, 500, "-m", "50")
    before, done, seconds = cpu_seconds(pid), 0, 0.0
    while done < requests:
        said = load(port, PER_CONNECTION, "-m", "50")
        found = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", said)
        assert found, said
        done, seconds = done + PER_CONNECTION, seconds + PER_CONNECTION / float(found[1])
    return done / seconds, (cpu_seconds(pid) - before) / done * 1e6


def quiet(port: int, work: Path, requests: int) -> list[float]:
    """Milliseconds of each request at the quiet rate."""
    log = work / "times"
    log.unlink(missing_ok=True)
    load(port, requests, "-m", "1", "--rps", str(QUIET_RATE), "--log-file", str(log))
    times = [int(line.split()[2]) / 1e3 for line in log.read_text(encoding="ascii").splitlines()]
    return times[requests // 20 :]  # without the handshake and the first connection to the upstream


def over_http3(port: int, pid: int, seconds: float = 3.0) -> OverHttp3 | None:
    """Ask over HTTP/3; `None` when it fails, or the load client is not built (`make bench-peers`)."""
    told = []
    for streams in ("50", "1"):
        options = ["--connections", "1", "--streams", streams, "--seconds", str(seconds), "--pid", str(pid)]
        command = [str(BINARIES / "load"), "requests", f"127.0.0.1:{port}", *options]
        try:
            done = subprocess.run(
                ["taskset", "-c", str(CLIENT_CORE), *command], capture_output=True, text=True, check=False, timeout=60
            )
        except FileNotFoundError:
            return None
        one = json.loads(done.stdout) if done.returncode == 0 else {"operations": 0, "errors": 0}
        if one["errors"] or not one["operations"]:
            return None
        told.append(one)
    many, single = told
    done_in_all = many["operations"]
    return OverHttp3(
        done_in_all / many["seconds"],
        many["server_cpu"] * 1e6 / done_in_all,
        single["p50"] / 1e3,
        single["p99"] / 1e3,
    )


def percentile(times: list[float], share: float) -> float:
    """The value below which a share of the times lies."""
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def measure(server: Server, setting: Setting, port: int, rounds: int, requests: int) -> Result:
    """Start a proxy, and measure it some times."""
    running = Running(server, setting, port)
    try:
        rates, times = [], []
        for _ in range(rounds):
            rates.append(busy(port, running.pid, requests))
            times.append(quiet(port, setting.work, requests // 20))
        http3 = None if server.name == NGINX else over_http3(port, running.pid)  # Debian's nginx does not speak it
    finally:
        running.stop()
    return Result(
        server.name,
        statistics.median(rate for rate, _ in rates),
        statistics.median(cpu for _, cpu in rates),
        statistics.median(percentile(one, 0.5) for one in times),
        statistics.median(percentile(one, 0.99) for one in times),
        http3,
    )


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def start_upstream(setting: Setting, port: int) -> Running:
    """Start the upstream, on the client's core."""
    server = Server("upstream", nginx_command(UPSTREAM_CONF, "upstream"), "nginx", ready="using the")
    running = Running(server, setting, port)
    os.sched_setaffinity(running.pid, {CLIENT_CORE})
    return running


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--no-write", action="store_true", help="print only")
    given = parser.parse_args()
    for program in ("h2load", "nginx", "taskset"):
        if shutil.which(program) is None and (program != "nginx" or nginx_path() is None):
            raise SystemExit(f"{program} is needed: on Debian, apt-get install nghttp2-client nginx-light util-linux")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = development_certificates(work)
        setting = Setting(work, work, made.certfile, made.keyfile)
        direct_port = free_port()
        upstream = start_upstream(setting, direct_port)
        try:
            times = [quiet(direct_port, work, given.requests // 20) for _ in range(given.rounds)]
            direct = statistics.median(percentile(one, 0.99) for one in times)
            found = proxies()
            results = [measure(one, setting, free_port(), given.rounds, given.requests) for one in found if one.version]
        finally:
            upstream.stop()
    report(results, [one for one in found if not one.version], found, direct, write=not given.no_write)


_ALONE = "Everything ran with real-time priority (SCHED_FIFO): what else the machine did took no time from it, only its caches."


def report(results: list[Result], missing: list[Server], found: list[Server], direct: float, *, write: bool) -> None:
    """Print the table, and write it where it belongs."""
    header = ["", "requests/s", "us of CPU a request", "median, ms", "99 %, ms", "adds at 99 %, ms"]
    rows = [
        [
            one.name,
            f"{one.rate:,.0f}",
            f"{one.cpu:.0f}",
            f"{one.p50:.2f}",
            f"{one.p99:.2f}",
            f"{max(0.0, one.p99 - direct):.2f}",
        ]
        for one in results
    ]
    print(text_table(header, rows))
    head_of_http3 = ["", "requests/s", "us of CPU a request", "median, ms", "99 %, ms"]
    rows_of_http3 = [
        [one.name, f"{of.rate:,.0f}", f"{of.cpu:.0f}", f"{of.p50:.2f}", f"{of.p99:.2f}"]
        for one in results
        if (of := one.http3) is not None
    ]
    print(text_table(head_of_http3, rows_of_http3))
    added = results[0].p99 - direct
    verdict = "pass" if added < 1 else "SHORT"
    lines = [
        "Proxied requests of 1 KB over HTTP/2 with TLS, upstream nginx over HTTP/1.1. Rate and CPU: 50 at once on a connection; "
        f"times: {QUIET_RATE} requests a second, one at a time. The upstream itself over HTTP/2: {direct:.2f} ms at 99 %.",
        markdown_table(header, rows),
        f"Wanted: h3push adds less than 1 ms at the 99th percentile. Measured {added:.2f} ms: {verdict}.",
        "The same over HTTP/3; times: one request directly after another.",
        markdown_table(head_of_http3, rows_of_http3),
        *([_ALONE] if os.sched_getscheduler(0) == os.SCHED_FIFO else []),
        *(f"Missing: {one.name}: {one.missing}." for one in missing),
        f"Versions: {'; '.join(one.version for one in found if one.version)}. {machine()}.",
    ]
    print(lines[0], *lines[2:3], *lines[5:], sep="\n")
    if write:
        write_section("reverse_proxy", "\n\n".join(lines))


if __name__ == "__main__":
    main()
