"""`h3push get` beside curl: the same letters to the same server do the same, as far as curl can ask over HTTP/2."""

import re
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

APP = """
import asyncio
import gzip
import json

FIELDS = {
    "/cookie": [(b"set-cookie", b"a=1; Path=/; HttpOnly"), (b"set-cookie", b"b=2; Path=/")],
    "/fields": [(b"x-a", b"1"), (b"x-b", b"2")],
    "/gzip": [(b"content-encoding", b"gzip")],
    "/loop": [(b"location", b"/loop")],
    "/303": [(b"location", b"/echo")],
    "/307": [(b"location", b"/echo")],
    "/hop": [(b"location", b"/echo?hopped")],
}
STATUS = {"/loop": 302, "/hop": 302, "/303": 303, "/307": 307, "/404": 404, "/503": 503}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    content, more = b"", True
    while more:
        message = await receive()
        content, more = content + message.get("body", b""), message.get("more_body", False)
    path, status = scope["path"], STATUS.get(scope["path"], 200)
    sent = sorted([name.decode(), value.decode("latin-1")] for name, value in scope["headers"] if name != b"content-length")
    answer = json.dumps([scope["method"], path, scope["query_string"].decode(), sent, content.decode("latin-1")]).encode()
    fields = list(FIELDS.get(path, []))
    if path == "/gzip":
        answer = gzip.compress(b"packed", mtime=0)
    elif path == "/range":
        asked = dict(scope["headers"]).get(b"range")
        answer, status = (b"part of it", 206) if asked else (b"all of it", 200)
    elif path == "/slow":
        await asyncio.sleep(60)
    fields += [(b"content-type", b"text/x"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})
"""
VARIABLES = [
    "content_type",
    "errormsg",
    "exitcode",
    "filename_effective",
    "http_code",
    "http_connect",
    "method",
    "num_connects",
    "num_redirects",
    "redirect_url",
    "remote_ip",
    "remote_port",
    "response_code",
    "size_download",
    "ssl_verify_result",
    "url",
    "url_effective",
]
"""Variables of -w whose values depend neither on the version of HTTP, nor on that of curl, nor on the clock."""
EVERYTHING = "|".join(f"%{{{name}}}" for name in VARIABLES) + r"|%header{x-a}%%\\n"

COMMANDS = [
    "{url}echo",
    "-X DELETE {url}echo",
    "-H X-Y:1 -H Accept: -H X-Empty; {url}echo",
    "-d a=1 -d b=2 {url}echo",
    "-d @text {url}echo",
    "-d x -d @text -d =b {url}echo",
    "--data-binary @text {url}echo",
    "-d a=1 -H Content-Type:text/plain {url}echo",
    "-F a=1 -F f=@text -F t=<text -F g=@text;type=text/z;filename=z {url}echo",
    "-G -d a=1 -d b=2 {url}echo?c=3",
    "-T text {url}up/",
    "-T text {url}echo",
    "-I {url}fields",
    "-i {url}fields",
    "-L {url}hop",
    "-L -i {url}hop",
    "-L -d a=1 {url}303",
    "-L -d a=1 {url}307",
    "-L --max-redirs 2 {url}loop",
    "-L -e http://from/;auto {url}hop",
    "-f {url}404",
    "{url}404",
    "-u me:secret {url}echo",
    "-A agent {url}echo",
    "-A '' {url}echo",
    "-e http://from/ {url}echo",
    "-b a=1;b=2 {url}echo",
    "-c jar {url}cookie",
    "-r 0-4 {url}range",
    "-r 0-4 {url}echo",
    "-m 0.5 {url}slow",
    "--compressed {url}gzip",
    "-o out {url}gzip",
    "-O {url}range",
    "-o one -o two {url}range {url}fields",
    "--resolve there.test:{port}:127.0.0.1 https://there.test:{port}/echo",
    "-k --resolve there.test:{port}:127.0.0.1 https://there.test:{port}/echo",
    "-k --connect-to there.test:443:localhost:{port} https://there.test/echo",
    "--retry 1 -o out -w %{{http_code}} {url}503",
    "-w EVERYTHING {url}fields",
    "-e http://from/ -w %{{urlnum}},%{{referer}}, {url}fields {url}echo",
    "-L -w EVERYTHING -o out {url}hop",
    "-w EVERYTHING -o out {url}hop",
    "-w %{{http_code}}%{{onerror}}bad {url}fields",
    "-w %{{stderr}}here%{{stdout}}there {url}fields",
    "-w %{{exitcode}},%{{http_code}},%{{size_download}},%{{num_connects}} https://localhost:1/",
    "https://nowhere.invalid/",
    "-T absent {url}echo",
    "-o absent/file {url}fields",
    "--fail-early -f {url}404 {url}fields",
    "-f {url}404 {url}fields",
    "-f {url}fields {url}404",
]


@pytest.fixture(scope="module")
def beside(tmp_path_factory, certificates):
    """A server of HTTP/3, HTTP/2 and HTTP/1.1 on one port."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("zttp")
    place = tmp_path_factory.mktemp("beside")
    (place / "sample.py").write_text(APP)
    files = ["--certfile", str(certificates.certfile), "--keyfile", str(certificates.keyfile)]
    flags = ["sample:app", *files, "--port", "0", "--app-dir", str(place), "--no-access-log"]
    command = [sys.executable, "-c", "from h3push.cli import main; main()", "serve", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    found = re.search(r"https://\S+:(\d+)/", line)
    assert found, line + process.stderr.read()
    assert "over TCP" in process.stderr.readline()
    yield SimpleNamespace(url=f"https://localhost:{found[1]}/", port=found[1], cafile=str(certificates.cafile))
    process.kill()
    process.communicate()


@pytest.fixture
def both(beside, run, tmp_path, monkeypatch):
    """Run curl and `h3push get`: exit code, standard output and files of each."""

    def both(command):
        filled = command.format(url=beside.url, port=beside.port).replace("EVERYTHING", EVERYTHING)
        place = f"--resolve localhost:{beside.port}:127.0.0.1 --cacert {beside.cafile} -s -A agent"
        arguments = shlex.split(f"{place} ") + shlex.split(filled.replace(";", r"\;").replace("|", r"\|"))
        found = []
        for name in ("curl", "h3push"):
            directory = tmp_path / name
            directory.mkdir()
            (directory / "text").write_bytes(b"x=1\r\ny=2\n")
            monkeypatch.chdir(directory)
            if name == "curl":
                done = subprocess.run([CURL, "--http2", *arguments], capture_output=True, check=False, timeout=60)
                code, out, err = done.returncode, done.stdout, done.stderr.decode()
            else:
                done = run("get", *arguments)
                code, out, err = done.code, done.out, done.err
            files = {file.name: comparable(file.read_bytes()) for file in directory.iterdir()}
            told = err if "%{stderr}" in filled else ""  # their sentences are their own
            found.append((code, comparable(out), files, told))
        return found

    return both


def comparable(output):
    """Leave out what differs between versions of HTTP, boundaries of forms, and the order of a file of cookies."""
    if output.startswith(b"# Netscape"):
        return sorted(line for line in output.splitlines() if line and not line.startswith(b"# "))
    for boundary in re.findall(rb"boundary=([^\"\\]+)", output):
        output = output.replace(boundary, b"BOUNDARY")
    output = re.sub(rb"(?m)^(date|alt-svc|server): .*\r\n", b"", output)
    return re.sub(rb"(?m)^HTTP/[23] ", b"HTTP/x ", output)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_command_does_the_same(both, command):
    """Curl's letters have curl's meanings: what the server sees, what is printed and written, and the exit code."""
    curl, ours = both(command)
    assert ours == curl
