"""Curl's letters put fields into the request, follow redirects, keep cookies, and say where to connect."""

import base64
import json
import socket
import subprocess
import sys

import pytest

from h3push.cli.options.addresses import Detour
from h3push.cli.options.cookies import Cookies
from h3push.cli.options.retries import seconds_before
from h3push.http.headers import Headers
from h3push.http.url import Origin
from h3push.server.response import Response


def told(request, content=b""):
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw]
    return {"method": request.method, "path": request.path, "headers": fields, "content": content.decode()}


@pytest.fixture(scope="session")
def echo(start):
    """Answers with what it was asked, redirects where the path says, and sets cookies."""

    async def handler(request):
        path, _, query = request.path.partition("?")
        if path.startswith("/redirect/"):
            return Response(int(path.removeprefix("/redirect/")), {"location": query}, "moved")
        if path == "/set":
            cookies = ["session=1; Path=/", "kept=2; Path=/; Max-Age=1000", "elsewhere=3; Path=/deep"]
            return Response(200, [("set-cookie", cookie) for cookie in cookies], "set")
        content = await request.read()
        return Response(200, {"content-type": "application/json"}, json.dumps(told(request, content)))

    return start(handler)


@pytest.fixture
def ask(run, echo):
    """Run `h3push get` with these arguments; the request as the server saw it."""

    def ask(*arguments, path=""):
        result = run("get", "-k", *arguments, echo.url + path)
        assert result.code == 0, result.err
        answer = json.loads(result.out)
        answer["headers"] = dict(answer["headers"])
        return answer

    return ask


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ([], "user-agent", "h3push"),
        (["-A", "me/1"], "user-agent", "me/1"),
        (["-A", ""], "user-agent", None),
        (["-A", "me/1", "-H", "User-Agent: you/2"], "user-agent", "you/2"),
        (["-H", "Accept:"], "accept", None),
        (["-H", "X-Empty;"], "x-empty", ""),
        (["-H", "x-bytes: \udcff"], "x-bytes", "\xff"),
        (["-e", "https://example.org/from"], "referer", "https://example.org/from"),
        (["-e", ";auto"], "referer", None),
        (["-u", "ada:secret"], "authorization", "Basic " + base64.b64encode(b"ada:secret").decode()),
        (["-b", "a=1; b=2"], "cookie", "a=1; b=2"),
        (["-b", "a=1", "-b", "b=2"], "cookie", "a=1; b=2"),
        (["-r", "0-499"], "range", "bytes=0-499"),
    ],
)
def test_flags_that_are_fields(ask, arguments, name, value):
    """Each flag is the field that curl makes of it, and -H goes first."""
    assert ask(*arguments)["headers"].get(name) == value


def test_a_password_that_is_missing_is_asked_for(ask, monkeypatch):
    """-u without a password asks for it, out of the way of the output."""
    asked = []

    def prompt(text, **settings):
        asked.append((text, settings["hide_input"], settings["err"]))
        return "pass"

    monkeypatch.setattr("rich_click.prompt", prompt)
    assert ask("-u", "ada")["headers"]["authorization"] == "Basic " + base64.b64encode(b"ada:pass").decode()
    assert asked == [("Password of ada", True, True)]


def test_a_host_field_is_the_authority(run, start):
    """-H 'Host: NAME' asks for another name of the server; one that its certificate does not have is refused."""

    async def handler(request):
        return Response(200, {}, request.authority)

    named = start(handler)
    assert run("get", "-k", "-H", f"Host: 127.0.0.1:{named.port}", named.url).out.decode() == f"127.0.0.1:{named.port}"
    other = run("get", "-k", "-H", "Host: example.org", named.url)
    assert (other.code, other.out) == (1, b"")
    assert "example.org" in other.err


# redirects


@pytest.mark.parametrize(
    ("status", "arguments", "method", "content"),
    [
        (301, [], "GET", ""),
        (302, ["-d", "a=1"], "GET", ""),
        (303, ["-d", "a=1"], "GET", ""),
        (303, ["-T", "FILE"], "GET", ""),
        (301, ["-T", "FILE"], "PUT", "file"),
        (307, ["-d", "a=1"], "POST", "a=1"),
        (308, ["-d", "a=1"], "POST", "a=1"),
        (302, ["-X", "PATCH", "-d", "a=1"], "PATCH", "a=1"),
        (303, ["-X", "POST", "-d", "a=1"], "POST", ""),
    ],
)
def test_redirects_within_the_origin_are_followed(ask, tmp_path, status, arguments, method, content):
    """-L follows with the method that RFC 9110 section 15.4 and curl give each status."""
    (tmp_path / "file").write_text("file")
    arguments = [f"{tmp_path}/file" if argument == "FILE" else argument for argument in arguments]
    answer = ask("-L", *arguments, path=f"redirect/{status}?/there")
    assert (answer["method"], answer["path"], answer["content"]) == (method, "/there", content)
    assert answer["headers"].get("content-length", "0") == str(len(content))
    assert ("content-type" in answer["headers"]) is (content == "a=1")


def test_without_l_a_redirect_is_the_response(run, echo):
    """A redirect is followed when -L says so only; -w names where it leads."""
    result = run("get", "-k", "-w", " %{http_code} %{redirect_url}", f"{echo.url}redirect/302?/a b")
    assert (result.code, result.out.decode()) == (0, f"moved 302 {echo.url}a%20b")


def test_redirects_end(run, echo):
    """--max-redirs ends a chain of redirects with exit code 47."""
    empty = run("get", "-k", "-L", f"{echo.url}redirect/302?")
    assert (empty.code, empty.out) == (0, b"moved")
    result = run("get", "-k", "-L", "--max-redirs", "3", f"{echo.url}redirect/302?/redirect/302?/redirect/302")
    assert result.code == 0
    chain = "redirect/302?" + "/redirect/302?" * 5
    result = run("get", "-k", "-L", "--max-redirs", "3", echo.url + chain)
    assert (result.code, result.err) == (47, "h3push: more than 3 redirects (--max-redirs)\n")


def test_redirects_to_other_schemes_are_refused(run, echo):
    """What HTTP/3 cannot fetch is said."""
    result = run("get", "-k", "-L", f"{echo.url}redirect/302?http://localhost/")
    assert (result.code, result.out) == (1, b"")
    sentence = "the redirect leads to http://localhost/, which is no https URL: fetch it with another program"
    assert result.err == f"h3push: {sentence}\n"


@pytest.mark.parametrize(
    ("flag", "sent"),
    [("-L", {"authorization": None, "cookie": None}), ("--location-trusted", {"authorization": "x", "cookie": "a=1"})],
)
def test_credentials_stay_with_the_first_origin(run, echo, start, flag, sent):
    """A redirect to another origin is followed without Authorization and Cookie, as curl does; -H 'X: ...' goes along."""

    async def handler(request):
        return Response(302, {"location": f"{echo.url}there"})

    elsewhere = start(handler)
    given = ("-H", "Authorization: x", "-b", "a=1", "-H", "X-Mine: y")
    result = run("get", "-k", flag, *given, "-w", "%{stderr}%{num_connects} %{num_redirects}\\n", elsewhere.url)
    headers = dict(json.loads(result.out)["headers"])
    assert {name: headers.get(name) for name in sent} == sent
    assert headers["x-mine"] == "y"
    assert result.err == "2 1\n"


def test_credentials_come_back_to_the_first_origin(run, start):
    """A redirect that leads back to where they were given for takes them along again."""
    seen = []
    homes = {}

    async def handler(request):
        seen.append((request.path, request.headers.get("authorization")))
        target = {"/": f"{homes['other']}away", "/away": f"{homes['first']}home"}.get(request.path)
        return Response(200, {}, "home") if target is None else Response(302, {"location": target})

    homes["first"], homes["other"] = start(handler).url, start(handler).url
    assert run("get", "-k", "-L", "-u", "a:b", homes["first"]).out == b"home"
    assert seen == [("/", "Basic YTpi"), ("/away", None), ("/home", "Basic YTpi")]


def test_the_referer_follows_redirects_on_wish(ask, echo):
    """-e ';auto' names the URL that each redirect came from."""
    assert ask("-L", "-e", ";auto", path="redirect/302?/")["headers"]["referer"] == f"{echo.url}redirect/302?/"


# cookies


def test_cookies_go_round(ask, run, echo, tmp_path):
    """-c keeps what a server sets in a file that -b reads, by the rules of RFC 6265: paths, ages, sessions."""
    jar = tmp_path / "jar"
    assert run("get", "-k", "-c", jar, f"{echo.url}set").code == 0
    lines = [line.split("\t") for line in jar.read_text().splitlines() if "\t" in line]
    assert {(line[2], line[5], line[6]) for line in lines} == {
        ("/", "session", "1"),
        ("/", "kept", "2"),
        ("/deep", "elsewhere", "3"),
    }
    assert all(len(line) == 7 and line[4] for line in lines)  # curl wants every column
    assert {line[0] for line in lines} == {"localhost"}  # and knows no localhost.local
    assert sorted(ask("-b", jar)["headers"]["cookie"].split("; ")) == ["kept=2", "session=1"]
    assert ask("-b", tmp_path / "absent")["headers"].get("cookie") is None


def test_cookies_can_be_printed(run, echo):
    """-c - prints the jar behind the content."""
    out = run("get", "-k", "-c", "-", f"{echo.url}set").out.decode()
    assert out.startswith("set# Netscape HTTP Cookie File")
    assert "\tsession\t1" in out


def test_cookies_that_a_redirect_sets_are_sent_on(run, start, tmp_path):
    """The jar works within one command too."""

    async def handler(request):
        if request.path == "/":
            return Response(302, {"location": "/in", "set-cookie": "token=x"})
        return Response(200, {}, request.headers.get("cookie", "none"))

    login = start(handler)
    assert run("get", "-k", "-L", "-b", "", login.url).out == b"token=x"
    assert run("get", "-k", "-L", "-b", "given=1", login.url).out == b"given=1"
    both = run("get", "-k", "-L", "-b", "given=1", "-c", tmp_path / "jar", login.url)
    assert both.out == b"token=x; given=1"


def test_a_file_of_cookies_that_is_none(run, tmp_path):
    """A file in another format is said."""
    (tmp_path / "jar").write_text("nonsense\n")
    result = run("get", "-b", tmp_path / "jar", "https://localhost:1/")
    assert (result.code, result.err) == (26, f"h3push: {tmp_path}/jar is no file of cookies in Netscape's format\n")


def test_cookies_of_other_hosts_stay_at_home(tmp_path):
    """A cookie goes to the host that set it, and to no other."""
    cookies = Cookies((), str(tmp_path / "jar"))
    cookies.extract("https://one.example/", Headers({"set-cookie": "a=1; Secure"}))
    assert cookies.header("https://one.example/x") == b"a=1"
    assert cookies.header("https://two.example/") is None


# tries again


def test_retry_tries_again(run, start):
    """--retry takes 503 and its kin for a reason to try again, and prints the last attempt alone."""
    attempts = []

    async def handler(request):
        attempts.append(await request.read())
        if len(attempts) % 3:
            return Response(503, {"retry-after": "0"}, "busy")
        return Response(200, {}, "done")

    flaky = start(handler)
    result = run("get", "-k", "--retry", "2", "-d", "a=1", "-w", " %{num_retries}", flaky.url)
    assert (result.code, result.out) == (0, b"done 2")
    assert attempts == [b"a=1"] * 3
    assert result.err == "h3push: the server answered 503; trying again in 0 s\n" * 2
    short = run("get", "-k", "-s", "--retry", "1", "-f", flaky.url)
    assert (short.code, short.out, short.err) == (22, b"", "")
    assert len(attempts) == 5


def test_retry_tries_again_after_a_connect_timeout(run, monkeypatch):
    """A server that says nothing is asked again; a refused connection is not, as in curl."""
    monkeypatch.setattr("h3push.cli.transfer.seconds_before", lambda attempt, retry_after: 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/"
        timed_out = run("get", "--connect-timeout", "0.2", "--retry", "2", url)
    assert (timed_out.code, timed_out.err.count("trying again")) == (28, 2)
    refused = run("get", "--retry", "2", url)
    assert (refused.code, refused.err.count("trying again")) == (7, 0)


def test_content_that_can_be_read_once_is_not_sent_again(run, start):
    """--retry and a redirect that wants the content again leave what came from a pipe alone."""
    attempts = []

    async def handler(request):
        attempts.append(await request.read())
        if request.path == "/busy":
            return Response(503, {"retry-after": "0"}, "busy")
        return Response(307, {"location": "/busy"})

    busy = start(handler)
    command = [sys.executable, "-c", "from h3push.cli import main; main()", "get", "-k", "-d", "@-"]

    def piped(*arguments):
        return subprocess.run([*command, *arguments], input=b"once", capture_output=True, check=False, timeout=60)

    assert piped("--retry", "3", f"{busy.url}busy").stdout == b"busy"
    redirected = piped("-L", busy.url)
    assert redirected.returncode == 1
    assert b"read only once" in redirected.stderr
    assert attempts == [b"once", b"once"]


def test_waits_between_attempts_double():
    """As in curl: 1 s, then twice as long each time, 10 minutes at most; Retry-After goes first."""
    assert [seconds_before(attempt, None) for attempt in (1, 2, 3, 11, 2000)] == [1, 2, 4, 600, 600]
    assert seconds_before(1, 7) == 7
    assert seconds_before(1, 100_000) == 600


# where it goes


def test_resolve_and_connect_to_lead_elsewhere(run, echo):
    """--resolve and --connect-to change where the connection goes, and nothing in the request."""
    for flags in (
        ["--resolve", f"far.example:{echo.port}:127.0.0.1"],
        ["--resolve", f"far.example:{echo.port}:[::1],127.0.0.1", "--connect-timeout", "2"],
        ["--resolve", f"*:{echo.port}:127.0.0.1"],
    ):
        result = run("get", "-k", *flags, "-w", "%{remote_ip}", "-o", "/dev/null", f"https://far.example:{echo.port}/")
        assert (result.code, result.out) == (0, b"127.0.0.1"), result.err
    result = run("get", "-k", "-v", "--connect-to", f"far.example::localhost:{echo.port}", "https://far.example/x")
    assert (result.code, json.loads(result.out)["path"]) == (0, "/x")


def test_detours_are_curls():
    """An empty part of --connect-to matches anything and changes nothing; brackets hold an IPv6 address."""
    detour = Detour(["b.example:2:192.0.2.1,2001:db8::1"], ["a.example:1:b.example:2", "::c.example:", "x::[::1]:9"])
    assert detour.of(Origin("a.example", 1)) == [("192.0.2.1", 2), ("2001:db8::1", 2)]
    assert detour.of(Origin("z.example", 7)) == [("c.example", 7)]
    assert Detour([], ["x::[::1]:9"]).of(Origin("x", 1)) == [("::1", 9)]
    assert Detour([], []).of(Origin("x", 1)) == []


def test_a_host_of_connect_to_that_is_unknown(run):
    """A name that cannot be found is said, with curl's exit code 6."""
    result = run("get", "--connect-to", "::nosuch.invalid:", "https://localhost/")
    assert result.code == 6
    assert "nosuch.invalid" in result.err


def test_a_client_certificate_is_read(run, echo, certificates):
    """--cert and --key are read and offered; a key in the certificate's file needs no --key."""
    flags = ("--cert", certificates.certfile, "--key", certificates.keyfile)
    assert run("get", "-k", *flags, echo.url).code == 0
    alone = run("get", "-k", "--cert", certificates.certfile, echo.url)
    assert (alone.code, alone.err.count("\n")) == (58, 1)


@pytest.mark.parametrize("name", ["absent.pem", "junk.pem"])
def test_client_certificates_that_cannot_be_used(run, tmp_path, name):
    """--cert names the file that cannot be used: exit code 58."""
    (tmp_path / "junk.pem").write_text("junk")
    result = run("get", "--cert", tmp_path / name, "https://localhost:1/")
    assert result.code == 58
    assert name in result.err
    assert result.err.count("\n") == 1


def test_port_zero_of_a_socket_is_no_port_of_a_url(run):
    """Nobody can listen on port 0: it is refused before anything is sent (issue 9, point 31)."""
    result = run("get", "https://localhost:0/")
    assert result.code == 2
    assert "port 0" in result.err
