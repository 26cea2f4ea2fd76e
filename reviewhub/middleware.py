"""What every answer carries, what only pages need, and what is said while the database is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.template.loader import render_to_string

Handler = Callable[[HttpRequest], HttpResponse]
# Addresses of programs: they come with a key or ask for nothing secret, never with a session, and get no page.
MACHINE_PATHS = ("/api/", "/v1/", "/feedback", "/metrics", "/readyz", "/healthz")
# Nothing of an answer to a program is to be shown or run, wherever a browser may open it.
MACHINE_POLICY = "default-src 'none'; frame-ancestors 'none'"


def for_machine(request: HttpRequest) -> bool:
    """Whether the address is one for programs."""
    return request.path_info.startswith(MACHINE_PATHS)


class DatabaseAway:
    """Turns a lost database into 503 with ``Retry-After``, so that clients send again instead of dropping data.

    It stands outermost: the session and the sign-in read the database as well.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self.get_response(request)
        except (OperationalError, InterfaceError):
            return self._away(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OperationalError | InterfaceError):
            return self._away(request)
        return None

    @staticmethod
    def _away(request: HttpRequest) -> HttpResponse:
        if for_machine(request):
            response: HttpResponse = JsonResponse(
                {"error": {"code": "unavailable", "message": "The database is away. Nothing was stored; send again."}},
                status=503,
            )
        else:
            response = HttpResponse(render_to_string("503.html"), status=503)
        response["Retry-After"] = "2"
        return response


class Machines:
    """Sends the addresses of programs to their views past everything that only pages need.

    A chat reports thousands of times a second. Sessions, messages, htmx, static files and the policy for scripts cost
    each of these requests more than reading it does, even where they only stand aside: a middleware is 10 microseconds.
    What guards views (CSRF, sign-in required) guards here as well: a machine's view without a mark of its own would
    be refused, not open.
    """

    def __init__(self, get_response: Handler) -> None:
        self.pages = get_response
        handler: Any = BaseHandler()  # its parts have no types
        guards = CsrfViewMiddleware(get_response), LoginRequiredMiddleware(get_response)
        handler._view_middleware = [guard.process_view for guard in guards]
        handler._template_response_middleware = []
        handler._exception_middleware = [DatabaseAway(get_response).process_exception]
        self.views: Any = convert_exception_to_response(handler._get_response)
        self.security: Any = SecurityMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not for_machine(request):
            return self.pages(request)
        request.user = AnonymousUser()  # whatever cookies a browser attaches; keys are read by ``projects.auth``
        response: HttpResponse = self.security.process_request(request) or self.views(request)
        if not response.streaming and "Content-Length" not in response:
            response["Content-Length"] = str(len(response.content))
        response.setdefault("Content-Security-Policy", MACHINE_POLICY)
        response.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        self.security.process_response(request, response)
        return private(response)


class NoNul:
    """400 for a page whose query holds a NUL: nothing of ours sends one, and PostgreSQL cannot be asked for it.

    What people write in forms is cleaned or refused where it is read.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("A NUL in the query")
        return self.get_response(request)


class Headers:
    """Private by default: pages with conversations are not kept by browsers or proxies."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return private(self.get_response(request))


def private(response: HttpResponse) -> HttpResponse:
    """The answer with the headers that all of ours carry."""
    response.setdefault("Cache-Control", "no-store")
    response.setdefault("X-DNS-Prefetch-Control", "off")
    return response
