"""Content of requests: `-d`, `--data-binary`, `-T`, `-G`, `-F`."""

import hashlib
import json
import os
import subprocess
import sys
import threading

import pytest

from h3push.cli.options.content import READ_BYTES, FilePart, PartsContent, Text
from h3push.server.response import Response

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]


@pytest.fixture(scope="session")
def echo(start):
    async def handler(request):
        digest, size, content = hashlib.sha256(), 0, b""
        async for data in request.stream():
            digest.update(data)
            size += len(data)
            content = (content + data)[:2000]
        told = {
            "method": request.method,
            "path": request.path,
            "headers": dict(request.headers),
            "content": content.decode("latin-1"),
            "size": size,
            "sha256": digest.hexdigest(),
        }
        return Response(200, {"content-type": "application/json"}, json.dumps(told))

    return start(handler)


@pytest.fixture
def told(run, echo):
    """Run `h3push get` with these arguments; what the server got."""

    def told(*arguments, path=""):
        result = run("get", "--cacert", echo.cafile, *arguments, echo.url + path)
        assert result.code == 0, result.err
        return json.loads(result.out)

    return told


def test_data_is_joined_with_ampersands(told):
    """Several -d are one form: joined with `&`, in the order in which they were typed (issue 9, point 29)."""
    posted = told("-d", "a=1", "--data-binary", "b=2", "-d", "c=3")
    assert (posted["method"], posted["content"]) == ("POST", "a=1&b=2&c=3")
    assert posted["headers"]["content-length"] == "11"


def test_data_of_a_file_loses_its_newlines_and_binary_data_keeps_them(told, tmp_path):
    """`-d @file` drops newlines as curl does, `--data-binary @file` drops nothing (issue 9, point 29)."""
    (tmp_path / "form").write_bytes(b"a=1\r\nb=2\n\0")
    assert told("-d", f"@{tmp_path}/form")["content"] == "a=1b=2"
    assert told("--data-binary", f"@{tmp_path}/form")["content"] == "a=1\r\nb=2\n\0"
    both = told("-d", f"@{tmp_path}/form", "--data-binary", f"@{tmp_path}/form", "-d", "c\n")
    assert both["content"] == "a=1b=2&a=1\r\nb=2\n\0&c\n"
    assert both["headers"]["content-length"] == str(len(both["content"]))


def test_bytes_that_are_no_utf8_are_sent_as_they_are(told):
    """A command line is bytes; -d sends them as they are (issue 9, point 30)."""
    assert told("-d", "a=\udcff")["content"] == "a=\xff"


@pytest.mark.parametrize("flag", ["-d", "--data-binary"])
def test_a_large_file_is_not_held_in_memory(flag, tmp_path, echo):
    """A file of 64 MB is read while it is sent: memory does not grow with it (issue 9, point 29)."""
    size = 64_000_000
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
        file.write(b"begin")
    code = (
        "import resource, sys; from h3push.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )

    def peak(*arguments):
        command = [sys.executable, "-c", code, "get", "-k", *arguments, echo.url]
        result = subprocess.run(command, capture_output=True, check=True, timeout=60)
        return int(result.stderr), json.loads(result.stdout)

    alone, _ = peak()
    memory, told = peak(flag, f"@{tmp_path}/large")
    assert told["size"] == (5 if flag == "-d" else size)
    assert memory - alone < 16_000  # KiB; the window of an upload is 4 MiB


def test_standard_input_is_sent_as_it_comes(echo):
    """Content of a pipe is sent piece by piece; nobody waits for its end (issue 9, point 29)."""
    reading, writing = os.pipe()
    getter = subprocess.Popen(
        [*COMMAND, "get", "-k", "--data-binary", "@-", echo.url], stdin=reading, stdout=subprocess.PIPE
    )
    os.close(reading)

    def write():
        for _ in range(50):
            os.write(writing, bytes(10_000))
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    out, _ = getter.communicate(timeout=30)
    writer.join()
    told = json.loads(out)
    assert (told["size"], told["sha256"]) == (500_000, hashlib.sha256(bytes(500_000)).hexdigest())
    assert "content-length" not in told["headers"]


def test_standard_input_that_never_comes_does_not_outlive_the_time_limit(echo):
    """--max-time ends a command that waits for its own standard input."""
    reading, writing = os.pipe()
    command = [*COMMAND, "get", "-k", "-m", "0.5", "-d", "@-", echo.url]
    getter = subprocess.run(command, stdin=reading, capture_output=True, check=False, timeout=30)
    os.close(reading)
    os.close(writing)
    assert getter.returncode == 28
    assert b"--max-time" in getter.stderr


def test_an_upload_is_put(told, tmp_path):
    """-T sends a file with PUT; a URL that ends with a slash gets its name, as in curl."""
    (tmp_path / "a b.txt").write_bytes(b"up\nload")
    put = told("-T", f"{tmp_path}/a b.txt")
    assert (put["method"], put["path"], put["content"]) == ("PUT", "/a%20b.txt", "up\nload")
    assert put["headers"]["content-length"] == "7"
    assert "content-type" not in put["headers"]
    assert told("-T", f"{tmp_path}/a b.txt", path="there")["path"] == "/there"


def test_data_goes_into_the_query_with_get(told):
    """-G puts what -d says behind the question mark."""
    got = told("-G", "-d", "a=1", "-d", "b=x y", path="find?q=0")
    assert (got["method"], got["path"], got["size"]) == ("GET", "/find?q=0&a=1&b=x%20y", 0)
    assert "content-type" not in got["headers"]


def test_a_form_is_multipart(told, tmp_path):
    """-F sends fields and files as multipart/form-data, with curl's `@`, `<`, `type=` and `filename=`."""
    pytest.importorskip("httpx2")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "note").write_text("from a file")
    posted = told(
        *("-F", "name=Ada; Lovelace", "-F", f"picture=@{tmp_path}/picture.png", "-F", f"note=<{tmp_path}/note"),
        *("-F", f"raw=@{tmp_path}/note;type=text/x-note;filename=n.txt"),
    )
    assert posted["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert posted["headers"]["content-length"] == str(posted["size"])
    content = posted["content"]
    assert 'name="name"\r\n\r\nAda; Lovelace\r\n' in content
    assert 'name="picture"; filename="picture.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n' in content
    assert 'name="note"\r\n\r\nfrom a file\r\n' in content
    assert 'name="raw"; filename="n.txt"\r\nContent-Type: text/x-note\r\n\r\nfrom a file\r\n' in content


@pytest.mark.parametrize("flag", ["-d", "--data-binary", "-T"])
@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_read_is_said(run, echo, tmp_path, flag, name):
    """A file that cannot be sent is one sentence with its path, and curl's exit code 26."""
    path = tmp_path / name
    result = run("get", "-k", flag, str(path) if flag == "-T" else f"@{path}", echo.url)
    assert result.code == 26
    assert result.err.startswith(f"h3push: cannot read {path}")
    assert result.err.count("\n") == 1


def test_a_form_without_httpx_says_what_to_install(run, monkeypatch):
    """A module that is not installed is named with the command that installs it."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    result = run("get", "-F", "a=b", "https://localhost/")
    assert (result.code, result.err) == (1, "h3push: forms (-F) need httpx2: pip install 'h3push[client]'\n")


def test_parts_tell_their_length_where_it_is_known(tmp_path):
    """A length is known for text and for files, with their newlines counted out."""
    (tmp_path / "file").write_bytes(b"a\n" * READ_BYTES)
    assert PartsContent([Text(b"xy"), FilePart(f"{tmp_path}/file", strip=True)]).length == 3 + READ_BYTES
    assert PartsContent([FilePart(f"{tmp_path}/file")]).length == 2 * READ_BYTES
    assert PartsContent([Text(b"xy"), FilePart("-")]).length is None
    assert not PartsContent([Text(b"xy"), FilePart("-")]).is_repeatable
    assert PartsContent([]).length == 0
