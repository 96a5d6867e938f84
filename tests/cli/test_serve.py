"""`h3push serve` as a process: its ready line, its log, its signals, and how it refuses to start."""

import hashlib
import ipaddress
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from h3push.cli.failures import ExitCode
from h3push.server.certificates import development_certificates

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]


def unstamped(line):
    """A line without its time stamp, which is UTC with milliseconds, as in the access log."""
    stamp = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line)
    assert stamp, line
    return line[stamp.end() :]


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "h3push"


@pytest.fixture
def serving(site, state):
    """Start `h3push serve` and wait for its ready line."""
    processes = []

    def serving(*arguments, directory=site):
        process = subprocess.Popen(
            [*COMMAND, "serve", str(directory), "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        line = process.stderr.readline().decode()
        found = re.search(r"https://\S+:(\d+)/", line)
        assert found, line + process.stderr.read().decode()
        if "--tcp" not in arguments:
            assert b"Z h3push: over " in process.stderr.readline()
        return SimpleNamespace(process=process, line=unstamped(line), port=int(found[1]))

    yield serving
    for process in processes:
        process.kill()
        process.communicate()


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return process.returncode, out.decode(), err.decode()


def test_the_ready_line_says_where_and_what_to_trust(serving, site, state):
    server = serving("--dev")
    assert server.line == f"h3push: serving {site} at https://localhost:{server.port}/ (CA file {state}/ca.pem)\n"
    assert end(server.process) == (0, "", "")


def test_a_page_is_served_with_its_pushes_and_each_response_is_logged(serving, run, state):
    server = serving("--dev", "--host", "localhost")
    result = run("get", "--json", "--cacert", state / "ca.pem", f"https://localhost:{server.port}/")
    assert [push["state"] for push in json.loads(result.out)["pushes"]] == ["fulfilled"] * 3
    run("get", "--cacert", state / "ca.pem", f"https://localhost:{server.port}/absent")
    code, out, err = end(server.process)
    assert (code, err) == (0, "")
    lines = [re.sub(r"^\S+Z \S+:\d+ ", "", line) for line in out.splitlines()]
    assert lines == [
        '"GET / HTTP/3" 200 74',
        '"GET /style.css HTTP/3" 200 16 push 0 for /',
        '"GET /a%20b.png HTTP/3" 200 12 push 1 for /',
        '"GET /empty.png HTTP/3" 200 0 push 2 for /',
        re.search(r'"GET /absent HTTP/3" 404 \d+', out)[0],
    ]


def test_nothing_is_pushed_and_nothing_logged_when_the_user_says_so(serving, run, state):
    server = serving("--dev", "--push", "off", "--quiet")
    result = run("get", "--json", "--cacert", state / "ca.pem", f"https://127.0.0.1:{server.port}/")
    assert json.loads(result.out)["pushes"] == []
    assert end(server.process) == (0, "", "")


def test_certificates_are_made_once(serving, state):
    end(serving("--dev").process)
    before = (state / "ca.pem").read_bytes(), (state / "server.pem").read_bytes()
    end(serving("--dev").process)
    assert ((state / "ca.pem").read_bytes(), (state / "server.pem").read_bytes()) == before


def test_certificates_of_ones_own(serving, run, certificates):
    server = serving("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
    assert f"(certificate {certificates.certfile})" in server.line
    assert (
        run("get", "--cacert", certificates.cafile, f"https://localhost:{server.port}/plain.txt").out == b"plain text\n"
    )


def test_interrupting_stops_gracefully(serving):
    assert end(serving("--dev").process, signal.SIGINT) == (0, "", "")


def test_a_second_signal_does_not_wait_for_what_is_under_way(serving, run, tmp_path):
    (tmp_path / "large.bin").write_bytes(bytes(20_000_000))
    server = serving("--dev", directory=tmp_path)
    getter = subprocess.Popen(
        [*COMMAND, "get", "-k", f"https://localhost:{server.port}/large.bin"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert getter.stdout.read(1)  # from here on nobody reads: the response stays under way
    server.process.send_signal(signal.SIGINT)
    while run("get", "-k", "--connect-timeout", "1", f"https://localhost:{server.port}/").code == 0:
        pass  # until it accepts no more connections, so that the signals are two
    begin = time.monotonic()
    code, _, err = end(server.process, signal.SIGINT)
    assert code == 0
    # Ctrl-C says what it is waiting for (issue 9, point 40).
    assert unstamped(err).startswith(
        "h3push: stopping: 1 response under way, for 10 s at most; Ctrl-C again stops at once\n"
    )
    assert time.monotonic() - begin < 5  # graceful_timeout is 10
    getter.kill()
    getter.communicate()


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_localhost_is_both_of_its_addresses(serving, run, state, address):
    """One server, one URL, two sockets (issue 9, point 40)."""
    if address == "[::1]" and not has_ipv6():
        pytest.skip("this machine has no ::1")
    server = serving("--dev")
    result = run("get", "--cacert", state / "ca.pem", f"https://{address}:{server.port}/plain.txt")
    assert (result.code, result.out) == (0, b"plain text\n")
    assert end(server.process)[0] == 0


def has_ipv6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def test_sighup_reloads_the_certificate(serving, run, certificates, tmp_path):
    """In place, for new connections; what cannot be used changes nothing, and neither ends the server (issue 9, point 10)."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    other = development_certificates(tmp_path / "other")
    shutil.copy(certificates.certfile, certfile)
    shutil.copy(certificates.keyfile, keyfile)
    server = serving("--certfile", certfile, "--keyfile", keyfile)
    url = f"https://localhost:{server.port}/plain.txt"
    assert run("get", "--cacert", certificates.cafile, url).code == 0

    certfile.write_text("junk")
    server.process.send_signal(signal.SIGHUP)
    line = server.process.stderr.readline().decode()
    assert unstamped(line).startswith(
        f"h3push: the certificate in use stays: {certfile} and {keyfile} cannot be used: "
    )
    assert run("get", "--cacert", certificates.cafile, url).code == 0

    shutil.copy(other.certfile, certfile)
    shutil.copy(other.keyfile, keyfile)
    server.process.send_signal(signal.SIGHUP)
    line = server.process.stderr.readline().decode()
    assert unstamped(line) == f"h3push: new connections use the certificate {certfile} as it is now\n"
    assert run("get", "--cacert", other.cafile, url).code == 0
    code, out, err = end(server.process)
    assert (code, len(out.splitlines()), err) == (0, 3, "")


def test_a_client_that_refuses_the_certificate_is_told_of(serving, run, state):
    """On the server's stderr, where whoever set it up looks (issue 9, point 40)."""
    server = serving("--dev")
    assert run("get", f"https://localhost:{server.port}/").code == ExitCode.CERTIFICATE
    line = server.process.stderr.readline().decode()
    assert re.fullmatch(
        r"h3push: the client at \S+ refuses our certificate: its authority is unknown there \(TLS alert 48\)\n",
        unstamped(line),
    )
    assert end(server.process) == (0, "", "")


def test_an_expired_certificate_is_told_of(serving, tmp_path):
    """Right after the ready line (issue 9, point 40)."""
    made = development_certificates(tmp_path / "old", now=datetime(2020, 1, 1, tzinfo=UTC))
    server = serving("--certfile", made.certfile, "--keyfile", made.keyfile)
    line = server.process.stderr.readline().decode()
    assert (
        unstamped(line)
        == f"h3push: the certificate {made.certfile} expired on 2020-01-31 00:00 UTC: clients refuse it\n"
    )
    assert end(server.process) == (0, "", "")


def test_a_development_certificate_is_for_further_names(serving, state):
    """`--name`, as often as need be (issue 9, point 40)."""
    end(serving("--dev", "--name", "dev.test", "--name", "192.0.2.7").process)
    certificate = x509.load_pem_x509_certificates((state / "server.pem").read_bytes())[0]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert x509.DNSName("dev.test") in names
    assert x509.IPAddress(ipaddress.ip_address("192.0.2.7")) in names


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_other_clients_find_the_same_over_tcp(serving, state):
    """On the same port number, with the same certificate, and with the way to HTTP/3 (issue 12, point 1)."""
    server = serving("--dev")
    url = f"https://localhost:{server.port}/plain.txt"
    got = subprocess.run(["curl", "-si", "--http1.1", "--cacert", state / "ca.pem", url], capture_output=True)
    head, _, content = got.stdout.partition(b"\r\n\r\n")
    assert (head[:15], content) == (b"HTTP/1.1 200 OK", b"plain text\n")
    assert f'alt-svc: h3=":{server.port}"; ma=86400' in head.decode()
    code, out, err = end(server.process)
    assert (code, err) == (0, "")
    assert '"GET /plain.txt HTTP/1.1" 200 11' in out


def test_http3_alone_when_the_user_says_so(serving, state):
    """`--tcp off` says nothing more and listens on UDP alone."""
    server = serving("--dev", "--tcp", "off")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    assert end(server.process) == (0, "", "")


def test_flags_of_sites_go_with_directories(run, site):
    assert b"go with a directory" in run("serve", "package.module:app", "--dev", "--spa").err.encode()
    assert b"is not PATTERN=VALUE" in run("serve", site, "--dev", "--cache-control", "x").err.encode()


def test_flags_of_tcp_go_with_tcp(run, site):
    assert b"go with TCP" in run("serve", site, "--dev", "--tcp", "off", "--alt-svc", "clear").err.encode()
    assert b"printable ASCII" in run("serve", site, "--dev", "--alt-svc", "a\nb").err.encode()


def test_a_log_that_cannot_be_written_is_said_once(site, state, run):
    """`> /dev/full` loses the rows; serving goes on, and the end is clean (issue 9, point 36)."""
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [*COMMAND, "serve", str(site), "--dev", "--port", "0"], stdout=full, stderr=subprocess.PIPE
        )
    port = re.search(rb":(\d+)/", process.stderr.readline())[1].decode()
    assert b"Z h3push: over " in process.stderr.readline()
    for _ in range(2):
        assert run("get", "-k", f"https://localhost:{port}/plain.txt").code == 0
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, unstamped(err.decode())) == (
        0,
        "h3push: the access log cannot be written, and rows are lost: No space left on device\n",
    )


def test_the_key_log_is_written_when_asked_for(serving, run, state, tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    server = serving("--dev")
    run("get", "-k", f"https://localhost:{server.port}/")
    secrets = re.findall(r"^SERVER_TRAFFIC_SECRET_0 (\S+) (\S+)$", (tmp_path / "keys").read_text(), re.MULTILINE)
    assert len(secrets) == 2
    assert secrets[0] == secrets[1]


def test_a_hundred_megabytes_are_served_and_pushed_right(serving, run, state, tmp_path):
    root = tmp_path / "large"
    root.mkdir()
    digest = hashlib.sha256()
    with (root / "large.bin").open("wb") as file:
        for number in range(100):
            block = hashlib.sha256(str(number).encode()).digest() * 31_250
            file.write(block)
            digest.update(block)
    (root / "index.html").write_text("<link rel=preload as=fetch href=large.bin>")
    server = serving("--dev", directory=root)
    url = f"https://localhost:{server.port}/"
    (push,) = json.loads(run("get", "-k", "--json", url).out)["pushes"]
    assert (push["body_bytes"], push["body_sha256"]) == (100_000_000, digest.hexdigest())
    assert run("get", "-k", "-o", tmp_path / "copy", url + "large.bin").code == 0
    with (tmp_path / "copy").open("rb") as copy:
        assert hashlib.file_digest(copy, "sha256").hexdigest() == digest.hexdigest()
    part = run("get", "-k", "-H", "range: bytes=99999990-", url + "large.bin").out
    assert part == (hashlib.sha256(b"99").digest())[-10:]


def test_nobody_reads_the_output_of_get_any_more(serving, state, tmp_path):
    root = tmp_path / "large"
    root.mkdir()
    (root / "large.bin").write_bytes(bytes(2_000_000))
    server = serving("--dev", directory=root)
    getter = subprocess.Popen(
        [*COMMAND, "get", "-k", f"https://localhost:{server.port}/large.bin"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert len(getter.stdout.read(1000)) == 1000
    getter.stdout.close()
    assert getter.wait(20) == 23
    assert getter.stderr.read() == b""
    getter.stderr.close()


def test_interrupting_get_exits_with_130_and_says_nothing():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        getter = subprocess.Popen(
            [*COMMAND, "get", f"https://127.0.0.1:{mute.getsockname()[1]}/"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell without job control has its background jobs ignore SIGINT, these tests perhaps among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        mute.recv(2000)  # its first packet: it is under way
        assert end(getter, signal.SIGINT) == (130, "", "")


# failures, in this process


def failure(result):
    assert (result.code, result.out) == (1, b"")
    assert result.err.startswith("h3push: ")
    assert result.err.count("\n") == 1
    return result.err[len("h3push: ") : -1]


def test_a_missing_directory(run, tmp_path, state):
    assert failure(run("serve", tmp_path / "absent", "--dev")) == f"there is no directory {tmp_path}/absent"
    (tmp_path / "file").write_text("")
    assert failure(run("serve", tmp_path / "file", "--dev")) == f"{tmp_path}/file is not a directory"
    assert not state.exists()


def test_a_port_in_use(run, site, state):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sentence = failure(run("serve", site, "--dev", "--port", port))
    assert sentence == (
        f"UDP port {port} of localhost is in use by another program: stop it, or choose another port with --port"
    )


def test_an_address_of_another_machine(run, site, state):
    sentence = failure(run("serve", site, "--dev", "--host", "192.0.2.1"))
    assert sentence == "192.0.2.1 is no address of this machine: choose one with --host"
    assert "nosuch.invalid" in failure(run("serve", site, "--dev", "--host", "nosuch.invalid"))


def test_a_bad_certificate_or_key(run, site, certificates, tmp_path):
    def sentence(certfile, keyfile):
        return failure(run("serve", site, "--certfile", certfile, "--keyfile", keyfile))

    bad = tmp_path / "bad.pem"
    bad.write_text("not a certificate")
    other = tmp_path / "other"
    other.mkdir()
    assert sentence(tmp_path / "absent.pem", certificates.keyfile) == (
        f"cannot read the certificate {tmp_path}/absent.pem: no such file or directory"
    )
    assert sentence(certificates.certfile, tmp_path / "absent.key") == (
        f"cannot read the private key {tmp_path}/absent.key: no such file or directory"
    )
    assert str(bad) in sentence(bad, certificates.keyfile)
    assert str(bad) in sentence(certificates.certfile, bad)
    assert "cannot be used" in sentence(certificates.certfile, certificates.cafile.with_name("ca.key"))


def test_a_pem_file_that_was_cut_off(run, site, certificates, tmp_path):
    """Has a sentence of ours (issue 9, point 40)."""
    cut = tmp_path / "cut.pem"
    cut.write_bytes(certificates.certfile.read_bytes()[:-40])
    sentence = failure(run("serve", site, "--certfile", cut, "--keyfile", certificates.keyfile))
    assert sentence == f"the certificate {cut} is cut off: a section of it has no end"
    cut.write_bytes(certificates.keyfile.read_bytes()[:-40])
    sentence = failure(run("serve", site, "--certfile", certificates.certfile, "--keyfile", cut))
    assert sentence == f"the private key {cut} is cut off: a section of it has no end"


def test_a_key_log_that_cannot_be_written(run, site, state, monkeypatch):
    """The sentence names it, and not the port (issue 9, point 40)."""
    monkeypatch.setenv("SSLKEYLOGFILE", "/dev/null/keys")
    assert failure(run("serve", site, "--dev")) == "cannot write the key log /dev/null/keys: not a directory"


def test_a_ca_that_is_broken(run, site, state):
    """Is not replaced in silence (issue 9, point 40)."""
    state.mkdir(parents=True)
    (state / "ca.pem").write_text("mine")
    (state / "ca.key").write_text("mine too")
    assert failure(run("serve", site, "--dev")).startswith(
        f"{state}/ca.pem and {state}/ca.key are no certificate authority"
    )
    assert (state / "ca.pem").read_text() == "mine"


def test_a_state_directory_that_cannot_be_written(run, site, tmp_path):
    (tmp_path / "file").write_text("")
    sentence = failure(run("serve", site, "--dev", "--dev-dir", tmp_path / "file" / "below"))
    assert sentence == f"cannot keep certificates in {tmp_path}/file/below: not a directory"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["."],
        [".", "--keyfile", "x"],
        [".", "--dev", "--certfile", "x", "--keyfile", "x"],
        [".", "--certfile", "x", "--keyfile", "x", "--dev-dir", "y"],
        [".", "--dev", "--port", "65536"],
        [".", "--certfile", "x", "--keyfile", "x", "--name", "y"],
        [".", "--dev", "--push", "maybe"],
        [".", "--dev", "--push-limit", "0"],
        [".", "--dev", "--push-wait", "-1"],
    ],
)
def test_a_command_line_that_makes_no_sense_exits_with_2(run, arguments):
    result = run("serve", *arguments)
    assert result.code == 2
    assert "Usage" in result.err
    assert "Traceback" not in result.err


def test_text_is_compressed_where_the_user_says_so(serving, tmp_path, run):
    """--compress; without it, and for an application, it is not."""
    (tmp_path / "words.txt").write_bytes(b"word and again a word\n" * 100)
    server = serving("--dev", "--compress", directory=tmp_path)
    cafile = re.search(r"CA file (.*)\)", server.line)[1]
    url = f"https://localhost:{server.port}/words.txt"
    got = run("get", "--compressed", "-i", "--cacert", cafile, url)
    assert b"content-encoding: " in got.out
    assert got.out.endswith(b"word and again a word\n" * 100)
    end(server.process)
    assert b"go with a directory" in run("serve", "package.module:app", "--dev", "--compress").err.encode()
