"""Django, in one file: a synchronous view, in its thread, declares what goes with its page.

h3push serve --dev examples.django_app:app
"""

import time

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

import h3push

PAGE = '<!doctype html><title>Django</title><link rel=stylesheet href="/style.css?v=1"><script src="/app.js"></script>'
FOREVER = {"cache-control": "max-age=3600"}


def page(request: HttpRequest) -> HttpResponse:
    h3push.push_nowait(request, "/style.css?v=1", "/app.js")
    time.sleep(0.3)
    return HttpResponse(PAGE)


def style(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("body { color: teal }", content_type="text/css", headers=FOREVER)


def script(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("console.log('pushed')", content_type="text/javascript", headers=FOREVER)


urlpatterns = [path("", page), path("style.css", style), path("app.js", script)]

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="only for the example", DEBUG=False)
    django.setup()

app = get_asgi_application()
