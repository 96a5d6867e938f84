"""From `module:app` to an application."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from h3push.asgi.loader import LoadError, load_app, own_lines, survives_push_event


@pytest.fixture(autouse=True)
def _import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    (tmp_path / "loading_sample.py").write_text(
        "async def app(scope, receive, send): ...\n"
        "def make(): return app\n"
        "class api: inner = app\n"
        "number = 5\n"
        "async def make_later(): return app\n"
        "def make_number(): return 5\n"
        "def old(scope): ...\n"
        "class Made:\n"
        "    async def __call__(self, scope, receive, send): ...\n"
        "class Awaited:\n"
        "    def __init__(self, scope, receive, send): ...\n"
        "    def __await__(self): yield\n"
    )  # fmt: skip
    (tmp_path / "loading_broken.py").write_text("import module_that_is_not_there\n")
    return tmp_path


@pytest.mark.parametrize(
    "target", ["loading_sample", "loading_sample:app", "loading_sample:api.inner", "loading_sample:Awaited"]
)
def test_an_attribute_of_a_module(app_dir: Path, target: str) -> None:
    """`module:attribute`, dots allowed; without attribute it is `app`."""
    assert callable(load_app(target, app_dir=app_dir))


def test_a_factory_is_called(app_dir: Path) -> None:
    """`--factory`: the attribute makes the application."""
    assert load_app("loading_sample:make", factory=True, app_dir=app_dir).__name__ == "app"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("target", "factory", "sentence"),
    [
        ("loading_sample:make", False, "takes no arguments.*give --factory"),
        ("loading_sample:Made", False, "takes no arguments.*give --factory"),
        ("loading_sample:old", False, "does not take scope, receive and send"),
        ("loading_sample:make_later", True, "async function"),
        ("loading_sample:make_number", True, "makes no application: int cannot be called"),
    ],
)
def test_what_cannot_answer_a_request_is_refused_at_the_start(
    app_dir: Path, target: str, factory: bool, sentence: str
) -> None:
    """And not by a failure at each request: a factory without its flag, an application of ASGI 2."""
    with pytest.raises(LoadError, match=sentence):
        load_app(target, factory=factory, app_dir=app_dir)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("no_such_module_here:app", "no module"),
        ("loading_sample:nothing", "has no 'nothing'"),
        ("loading_sample:number", "no application"),
    ],
)
def test_what_is_wrong_is_said(app_dir: Path, target: str, sentence: str) -> None:
    """One sentence for each part of `module:app`."""
    with pytest.raises(LoadError, match=sentence):
        load_app(target, app_dir=app_dir)


def test_what_the_module_itself_lacks_is_its_own_error(app_dir: Path) -> None:
    """An import that fails inside the module is not reported as "no such module"."""
    with pytest.raises(ModuleNotFoundError, match="module_that_is_not_there"):
        load_app("loading_broken:app", app_dir=app_dir)


@pytest.mark.parametrize(
    ("source", "begins", "ends"),
    [
        ("x = 1\ndef (:\n", '  File "{file}", line 2', "SyntaxError: invalid syntax"),
        ("def f():\n    return {}['key']\nf()\n", "Traceback (most recent call last):\n  File \"{file}\", line 3",
         "KeyError: 'key'"),
        ("import absent_module_of_theirs\n", 'Traceback (most recent call last):\n  File "{file}", line 1',
         "No module named 'absent_module_of_theirs'"),
    ],
)  # fmt: skip
def test_an_import_error_is_shown_from_the_user_s_own_line_on(
    tmp_path: Path, source: str, begins: str, ends: str
) -> None:
    """No line of ours or of the import system stands above it (issue 9, point 37)."""
    name = f"loading_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    with pytest.raises((SyntaxError, KeyError, ImportError)) as caught:
        load_app(name, app_dir=tmp_path)
    shown = own_lines(caught.value)
    assert shown.startswith(begins.format(file=tmp_path / f"{name}.py"))
    assert shown.endswith(ends)
    assert "importlib" not in shown
    assert "loading.py" not in shown


def test_a_wsgi_application_is_refused(app_dir: Path) -> None:
    """The sentence names what makes an ASGI application of it (issue 9, point 37)."""
    (app_dir / "loading_wsgi.py").write_text(
        "class Flask:\n    def __call__(self, environ, start_response): ...\n"
        "app = Flask()\n"
        "def plain(environ, start_response): ...\n"
        "async def asgi(scope, receive, send): ...\n"
        "async def anything(*arguments): ...\n"
    )
    for name in ("app", "plain"):
        with pytest.raises(LoadError, match=r"WSGI .* a2wsgi"):
            load_app(f"loading_wsgi:{name}", app_dir=app_dir)
    for name in ("asgi", "anything"):
        load_app(f"loading_wsgi:{name}", app_dir=app_dir)


def test_middleware_that_fails_on_the_event_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """Starlette's `user_middleware` tells; the log says what to use instead."""

    class BaseHTTPMiddleware:
        pass

    class Own(BaseHTTPMiddleware):
        pass

    class GZipMiddleware:
        pass

    with caplog.at_level(logging.INFO):
        assert survives_push_event(lambda: None)
        assert survives_push_event(SimpleNamespace(user_middleware=[SimpleNamespace(cls=GZipMiddleware)]))
        assert not survives_push_event(SimpleNamespace(user_middleware=[SimpleNamespace(cls=Own)]))
    assert caplog.text.count("h3push.push") == 2
