"""An application with an admin that nobody here wrote: Django's own, with its own style sheets and scripts.

    uvicorn --app-dir bench admin_site:app

Whoever comes is logged in. Static files are for everybody, for an hour, as WhiteNoise and nginx serve them; pages are private, as
Django says of them. `DATABASE` names a file, which is made.
"""

import os
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse

USERS = 120
"""Rows of the list."""

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of a benchmark",
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "admin.sqlite3")}
    },
    INSTALLED_APPS=[
        f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        f"{__name__}.logged_in",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    USE_TZ=True,
)
django.setup()

from django.contrib import admin  # noqa: E402 - after the set-up
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import path  # noqa: E402


def download(request: HttpRequest) -> HttpResponse:
    """Something large that no page has: the part that is asked for."""
    size = int(request.headers["Range"].rpartition("-")[2]) + 1
    return HttpResponse(
        os.urandom(size), content_type="application/octet-stream", headers={"Cache-Control": "no-store"}
    )


urlpatterns = [path("admin/", admin.site.urls), path("download", download)]


def logged_in(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: everybody is the first user."""

    def respond(request: HttpRequest) -> HttpResponse:
        request.user = User.objects.get(username="user000")
        return get_response(request)

    return respond


def fill() -> None:
    """Make the database."""
    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        rights = {"is_staff": True, "is_superuser": True}
        User.objects.bulk_create(
            User(username=f"user{number:03}", email=f"{number}@example.org", **rights) for number in range(USERS)
        )
        Group.objects.bulk_create(Group(name=f"group {number}") for number in range(20))


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application; static files say that they are for everybody."""

    async def said(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and scope["path"].startswith("/static/"):
            message["headers"] = [*message["headers"], (b"cache-control", b"public, max-age=3600")]
        await send(message)

    await _application(scope, receive, said)


fill()
_application = ASGIStaticFilesHandler(get_asgi_application())
