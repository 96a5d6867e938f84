"""`h3push doctor` on the command line, at servers on loopback."""

import json
import re
import socket

from h3push.cli.failures import ExitCode


def told(result):
    """Findings of --json, by topic and level."""
    document = json.loads(result.out)
    return document["healthy"], [(one["topic"], one["level"], one["message"]) for one in document["findings"]]


def test_a_server_that_is_well(run, server):
    """With its authority known, UDP and certificate are good; that nothing answers over TCP is no more than advice."""
    result = run("doctor", server.url, "--cacert", server.cafile, "--json")
    healthy, findings = told(result)
    assert (healthy, result.code) == (True, ExitCode.DONE)
    levels = {(topic, level) for topic, level, _ in findings}
    assert {("UDP", "good"), ("certificate", "good"), ("Alt-Svc", "advice")} <= levels
    assert any("it is for localhost" in message for *_, message in findings)


def test_an_authority_that_nobody_knows_is_wrong(run, server):
    """In words for people: what, and what to type; the exit code says it too."""
    result = run("doctor", server.url)
    assert result.code == ExitCode.FAILED
    out = result.out.decode()
    assert re.search(r"wrong   certificate: its authority, h3push .*, is known to nobody", out)
    assert "--ignore-certificate-errors-spki-list=" in out


def test_nobody_listens(run):
    """A port that is closed is told from one where a firewall drops everything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        silent = run("doctor", f"https://127.0.0.1:{port}", "--connect-timeout", "0.2", "--json")
    assert silent.code == ExitCode.FAILED
    assert ("UDP", "wrong", f"nothing comes back from UDP port {port}: a firewall drops it, or nobody listens") in told(
        silent
    )[1]
    closed = run("doctor", f"127.0.0.1:{port}", "--connect-timeout", "5", "--json")
    assert ("UDP", "wrong", f"nobody listens on UDP port {port} of 127.0.0.1") in told(closed)[1]


def test_an_application_is_loaded_and_its_middleware_tried(run, tmp_path):
    """--app takes what h3push serve takes, with its mistakes."""
    (tmp_path / "eats.py").write_text(
        "class Eater:\n"
        "    def __init__(self, app):\n        self.app = app\n"
        "    async def __call__(self, scope, receive, send):\n"
        "        await self.app({**scope, 'extensions': {}}, receive, send)\n"
        "async def inner(scope, receive, send): ...\n"
        "app = Eater(inner)\n"
    )
    result = run("doctor", "--app", "eats:app", "--app-dir", tmp_path)
    assert result.code == ExitCode.FAILED
    assert b"middleware: Eater hides the extension http.response.push" in result.out
    missing = run("doctor", "--app", "nosuch:app", "--app-dir", tmp_path)
    assert "there is no module 'nosuch'" in missing.err


def test_what_is_no_url_is_one_sentence(run):
    """Not a traceback."""
    result = run("doctor", "http://localhost/")
    assert (result.code, result.err.count("\n")) == (ExitCode.FAILED, 1)
    assert "https" in result.err
