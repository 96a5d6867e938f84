"""`h3push serve module:app` as a process: applications, manifests, JSON logs, and what is said when something is missing."""

import json
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
APP = """
import h3push

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["greeting"] = b"hello"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/":
        await h3push.push(scope, "/style.css")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["state"]["greeting"]})

def make():
    return app

async def without(scope, receive, send):
    return

async def lingers(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await receive()  # for what never comes

async def refuses(scope, receive, send):
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def app_dir(tmp_path):
    (tmp_path / "sample.py").write_text(APP)
    return tmp_path


@pytest.fixture
def serving(certificates):
    """Start `h3push serve`, wait for its ready line; `.end()` stops it and gives what it printed."""
    processes = []

    def serving(*arguments):
        files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
        process = subprocess.Popen(
            [*COMMAND, "serve", *map(str, arguments), *map(str, files), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        line = process.stderr.readline().decode()
        found = re.search(r"https://\S+:(\d+)/", line)
        assert found, line + process.stderr.read().decode()
        assert b"Z h3push: over " in process.stderr.readline()

        def end():
            process.send_signal(signal.SIGTERM)
            out, err = process.stdout.read(), process.stderr.read()  # communicate() would lose what is buffered
            return process.wait(timeout=20), out.decode(), err.decode()

        return SimpleNamespace(url=f"https://localhost:{found[1]}/", line=line, end=end, process=process)

    yield serving
    for process in processes:
        process.kill()
        process.communicate()


def fetch(run, certificates, url):
    return json.loads(run("get", "--json", "--cacert", certificates.cafile, url).out)


def test_an_application_pushes_and_its_pushes_are_logged(serving, run, certificates, app_dir):
    """Lifespan state, push, access log; a clean end."""
    server = serving("sample:app", "--app-dir", app_dir)
    assert " h3push: serving sample:app at https://localhost:" in server.line
    got = fetch(run, certificates, server.url)
    assert [(push["url"].split("/", 3)[3], push["state"]) for push in got["pushes"]] == [("style.css", "fulfilled")]
    code, out, err = server.end()
    assert (code, err) == (0, "")
    assert sorted(re.sub(r"^\S+Z \S+:\d+ ", "", line) for line in out.splitlines()) == [
        '"GET / HTTP/3" 200 5',
        '"GET /style.css HTTP/3" 200 5 push 0 for /',
    ]


def test_a_factory_makes_the_application(serving, run, certificates, app_dir):
    """`--factory`, and a log line is a JSON object with `--log-format json`."""
    server = serving("sample:make", "--factory", "--app-dir", app_dir, "--log-format", "json")
    fetch(run, certificates, server.url)
    _, out, _ = server.end()
    rows = {row["path"]: row for row in map(json.loads, out.splitlines())}
    assert (rows["/style.css"]["push_id"], rows["/style.css"]["initiator"]) == (0, "/")
    assert rows["/"]["push_id"] is None


def test_an_application_that_does_not_shut_down_is_told_of(serving, app_dir):
    """Whoever pressed Ctrl-C learns what the server waits for, and that a second one ends it."""
    process = serving("sample:lingers", "--app-dir", app_dir).process
    process.send_signal(signal.SIGINT)
    while b"stopping" not in (line := process.stderr.readline()):
        assert line
    assert line.endswith(b"stopping: the application has not shut down yet; Ctrl-C again stops at once\n")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


def test_a_manifest_says_what_goes_with_a_page(serving, run, certificates, site, tmp_path):
    """For a directory as well: it is one more source, and nothing is pushed twice."""
    manifest = tmp_path / "push.json"
    manifest.write_text('{"/plain.txt": {"/style.css": {"type": "style"}}, "/": {"/plain.txt": {}}}')
    server = serving(site, "--push-manifest", manifest)
    got = fetch(run, certificates, server.url + "plain.txt")
    assert ["/" + push["url"].split("/", 3)[3] for push in got["pushes"]] == ["/style.css"]
    got = fetch(run, certificates, server.url)
    assert ["/" + push["url"].split("/", 3)[3] for push in got["pushes"]] == [
        "/plain.txt",
        "/style.css",
        "/a%20b.png",
        "/empty.png",
    ]


def test_fields_for_every_response(serving, run, certificates, app_dir, site):
    """`--header`, of an application and of a directory."""
    for target in (["sample:app", "--app-dir", app_dir], [site]):
        server = serving(*target, "--header", "X-Frame-Options: DENY")
        assert b"x-frame-options: DENY" in run("get", "-s", "-i", "--cacert", certificates.cafile, server.url).out


def test_what_quic_cannot_honour_is_said_at_the_start(serving, site):
    """And what the server for TCP cannot; each in a line."""
    server = serving(site, "--ssl-ciphers", "ECDHE+AESGCM", "--tcp", "hypercorn")
    _, _, err = server.end()
    lines = [line.split(" h3push: ")[1] for line in err.splitlines()]
    assert lines[0].startswith("--ssl-ciphers counts for TLS 1.2, which is over TCP alone")
    assert "has nothing for --first-request-timeout, --ws-ping-timeout" in lines[1]


def test_without_pushes_an_application_s_become_hints(serving, run, certificates, app_dir):
    """`--push off` is for the server; the application is the same."""
    server = serving("sample:app", "--app-dir", app_dir, "--push", "off")
    got = fetch(run, certificates, server.url)
    assert got["pushes"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("no_such_module_anywhere:app",), "there is no module 'no_such_module_anywhere'"),
        (("sample:nothing", "--app-dir", "{app_dir}"), "module 'sample' has no 'nothing'"),
        (("sample:refuses", "--app-dir", "{app_dir}"), "the application did not start: no database"),
        (("sample:app", "--app-dir", "{app_dir}", "--push-manifest", "absent.json"), "cannot read the push manifest"),
        (("absent",), "there is no directory absent (an application is given as module:app)"),
        ((".", "--factory"), "--factory, --app-dir, --lifespan and --root-path go with an application"),
        ((".", "--root-path", "/api"), "--root-path go with an application"),
        (("{app_dir}/sample.py",), "sample.py is not a directory (an application is given as sample:app)"),
        (("sample:without", "--app-dir", "{app_dir}", "--lifespan", "on"), "it takes no lifespan events"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, sentence, certificates, app_dir):
    """No traceback, and an exit code that says so."""
    given = [argument.replace("{app_dir}", str(app_dir)) for argument in arguments]
    files = ["--certfile", str(certificates.certfile), "--keyfile", str(certificates.keyfile)]
    done = subprocess.run(
        [*COMMAND, "serve", *given, *files, "--port", "0"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode in {1, 2}
    assert sentence in " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())
    assert "Traceback" not in done.stderr


def test_a_mistake_in_the_application_is_shown_where_it_is(certificates, app_dir):
    """The user's own line, no line of ours, exit code 1 (issue 9, point 37)."""
    (app_dir / "mistaken.py").write_text("import json\n\njson.loads('{')\n")
    files = ["--certfile", str(certificates.certfile), "--keyfile", str(certificates.keyfile)]
    done = subprocess.run(
        [*COMMAND, "serve", "mistaken:app", "--app-dir", str(app_dir), *files, "--port", "0"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    heading, traceback, first = done.stderr.splitlines()[:3]
    assert (done.returncode, heading) == (1, "h3push: mistaken:app cannot be loaded:")
    assert traceback == "Traceback (most recent call last):"
    assert first.startswith(f'  File "{app_dir}/mistaken.py", line 3')
    assert "h3push/" not in done.stderr
