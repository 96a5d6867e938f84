"""The files of deploy/ do what they say, as far as this machine has the programs that read them."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from h3push.cli.serve import serve
from h3push.server.certificates import development_certificates

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
UNITS = ("h3push.service", "h3push.socket", "h3push-redirect.socket")


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def units(tmp_path):
    """The units, with a program that is there in place of ours."""
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/h3push/bin/h3push", "/bin/true"))
    return tmp_path


@needs("systemd-analyze")
def test_systemd_understands_the_units(units):
    """Every key and value, and that each socket finds its service; nothing is said."""
    words = ["systemd-analyze", "verify", "--man=no", *(f"./{name}" for name in UNITS)]
    done = subprocess.run(words, cwd=units, capture_output=True, text=True, timeout=60)
    about_ours = [line for line in done.stderr.splitlines() if "h3push" in line]
    assert (done.returncode, about_ours) == (0, [])


@needs("systemd-analyze")
def test_the_service_is_hardened(units):
    """`systemd-analyze security` calls it OK: an exposure of 2.0 at most, of 10."""
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", "./h3push.service"]
    done = subprocess.run(words, cwd=units, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def parsed(*arguments, monkeypatch, environment=None):
    taken = []
    monkeypatch.setattr("h3push.cli.serve.run", lambda options, _reread: taken.append(options) or 0)
    result = CliRunner().invoke(serve, list(arguments), env=environment, catch_exceptions=False)
    assert taken, result.output
    return taken[0]


def test_the_service_runs_a_command_that_there_is(tmp_path, monkeypatch):
    """With the settings file beside it, whose every key is a flag."""
    (line,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / "h3push.service").read_text(), re.MULTILINE)
    program, command, *arguments = shlex.split(line)
    assert (Path(program).name, command, arguments) == ("h3push", "serve", ["--config", "/etc/h3push/h3push.toml"])
    text = (DEPLOY / "h3push.toml").read_text().replace("/srv/site", str(tmp_path))
    (tmp_path / "h3push.toml").write_text(text)
    options = parsed("--config", str(tmp_path / "h3push.toml"), monkeypatch=monkeypatch)
    assert (options.binding.port, options.processes.workers, options.over_tcp.redirect_http) == (443, 4, 80)


def steps(path):
    """The steps of a container file: instruction and the rest, joined over lines."""
    text = re.sub(r"\\\n", " ", path.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines]


def test_the_container_is_built_by_steps_that_can_be_done(tmp_path, monkeypatch):
    """No engine runs here, so each step is held to what it stands on: stages, extras, Rust, user, flags, ports."""
    done = steps(DEPLOY / "Containerfile")
    stages = [step.split() for word, step in done if word == "FROM"]
    assert [stage[2:] for stage in stages] == [["build"], []]
    assert stages[0][0] == stages[1][0]  # the same Python: the environment is moved as it is
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installs = " ".join(step for word, step in done if word == "RUN")
    (extras,) = re.findall(r"pip install --no-cache-dir '\.\[([a-z0-9,]+)\]'", installs)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert any(word == "COPY" and step.startswith("--from=docker.io/library/rust:1-") for word, step in done)
    last = done[max(index for index, (word, _) in enumerate(done) if word == "FROM") :]
    assert ("COPY", "--from=build /opt/h3push /opt/h3push") in last
    user = next(step for word, step in last if word == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert f"--uid {user.split(':')[0]}" in next(step for word, step in last if word == "RUN")
    words = shlex.split(next(step for word, step in last if word == "ENV"))
    environment = dict(word.split("=", 1) for word in words)
    assert environment.pop("PATH").startswith("/opt/h3push/bin:")
    program, command, *arguments = json.loads(dict(last)["ENTRYPOINT"])
    assert (program, command) == ("h3push", "serve")
    assert json.loads(dict(last)["CMD"]) == ["/srv/site"]
    options = parsed(*arguments, str(tmp_path), monkeypatch=monkeypatch, environment=environment)
    assert (options.binding.host, options.over_tcp.alt_svc) == ("::", 'h3=":443"; ma=86400')
    assert str(options.certificates.certfile[0]) == "/etc/h3push/cert.pem"
    exposed = dict(last)["EXPOSE"].split()
    assert exposed == [f"{options.binding.port}/udp", f"{options.binding.port}/tcp"]


def test_what_a_container_is_not_given():
    """Neither history, nor what was built here for another machine."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "rust/target", "**/*.so"} <= set(ignored)


@pytest.fixture
def nginx_config(tmp_path):
    """The snippet in a configuration of its own: free ports, files of the test, no privilege."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    made = development_certificates(tmp_path / "ca")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "    listen [::]:443 ssl http2;\n": "",
        "/etc/h3push/cert.pem": str(made.certfile),
        "/etc/h3push/key.pem": str(made.keyfile),
        "/run/h3push/http.sock": str(tmp_path / "http.sock"),
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "h3push.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # else it cannot reach what a test of root's wrote
    (tmp_path / "nginx.conf").write_text(
        f"{user}pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\ndaemon off;\nevents {{ }}\n"
        f"http {{\naccess_log off;\n{temporary}include {tmp_path}/h3push.conf;\n}}\n"
    )
    return port, made, tmp_path


def test_nginx_understands_the_snippet(nginx_config):
    """`nginx -t`."""
    directory = nginx_config[2]
    done = subprocess.run([NGINX, "-t", "-c", directory / "nginx.conf"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.replace("error.log", "")


def test_nginx_hands_requests_on(nginx_config):
    """TLS by nginx, the page by h3push through its UNIX socket, with the way to HTTP/3 and the client's address in the log."""
    port, made, directory = nginx_config
    (directory / "site").mkdir()
    (directory / "site" / "plain.txt").write_text("plain text")
    words = [directory / "site", "--port", "0", "--uds", directory / "http.sock"]
    files = ["--certfile", made.certfile, "--keyfile", made.keyfile]
    ours = subprocess.Popen(
        [*COMMAND, "serve", *map(str, [*words, *files])], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    theirs = None
    try:
        quic = re.search(rb":(\d+)/", ours.stderr.readline())[1].decode()
        theirs = subprocess.Popen([NGINX, "-c", str(directory / "nginx.conf")], stderr=subprocess.DEVNULL)
        answer = asked(port, made.cafile)
    finally:
        for process in (theirs, ours):
            if process is not None:
                process.send_signal(signal.SIGTERM)
        if theirs is not None:
            theirs.wait(20)
        out, _ = ours.communicate(timeout=20)
    assert answer.startswith("HTTP/1.1 200")
    assert f'alt-svc: h3=":{quic}"; ma=86400' in answer
    assert answer.endswith("plain text")
    assert '127.0.0.1:0 "GET /plain.txt HTTP/1.1" 200' in out.decode()


def asked(port, cafile):
    """Ask nginx, as soon as it listens."""
    context = ssl.create_default_context(cafile=cafile)
    while True:
        try:
            plain = socket.create_connection(("127.0.0.1", port), 10)
            break
        except ConnectionRefusedError:
            os.sched_yield()
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"GET /plain.txt HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer.decode()


@needs("caddy")
def test_caddy_understands_the_snippet(tmp_path):
    """`caddy adapt`, which reads it whole."""
    words = ["caddy", "adapt", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "unix//run/h3push/http.sock" in done.stdout
