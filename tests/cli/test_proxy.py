"""`h3push proxy` on the command line."""

import json
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from h3push.cli.failures import ExitCode

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ftp://x"], "an upstream is http://HOST:PORT"),
        (["localhost:http"], "no address of an upstream"),
        (["unix:relative"], "by its whole path"),
        (["http://user@host/"], "neither a query, nor a fragment, nor a user"),
        ([":8000", "--health-check", "health"], "--health-check takes a path"),
        ([":8000", "--forwarded-allow-ips", "nobody"], "--forwarded-allow-ips takes addresses"),
        ([":8000", "--forwarded-allow-ips", "127.0.0.1,*"], "or * alone"),
        ([":8000", "--upstream-cacert", "/nowhere"], "/nowhere cannot be used"),
    ],
)
def test_a_mistake_gets_one_sentence(run, tmp_path, arguments, sentence):
    """What cannot be understood is named; no traceback."""
    result = run("proxy", *arguments, "--dev", "--dev-dir", tmp_path, "--port", "0")
    assert result.code == (ExitCode.FAILED if "--upstream-cacert" in arguments else ExitCode.USAGE)
    assert sentence in re.sub(r"\s+", " ", result.err.replace("│", ""))
    assert "Traceback" not in result.err


class Upstream(BaseHTTPRequestHandler):
    """A site that has never heard of HTTP/3."""

    def do_GET(self):
        body = b'<link rel="stylesheet" href="/a.css">' if self.path == "/" else b"a{}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "text/css")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("workers", [1, 2])
def test_a_site_behind_is_served_with_pushes(run, certificates, workers):
    """The whole command in front of a server of the standard library, in one process and in several; a clean end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        arguments = ["proxy", f":{upstream.server_port}", "--port", "0", "--workers", workers]
        files = ["--certfile", certificates.certfile, "--keyfile", certificates.keyfile]
        process = subprocess.Popen(
            [*COMMAND, *map(str, [*arguments, *files])], stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            line = process.stderr.readline().decode()
            found = re.search(r"https://\S+:(\d+)/", line)
            assert found, line
            report = json.loads(run("get", "--json", "--cacert", certificates.cafile, found[0]).out)
            assert report["status"] == 200
            assert [push["url"].removeprefix(found[0]) for push in report["pushes"]] == ["a.css"]
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
            upstream.shutdown()
        assert process.returncode == 0, err
        assert b"Traceback" not in err
