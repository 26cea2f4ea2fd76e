"""What every answer carries, and what is said while the database is away."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

Handler = Callable[[HttpRequest], HttpResponse]
MACHINE_PATHS = ("/api/", "/v1/", "/feedback", "/metrics", "/readyz")


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
        if request.path.startswith(MACHINE_PATHS):
            response: HttpResponse = JsonResponse(
                {"error": {"code": "unavailable", "message": "The database is away. Nothing was stored; send again."}},
                status=503,
            )
        else:
            response = HttpResponse(render_to_string("503.html"), status=503)
        response["Retry-After"] = "2"
        return response


class NoNul:
    """400 for a page whose query holds a NUL: nothing of ours sends one, and PostgreSQL cannot be asked for it.

    The API names the parameter itself; what people write in forms is cleaned or refused where it is read.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", "") and not request.path.startswith(MACHINE_PATHS):
            raise BadRequest("A NUL in the query")
        return self.get_response(request)


class Headers:
    """Private by default: pages with conversations are not kept by browsers or proxies."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Cache-Control", "no-store")
        response.setdefault("X-DNS-Prefetch-Control", "off")
        return response
