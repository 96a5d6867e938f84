"""From `module:app` to an application."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from h3push.asgi.loading import LoadError, load_app, survives_push_event


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
    )  # fmt: skip
    (tmp_path / "loading_broken.py").write_text("import module_that_is_not_there\n")
    return tmp_path


@pytest.mark.parametrize("target", ["loading_sample", "loading_sample:app", "loading_sample:api.inner"])
def test_an_attribute_of_a_module(app_dir: Path, target: str) -> None:
    """`module:attribute`, dots allowed; without attribute it is `app`."""
    assert callable(load_app(target, app_dir=app_dir))


def test_a_factory_is_called(app_dir: Path) -> None:
    """`--factory`: the attribute makes the application."""
    assert load_app("loading_sample:make", factory=True, app_dir=app_dir).__name__ == "app"  # type: ignore[attr-defined]


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
