"""From `module:app` to an application, and the mistakes that can be found before it runs."""

import importlib
import inspect
import logging
import sys
import traceback
from pathlib import Path
from typing import Any, cast

from h3push.asgi.types import ASGIApplication

logger = logging.getLogger("h3push.server")

_FAILS_ON_THE_PUSH_EVENT = "BaseHTTPMiddleware"
_DROPS_THE_PUSH_EVENT = "GZipMiddleware"


class LoadError(ValueError):
    """The application cannot be found or is none; the sentence says which part of `module:app` is wrong."""


def load_app(target: str, *, factory: bool = False, app_dir: Path | None = None) -> ASGIApplication:
    """Import an application.

    Args:
        target: `module:attribute`, dots allowed in both; `module` alone means `module:app`.
        factory: the attribute is a function without arguments that makes the application.
        app_dir: put in front of the import path; `None`: the working directory.

    Raises:
        LoadError: no such module or attribute, or not an ASGI application. What the module or the factory itself raises is not
            caught; `own_lines` shows it.
    """
    name, _, attribute = target.partition(":")
    sys.path.insert(0, str(app_dir if app_dir is not None else Path.cwd()))
    try:
        found: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        raise LoadError(f"there is no module {name!r}: give module:app, and --app-dir if it is elsewhere") from None
    for part in (attribute or "app").split("."):
        if not hasattr(found, part):
            raise LoadError(f"module {name!r} has no {attribute or 'app'!r}")
        found = getattr(found, part)
    if not callable(found):
        raise LoadError(f"{target!r} is no application: {type(found).__name__} cannot be called")
    app = found() if factory else found
    _check(target, app, factory)
    return cast("ASGIApplication", app)


def _check(target: str, app: object, factory: bool) -> None:
    """Raise `LoadError` for what could answer no request."""
    if inspect.iscoroutine(app):
        app.close()
        raise LoadError(f"{target!r} is an async function, and a factory cannot wait: make it a plain one")
    if not callable(app):
        raise LoadError(f"{target!r} makes no application: {type(app).__name__} cannot be called")
    if is_wsgi(app):
        raise LoadError(
            f"{target!r} is a WSGI application, and h3push serves ASGI: wrap it with a2wsgi, "
            "as in app = a2wsgi.WSGIMiddleware(app)"
        )
    if _is_refused(app):
        if _takes_nothing(app) and not factory:
            raise LoadError(f"{target!r} takes no arguments, so it makes the application: give --factory")
        raise LoadError(f"{target!r} is no ASGI application: it does not take scope, receive and send")


def is_wsgi(app: object) -> bool:
    """True for a callable that takes `environ` and `start_response` (PEP 3333) but not ASGI's three arguments."""
    signature = _signature(app)
    return signature is not None and _takes(signature, 2) and not _takes(signature, 3)


def _is_refused(app: object) -> bool:
    """True for what shows that it cannot be called with ASGI's three arguments."""
    signature = _signature(app)
    return signature is not None and not _takes(signature, 3)


def _takes_nothing(app: object) -> bool:
    signature = _signature(app)
    return signature is not None and _takes(signature, 0)


def _signature(app: object) -> inspect.Signature | None:
    """How it is called; `None` when it does not tell, as native code may."""
    try:
        return inspect.signature(app)  # type: ignore[arg-type]  # TypeError for what is not callable
    except (TypeError, ValueError):
        return None


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def own_lines(error: Exception) -> str:
    """The traceback of what `load_app` let through, from the first line of the user's own code on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not load_app.__code__:
        trace = trace.tb_next
    while trace is not None and _is_loading(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    if trace is None:  # a syntax error in the module itself: a heading would have nothing to head
        return "".join(traceback.format_exception_only(error)).rstrip()
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _is_loading(filename: str) -> bool:
    return filename in {__file__, importlib.__file__} or filename.startswith("<frozen importlib")


def survives_push_event(app: object) -> bool:
    """False when the application has middleware that fails on ASGI's push event; a warning names what to use instead.

    Starlette and FastAPI list their middleware in `user_middleware`. Their `BaseHTTPMiddleware`, and with it every
    `@app.middleware("http")`, raises when the application pushes, and only on servers that offer the event.
    """
    classes = [getattr(one, "cls", None) for one in getattr(app, "user_middleware", ())]
    names = {base.__name__ for cls in classes if isinstance(cls, type) for base in cls.__mro__}
    if _DROPS_THE_PUSH_EVENT in names:
        logger.warning(
            "GZipMiddleware drops ASGI's push event: declare pushes with h3push.push(request, path) or Link fields"
        )
    if _FAILS_ON_THE_PUSH_EVENT in names:
        logger.warning(
            "BaseHTTPMiddleware fails on ASGI's push event, so it is not offered: "
            "declare pushes with h3push.push(request, path) or Link fields"
        )
        return False
    return True
