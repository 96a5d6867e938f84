"""The logs of `h3push serve`: levels, configurations, formats, and the application's own logging beside them."""

import json
import logging
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from h3push.cli.failures import CommandFailed
from h3push.cli.serve_log import configure_logs, say
from h3push.cli.serving.logs import Logs
from h3push.http.headers import Headers
from h3push.server.log_format import ATOMS, coloured, row_format
from h3push.server.log_row import Row

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
APP = """
import logging, sys

if "BASIC" in __import__("os").environ:
    logging.basicConfig(level=logging.INFO, format="mine %(name)s %(message)s")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        logging.info("told by info")
        logging.warning("told by warning")
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
"""


def err_of(server, tmp_path, certificates, environment=None):
    """Everything on stderr of a server that starts and stops."""
    (tmp_path / "logging_app.py").write_text(APP)
    files = ["--certfile", certificates.certfile, "--keyfile", certificates.keyfile]
    words = [*server, "serve", "logging_app:app", "--app-dir", tmp_path, "--port", "0", *files]
    process = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, env=environment)
    lines = []
    while line := process.stderr.readline().decode():
        lines.append(line)
        if "over TCP" in line:
            process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    return "".join(lines)


def test_the_application_s_logging_is_its_own(tmp_path, certificates, monkeypatch):
    """As under uvicorn: the root logger is left alone, so that info needs a configuration, and basicConfig works."""
    told = {}
    for name, command in (
        ("h3push", COMMAND),
        ("uvicorn", [sys.executable, "-m", "uvicorn", "logging_app:app", "--port", "0", "--app-dir", str(tmp_path)]),
    ):
        for basic in (False, True):
            monkeypatch.delenv("BASIC", raising=False)
            if basic:
                monkeypatch.setenv("BASIC", "1")
            err = err_of(command, tmp_path, certificates) if name == "h3push" else uvicorn_err(command)
            told[name, basic] = [line for line in err.splitlines() if "told by" in line]
    assert told["h3push", False] == told["uvicorn", False] == ["WARNING:root:told by warning"]
    assert told["h3push", True] == told["uvicorn", True] == ["mine root told by info", "mine root told by warning"]


def uvicorn_err(command):
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    lines = []
    while line := process.stderr.readline().decode():
        lines.append(line)
        if "Uvicorn running" in line:
            process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    return "".join(lines)


def test_the_level_counts_for_our_loggers(loggers, capsys):
    """Without one, our own life and what goes wrong; "error" leaves errors."""
    ours, lifecycle = loggers
    configure_logs(Logs())
    say("shown")
    ours.getChild("server").warning("wrong")
    ours.getChild("server").info("hidden")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == [
        "h3push: shown",
        "h3push: wrong",
    ]
    configure_logs(Logs(log_level="error"))
    say("hidden")
    assert capsys.readouterr().err == ""
    configure_logs(Logs(log_level="debug"))
    assert (ours.level, lifecycle.level) == (logging.DEBUG, logging.DEBUG)


def test_the_server_for_tcp_says_what_goes_wrong_as_we_do(loggers, capsys):
    """A traceback of uvicorn's has our time stamp, and not the format of the application's root logger; its life is not told."""
    configure_logs(Logs(log_level="info"))
    over_tcp = logging.getLogger("uvicorn.error")
    over_tcp.info("Uvicorn running")
    over_tcp.error("Exception in ASGI application")
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\S+Z h3push: Exception in ASGI application", line)


def configuration(path):
    handler = {"class": "logging.FileHandler", "filename": str(path), "formatter": "own"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"own": {"format": "own %(name)s %(message)s"}},
        "handlers": {"file": handler},
        "loggers": {"h3push": {"handlers": ["file"], "level": "INFO", "propagate": False}},
    }


@pytest.mark.parametrize("kind", ["json", "ini", "yaml"])
def test_a_configuration_replaces_our_handler(loggers, tmp_path, capsys, kind):
    """JSON, INI or YAML, by the name of the file, as uvicorn reads them."""
    file, written = tmp_path / f"log.{kind}", tmp_path / "written"
    loggers[0].handlers = []
    if kind == "ini":
        file.write_text(INI.format(written=written))
    else:
        if kind == "yaml":
            pytest.importorskip("yaml")
        file.write_text(json.dumps(configuration(written)))  # JSON is YAML
    configure_logs(Logs(log_config=file))
    say("hello")
    assert written.read_text() == "own h3push.lifecycle hello\n"
    assert capsys.readouterr().err == ""
    for handler in loggers[0].handlers:
        handler.close()


def test_a_configuration_that_names_no_logger_of_ours_leaves_them_on(loggers, tmp_path):
    """A dictionary silences every logger that it does not name, if nothing is done: "serving …" would never be seen."""
    file, written, root = tmp_path / "log.json", tmp_path / "written", logging.getLogger()
    loggers[0].handlers, loggers[0].propagate, before = [], True, root.handlers[:]
    settings = configuration(written)
    del settings["disable_existing_loggers"]
    settings["root"] = settings.pop("loggers")["h3push"]
    file.write_text(json.dumps(settings))
    try:
        configure_logs(Logs(log_config=file, log_level="info"))
        say("hello")
    finally:
        for handler in set(root.handlers) - set(before):
            handler.close()
        root.handlers = before
        root.setLevel(logging.WARNING)
    assert written.read_text() == "own h3push.lifecycle hello\n"


INI = """
[loggers]
keys=root,h3push
[handlers]
keys=file
[formatters]
keys=own
[logger_root]
handlers=
[logger_h3push]
qualname=h3push
level=INFO
handlers=file
propagate=0
[handler_file]
class=FileHandler
args=({written!r},)
formatter=own
[formatter_own]
format=own %(name)s %(message)s
"""
INI = INI.replace("{written!r}", "'{written}'")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("absent.json", None, "cannot read .*absent.json: no such file"),
        ("absent.ini", None, "cannot read .*absent.ini: no such file"),
        ("log.json", "{", "log.json is no configuration of logs: Expecting"),
        ("log.json", '{"version": 1, "handlers": {"a": {"class": "absent.Handler"}}}', "log.json is no configuration"),
        ("log.ini", "[loggers]", "log.ini is no configuration of logs: 'formatters' is missing"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_a_sentence(tmp_path, name, text, sentence):
    """With the file's name."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CommandFailed, match=sentence):
        configure_logs(Logs(log_config=tmp_path / name))


def row(**more):
    facts = {
        "time": datetime(2026, 11, 28, 9, 5, 3, tzinfo=UTC),
        "client": "[::1]:5000",
        "method": "GET",
        "path": "/a?b=c",
        "protocol": "HTTP/3",
        "status": 200,
        "bytes": 5,
        "duration_ms": 1234.5,
        "outcome": "complete",
        "headers": Headers([(b"referer", b"https://x/"), (b"accept", b'"\x1b[0m')]),
    }
    return Row(**{**facts, **more})


def test_a_format_of_ones_own_has_gunicorn_s_atoms():
    """And three for pushes; a client can neither break a line nor drive a terminal."""
    write = row_format('%(h)s %(l)s %(t)s "%(r)s" %(s)s %(b)s %(f)s %(a)s %(L)s %(D)s %(q)s 100%%')
    assert write(row()) == (
        '::1 - [28/Nov/2026:09:05:03 +0000] "GET /a?b=c HTTP/3" 200 5 https://x/ - 1.234500 1234500 b=c 100%'
    )
    pushed = row(push_id=3, initiator="/page", status=None, bytes=0)
    assert row_format("%(push)s %(initiator)s %(outcome)s %(s)s %(b)s")(pushed) == "3 /page complete - -"
    assert row_format("%({Accept}i)s %({x-none}i)s")(row()) == r"%22\x1b[0m -"
    assert all(row_format(f"%({name})s")(row()) for name in ATOMS)


@pytest.mark.parametrize("template", ["%(x)s", "%h", "%(h)d", "%({a b}i)s", "%"])
def test_an_atom_that_there_is_not_is_named(template):
    """Before anything is served."""
    with pytest.raises(ValueError, match=re.escape(repr(template))):
        row_format(template)


def test_formats_that_do_not_go_together(run, site, certificates):
    """One sentence each."""
    files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
    both = run("serve", site, *files, "--log-format", "json", "--access-logformat", "%(h)s")
    assert "Give --access-log-format or --log-format json" in both.err
    wrong = run("serve", site, *files, "--access-log-format", "%(x)s")
    assert (wrong.code, "is no atom of an access log" in wrong.err) == (1, True)


@pytest.mark.parametrize(("status", "shown"), [(200, "\x1b[32m200\x1b[0m"), (503, "\x1b[91m503\x1b[0m"), (None, "-")])
def test_a_status_in_colour(status, shown):
    """The rest of the line stays what it is without, for whoever reads it by program."""
    assert coloured(row(status=status)) == row(status=status).text().replace(f" {status or '-'} ", f" {shown} ")
