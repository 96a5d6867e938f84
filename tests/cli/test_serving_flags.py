"""The flags of `h3push serve`: declared once, as fields of the subject that carries their values."""

import os
import re
import sys
from dataclasses import dataclass, fields
from types import SimpleNamespace

import pytest
import rich_click as click
from click.testing import CliRunner

from h3push.cli.failures import CommandFailed
from h3push.cli.serve import serve
from h3push.cli.service import server_settings
from h3push.cli.serving.elsewhere import ELSEWHERE
from h3push.cli.serving.environment import misspelt_variables
from h3push.cli.serving.flag import Subject, add_flags, flag
from h3push.cli.serving.limits import Limits, Timeouts, WebSockets
from h3push.cli.serving.options import SUBJECTS, ServeOptions
from h3push.cli.serving.size import SIZE
from h3push.runtime.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather(Subject):
    heading = "Weather"
    wind: float = flag("--wind SPEED", "How fast.", also="--breeze", default=1.5, type=float)
    rain: bool = flag("--rain", "It rains.")
    place: tuple[str, ...] = flag("--place NAME", "Where.", multiple=True)


def given(*arguments):
    taken = []

    @click.command()
    @add_flags([Weather])
    def command(**given):
        taken.append(Weather.taken_from(given))
        assert not given

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return taken[0] if taken else result.output


def test_a_flag_is_declared_by_the_field_that_has_its_value():
    """Every spelling sets it, and a subject made without a command line has the same defaults."""
    assert given() == Weather() == Weather(wind=1.5, rain=False, place=())
    assert given("--breeze", "2", "--rain", "--place", "a", "--place", "b") == Weather(
        wind=2, rain=True, place=("a", "b")
    )


def test_the_help_has_a_panel_for_each_subject():
    """With a flag in each line."""
    shown = given("--help")
    assert "─ Weather ─" in shown
    assert "How fast." in shown


def test_every_subject_is_a_field_of_the_options():
    """A subject that is listed is parsed, and one that is a field is listed: none of its flags is lost on the way."""
    assert {one.name: one.type for one in fields(ServeOptions) if one.name != "target"} == dict(SUBJECTS)
    names = {one.name for subject in SUBJECTS.values() for one in fields(subject)}
    assert {one.name for one in serve.params} - {"target", "config", "env_file"} == names


def options_of(arguments=(), environment=None, monkeypatch=None):
    """The options that a command line makes, and what was printed instead of them."""
    taken = []

    def take(options, _reread):
        taken.append(options)
        return 0

    monkeypatch.setattr("h3push.cli.serve.run", take)
    result = CliRunner().invoke(serve, list(map(str, arguments)), env=environment, color=False)
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.output).split())
    return SimpleNamespace(options=taken[0] if taken else None, output=words, code=result.exit_code)


@pytest.fixture
def parse(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def parse(*arguments, **environment):
        return options_of([".", "--dev", *arguments], environment, monkeypatch)

    return parse


def test_the_command_line_counts_before_the_environment_and_that_before_the_file(parse, tmp_path):
    """And the default counts last."""
    config = tmp_path / "h3push.toml"
    assert parse().options.binding.port == 4433
    config.write_text("port = 1\nhost = 'file.test'\n")
    assert parse("--config", config).options.binding.port == 1
    found = parse("--config", config, H3PUSH_PORT="2").options.binding
    assert (found.port, found.host) == (2, "file.test")
    assert parse("--config", config, "--port", "3", H3PUSH_PORT="2").options.binding.port == 3
    assert parse(H3PUSH_CONFIG=str(config)).options.binding.port == 1


def test_a_pyproject_has_a_table(parse, tmp_path):
    """That of the working directory is read by itself; another one when it is named."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.h3push.serve]\nport = 5\n")
    assert parse().options.binding.port == 5
    (tmp_path / "empty.toml").write_text("")
    assert parse("--config", tmp_path / "empty.toml").options.binding.port == 4433
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert parse().options.binding.port == 4433
    (tmp_path / "pyproject.toml").write_text("[tool.h3push]\nserve = 5\n")
    assert "tool.h3push.serve is not a table" in parse().output


def test_the_file_names_the_target_too(monkeypatch, tmp_path):
    """`h3push serve` alone then does everything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h3push.toml").write_text("target = '.'\ndev = true\ncache-control = ['*=a', 'b=c d']\n")
    found = options_of(["--config", "h3push.toml"], {}, monkeypatch).options
    assert (found.target, found.site.cache_control) == (".", ("*=a", "b=c d"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 1", "h3push.toml: 'prot' is no flag of h3push serve, perhaps 'port'?"),
        ("zzzzzz = 1", "h3push.toml: 'zzzzzz' is no flag of h3push serve: see h3push serve --help"),
        ("port = 'high'", "Invalid value for 'port' in h3push.toml: 'high' is not a valid integer"),
        ("port = true", "h3push.toml: 'port' cannot be true or false"),
        ("port = [1]", "h3push.toml: 'port' must be one value"),
        ("dev = 'yes'", "h3push.toml: 'dev' must be true or false"),
        ("name = [true]", "h3push.toml: 'name' must be a string or a list of strings"),
        ("max-requests = 1\nlimit-max-requests = 2", "'limit-max-requests' says again what another key says"),
        ("port = ", "h3push.toml: Invalid value"),
        ("send-window = 'much'", "'send-window' in h3push.toml: 'much' is no size"),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence_with_the_key(parse, tmp_path, text, sentence):
    """Exit code 2, as for one on the command line."""
    (tmp_path / "h3push.toml").write_text(text)
    result = parse("--config", "h3push.toml")
    assert result.code == 2
    assert sentence in result.output


def test_a_file_that_is_not_there(run, tmp_path, monkeypatch):
    """One sentence."""
    monkeypatch.chdir(tmp_path)
    result = run("serve", ".", "--dev", "--config", "absent.toml")
    assert (result.code, result.err) == (2, "h3push: cannot read absent.toml: no such file or directory\n")


def test_a_mistake_in_the_environment_names_the_variable(parse):
    """Not the flag, which nobody typed."""
    assert "Invalid value for H3PUSH_PORT: 'high' is not a valid integer" in parse(H3PUSH_PORT="high").output


def test_every_spelling_has_a_variable(parse):
    """`--keyfile` is H3PUSH_KEYFILE, `--ssl-keyfile` H3PUSH_SSL_KEYFILE; a switch is 0 or 1; others' variables come last."""
    assert parse(H3PUSH_MAX_REQUESTS="7").options.processes.limit_max_requests == 7
    assert parse(H3PUSH_ACCESS_LOG="0").options.logs.access_log is False
    assert parse(WEB_CONCURRENCY="3").options.processes.workers == 3
    assert parse(WEB_CONCURRENCY="3", H3PUSH_WORKERS="2").options.processes.workers == 2


def test_the_help_has_one_line_for_each_flag():
    """In a terminal of a hundred columns; the other names of a flag stand in the reference."""
    shown = CliRunner().invoke(serve, ["--help"], env={"COLUMNS": "100"}).output
    box = [line for line in shown.splitlines() if line.startswith("│")]
    assert [line for line in box if not line.startswith("│ -")] == []
    assert len(box) == len(serve.params)  # the target has none, and --help is one more


def test_every_setting_of_a_server_has_its_flag():
    """A new time-out or bound gets one, or stands here with the reason why not."""
    others = {
        "max_pushes_per_request": "--push-limit",
        "push_hold_out": "--push-hold-out, in per cent",
        "cancel_handlers": "fixed for applications and directories",
        "early_data": "with the certificates, which have to allow it",
        "authorities": "with the addresses",
        "send_date": "with the fields of responses",
    }
    flags = {one.name for subject in (Timeouts, Limits, WebSockets) for one in fields(subject)}
    assert flags | set(others) == {one.name for one in fields(ServerSettings)}
    assert not flags & set(others)


def test_the_help_tells_the_defaults_of_the_settings():
    """They are written where the help stands, for nothing may be imported for it."""
    settings = ServerSettings()
    flags = {one.name for subject in (Timeouts, Limits, WebSockets) for one in fields(subject)}
    for option in serve.params:
        told = re.search(r"\[default: (.*)\]", getattr(option, "help", None) or "")
        if option.name in flags and option.default is None:
            text = told[1]
            size = re.match(r"\d+[A-Za-z]+$", text)
            value = SIZE.convert(text, None, None) if size else float(text) if text.isdigit() else text
            assert value == getattr(settings, option.name), option.name


def test_limits_come_to_the_server(parse):
    """Every one of them, 0 for none, and sizes with their units."""
    given = {
        **{one.name: 7 for one in fields(Timeouts)},
        **{one.name: 4096 for one in fields(Limits)},
        "idle_timeout": 0,
        "websocket_compression": False,
        "initial_window": 32,
    }
    options = parse(
        *(
            f"{option.opts[-1]}={given[option.name]}"
            for option in serve.params
            if option.name in given and not option.is_flag
        ),
        "--unread-budget=2MiB",
        "--ws-ping-interval=0",
    ).options
    settings = server_settings(options)
    given |= {"idle_timeout": None, "unread_budget": 2 * 1024**2, "websocket_ping_interval": None}
    assert {name: getattr(settings, name) for name in given} == given


def test_limits_that_cannot_be_are_a_sentence(parse):
    """QUIC has numbers of 62 bits."""
    with pytest.raises(CommandFailed, match="these limits cannot be"):
        server_settings(parse("--send-window", str(1 << 70)).options)


@pytest.mark.parametrize(
    ("given", "host", "port", "uds", "fd"),
    [
        (["--bind", "0.0.0.0:80"], "0.0.0.0", 80, None, ()),
        (["-b", "[::1]:81"], "::1", 81, None, ()),
        (["-b", ":82", "-b", "unix:/run/x"], "::", 82, "/run/x", ()),
        (["-b", "fd://3", "-b", "fd://4"], "localhost", 4433, None, (3, 4)),
    ],
)
def test_an_address_in_one_word(parse, given, host, port, uds, fd):
    """As Hypercorn and gunicorn write it."""
    found = parse(*given).options.binding
    assert (found.host, found.port, found.uds and str(found.uds), found.fd) == (host, port, uds, fd)


@pytest.mark.parametrize("given", [["x"], ["x:y"], ["::1:80"], ["x:65536"], ["fd://x"], ["a:1", "b:2"]])
def test_a_word_that_is_no_address(parse, given):
    """One sentence, exit code 2."""
    result = parse(*(word for one in given for word in ("--bind", one)))
    assert (result.code, "--bind takes" in result.output) == (2, True)


def test_a_variable_that_nobody_reads_is_told_of():
    """When it looks like one of ours; those of the build and of other commands are not for this one."""
    environment = {"H3PUSH_PROT": "1", "H3PUSH_PORT": "1", "H3PUSH_TRACEBACK": "1", "H3PUSH_COMPILED": "1", "PATH": ""}
    assert list(misspelt_variables(serve, environment)) == [
        "nobody reads the variable H3PUSH_PROT: H3PUSH_PORT is a flag's"
    ]


@pytest.fixture
def environment():
    """The environment, put back as it was."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


def test_a_file_of_variables_counts_after_the_environment_and_before_the_settings(parse, tmp_path, environment):
    """Its variables are those of flags too, of ours and of other servers'; what the environment has stays."""
    (tmp_path / "own.env").write_text("H3PUSH_PORT=1\nexport WEB_CONCURRENCY=3\nSECRET='of ${HOME}' # kept\n")
    (tmp_path / "h3push.toml").write_text("env-file = 'own.env'\nport = 2\nbacklog = 5\n")
    found = parse("--config", "h3push.toml", HOME="/there").options
    assert (found.binding.port, found.processes.workers, found.limits.backlog) == (1, 3, 5)
    assert parse("--env-file", "own.env", H3PUSH_PORT="4").options.binding.port == 4
    assert parse("--env-file", "own.env", "--port", "5").options.binding.port == 5
    assert parse(H3PUSH_ENV_FILE="own.env").options.binding.port == 1


def test_a_reload_reads_the_file_of_variables_anew(monkeypatch, tmp_path, environment):
    """What it said before is taken back, and what the environment had is not."""
    monkeypatch.chdir(tmp_path)
    environment["KEPT"] = "by the environment"
    file = tmp_path / "own.env"
    file.write_text("COLOUR=red\nGONE=1\nKEPT=by the file\n")
    seen = []

    def take(_options, reread):
        seen.append({name: environment.get(name) for name in ("COLOUR", "GONE", "KEPT")})
        file.write_text("COLOUR=blue\n")
        reread()
        seen.append({name: environment.get(name) for name in ("COLOUR", "GONE", "KEPT")})
        return 0

    monkeypatch.setattr("h3push.cli.serve.run", take)
    assert CliRunner().invoke(serve, [".", "--dev", "--env-file", "own.env"], catch_exceptions=False).exit_code == 0
    assert seen == [
        {"COLOUR": "red", "GONE": "1", "KEPT": "by the environment"},
        {"COLOUR": "blue", "GONE": None, "KEPT": "by the environment"},
    ]


def test_a_file_of_variables_that_cannot_be_read_is_a_sentence(run, tmp_path, monkeypatch):
    """One that is not there, and any without the library."""
    monkeypatch.chdir(tmp_path)
    result = run("serve", ".", "--dev", "--env-file", "absent.env")
    assert (result.code, result.err) == (2, "h3push: cannot read absent.env: no such file or directory\n")
    monkeypatch.setitem(sys.modules, "dotenv", None)
    result = run("serve", ".", "--dev", "--env-file", "absent.env")
    assert (result.code, result.err) == (2, "h3push: --env-file needs python-dotenv: pip install 'h3push[dotenv]'\n")


@pytest.mark.parametrize("flag", ["--loop", "--ws=auto", "--no-server-header", "--quic-bind", "--access-logfile", "-k"])
def test_a_flag_of_another_server_is_told_why_it_is_none_here(parse, flag):
    """Whoever pastes uvicorn's, Hypercorn's or gunicorn's command line learns what to leave out."""
    result = parse(flag, "x")
    assert result.code == 2
    assert f"Leave out {flag.partition('=')[0]}: " in result.output


def test_a_flag_of_nobody_s_is_none(parse):
    """Click's own sentence."""
    assert "No such option '--lop'" in parse("--lop").output or "No such option: --lop" in parse("--lop").output


def test_no_flag_that_there_is_is_called_another_server_s():
    """The table of those tells of no flag of ours."""
    spellings = {
        name for one in serve.params for name in (*one.opts, *one.secondary_opts, *getattr(one, "aliases", ()))
    }
    assert not spellings & set(ELSEWHERE)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("no-colon", "--header takes NAME:VALUE, not 'no-colon'"),
        (":status: 200", "--header: "),
        ("bad name: x", "--header: "),
        ("connection: close", "'connection' is no field that every response can have"),
        ("Content-Length: 3", "'content-length' is no field that every response can have"),
    ],
)
def test_a_field_that_no_response_can_have_is_refused(parse, header, sentence):
    """At the start, and not with the first response."""
    result = parse("--header", header)
    assert result.code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    ("given", "version"), [("17", "1.2"), ("2", "1.2"), ("1.2", "1.2"), ("1.3", "1.3"), ("3", None)]
)
def test_uvicorn_s_numbers_of_tls_versions(parse, given, version):
    """`ssl.PROTOCOL_TLS` and `ssl.PROTOCOL_TLS_SERVER` mean what is safe; a version that is not is refused."""
    result = parse("--ssl-version", given)
    assert (None if result.code else result.options.certificates.ssl_version) == version


def test_colours_are_for_terminals_unless_somebody_says_otherwise(parse, monkeypatch):
    """NO_COLOR counts as it does elsewhere, and the flag before it."""
    terminal, pipe = SimpleNamespace(isatty=lambda: True), SimpleNamespace(isatty=lambda: False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    logs = parse().options.logs
    assert (logs.has_colours(terminal), logs.has_colours(pipe)) == (True, False)
    assert parse("--use-colors").options.logs.has_colours(pipe)
    assert not parse("--no-use-colors").options.logs.has_colours(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not logs.has_colours(terminal)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--ssl-ciphers", "HIGH", "--tcp", "off"], "--ssl-ciphers goes with TCP"),
        (["--uds", "x", "--tcp", "off"], "--uds takes the place of TCP"),
        (["--early-data", "--workers", "2"], "--early-data goes with one process"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "proxy"])
def test_flags_that_exclude_each_other(run, command, given, sentence):
    """For both commands that serve."""
    result = run(command, ".", "--dev", *given)
    assert result.code == 2
    assert sentence in re.sub(r"[│\s]+", " ", result.err)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--limit-max-requests-jitter", "5"), "--limit-max-requests-jitter goes with --limit-max-requests"),
        (("--client-auth", "required"), "--client-auth goes with --client-ca"),
        (("--port", "5000", "--redirect-http", "5000"), "--redirect-http and --port need two ports"),
    ],
)
def test_a_flag_that_would_have_no_effect_is_refused(parse, arguments, sentence):
    """Whoever asks for certificates of clients, and names nobody who signs them, would believe that they are asked for."""
    result = parse(*arguments)
    assert (result.code, sentence in result.output) == (2, True), result.output


def test_a_directory_has_no_lifespan(parse):
    """So the flag would be silently ignored."""
    assert "--lifespan and --root-path go with an application" in parse("--lifespan", "on").output
