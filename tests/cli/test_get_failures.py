"""How `h3push get` fails: one sentence that a person can act on, an exit code, never a traceback."""

import json
import os
import subprocess
import sys

import pytest

from h3push.server.response import Response

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]


def in_shell(script, *arguments, **environment):
    """Run a shell script that has the command line as `"$@"`."""
    return subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("flags", [["--json"], [], ["-w", "%{http_code}"], ["-I"], ["--json", "-v"]])
def test_output_that_cannot_be_written_is_one_sentence(server, flags):
    """A full disk below standard output ends in one sentence and exit code 23 (issue 9, point 30)."""
    result = in_shell('"$@" >/dev/full', "get", "-k", "--push", "off", *flags, server.url)
    assert result.returncode == 23
    assert result.stderr.splitlines()[-1] == "h3push: cannot write to standard output: no space left on device"
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["get", "--help"], ["--version"]])
def test_help_that_cannot_be_written_is_one_sentence(arguments):
    """The same for every command's help."""
    result = in_shell('"$@" >/dev/full', *arguments)
    assert result.returncode == 23
    assert result.stderr == "h3push: cannot write to standard output: no space left on device\n"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&-"])
def test_streams_that_are_closed_or_full_are_no_traceback(server, redirection):
    """Whatever is wrong with stdin, stdout and stderr, an exit code tells, and no traceback (issue 9, point 30)."""
    told = in_shell(f'"$@" {redirection}', "get", "-k", "-v", "--waterfall", server.url)
    assert told.returncode == (23 if redirection.endswith(" >&-") or redirection.startswith(">&-") else 0)
    assert "Traceback" not in told.stderr
    data = in_shell(f'"$@" {redirection}', "get", "-k", "--json", "-d", "@-", server.url)
    assert "Traceback" not in data.stderr


def test_a_key_log_that_cannot_be_written_is_named(server, tmp_path):
    """An unwritable SSLKEYLOGFILE is one sentence with the path in it (issue 9, point 30)."""
    path = tmp_path / "absent" / "keys"
    result = in_shell('"$@"', "get", "-k", server.url, SSLKEYLOGFILE=str(path))
    assert result.returncode == 23
    assert result.stderr == f"h3push: cannot write the key log (SSLKEYLOGFILE) {path}: no such file or directory\n"


def test_bytes_of_a_url_that_are_no_utf8_are_percent_encoded(run, start):
    """A URL is typed as bytes: they go into the URL as they are, percent-encoded (issue 9, point 30)."""

    async def handler(request):
        return Response(200, {}, request.path)

    echo = start(handler)
    assert run("get", "-k", echo.url + "caf\udce9?q=\udcff#\udcfe").out == b"/caf%E9?q=%FF"
    told = json.loads(run("get", "-k", "--json", echo.url + "\udce9").out)
    assert told["url"] == f"{echo.url}%E9"


def test_a_mistake_of_ours_is_one_line(run, monkeypatch):
    """Even what nobody foresaw is one line; H3PUSH_TRACEBACK=1 shows the rest (issue 9, point 30)."""
    import h3push.cli.transfers

    def broken(arguments):
        raise KeyError("oops")

    monkeypatch.setattr(h3push.cli.transfers, "run", broken)
    result = run("get", "https://localhost/")
    assert result.code == 1
    assert result.err.startswith("h3push: this is a mistake in h3push, please report it: KeyError: 'oops'")
    assert result.err.count("\n") == 1
    monkeypatch.setenv("H3PUSH_TRACEBACK", "1")
    from h3push.cli import main

    with pytest.raises(KeyError):
        main(["get", "https://localhost/"])


def test_user_and_password_in_a_url_become_basic_authorization(run, start):
    """`user:password@` is sent as Basic and is not part of the URL; -u goes first (issue 9, point 31)."""

    async def handler(request):
        return Response(200, {}, f"{request.authority} {request.headers.get('authorization')}")

    echo = start(handler)
    url = echo.url.replace("https://", "https://ada:p%40ss@")
    host = f"localhost:{echo.port}"
    assert run("get", "-k", url).out.decode() == f"{host} Basic YWRhOnBAc3M="
    assert run("get", "-k", url.removeprefix("https://")).out.decode() == f"{host} Basic YWRhOnBAc3M="
    assert run("get", "-k", "-u", "a:b", url).out.decode() == f"{host} Basic YTpi"
    assert run("get", "-k", "-H", "Authorization: Bearer x", url).out.decode() == f"{host} Bearer x"
    told = json.loads(run("get", "-k", "--json", url).out)
    assert told["url"] == echo.url


def test_a_failure_is_an_error_object_in_json(run, server, start):
    """With --json a failure is told in the object too, with what had come until then."""

    async def handler(request):
        await request.start_response(200, {"x-test": "1"})
        await request.send(b"begin")
        raise RuntimeError("broken")

    broken = start(handler)
    result = run("get", "-k", "--json", broken.url)
    told = json.loads(result.out)
    assert told["error"]["exit_code"] == result.code
    assert told["error"]["kind"] in {"receive", "partial"}  # as much as went out before the reset
    assert result.err == f"h3push: {told['error']['message']}\n"
    failed = run("get", "-k", "--json", "-f", server.url + "absent")
    assert json.loads(failed.out)["error"] == {
        "kind": "http_error",
        "message": "the server answered 404",
        "exit_code": 22,
    }
    late = json.loads(run("get", "-k", "--json", "-m", "0.000001", server.url).out)
    assert late["error"]["kind"] == "timeout"
    assert "status" not in late
