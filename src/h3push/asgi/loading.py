"""From `module:app` to an application, and what can be told of it before it runs."""

import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from h3push.asgi.types import ASGIApplication

logger = logging.getLogger("h3push.server")

_FAILS_ON_THE_PUSH_EVENT = "BaseHTTPMiddleware"
_DROPS_THE_PUSH_EVENT = "GZipMiddleware"


class LoadError(ValueError):
    """The application cannot be found; the sentence says which part of `module:app` is wrong."""


def load_app(target: str, *, factory: bool = False, app_dir: Path | None = None) -> ASGIApplication:
    """Import an application.

    Args:
        target: `module:attribute`, dots allowed in both; `module` alone means `module:app`.
        factory: the attribute is a function without arguments that makes the application.
        app_dir: put in front of the import path; `None`: the working directory.

    Raises:
        LoadError: no such module or attribute, or not something to call. What the module itself raises is not caught.
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
    return cast("Callable[[], ASGIApplication]", found)() if factory else cast("ASGIApplication", found)


def survives_push_event(app: object) -> bool:
    """False when the application has middleware that fails on ASGI's push event; tells what to use instead.

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
