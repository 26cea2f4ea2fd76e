"""What a page of another site needs: the widget's script, and a door for the moment when it is left."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import bodies, browsers, limits, openapi
from feedback.schema import FeedbackIn
from projects import addresses, keys
from projects.errors import ApiError, invalid
from projects.models import ApiKey

SCRIPT = "reviewhub/widget.js"
# Short enough for a correction to reach every page within the hour; afterwards the ETag decides.
SCRIPT_HEADERS = {
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
}
ENVELOPE = 8 * limits.KIB  # key, token and punctuation around the feedback


@dataclass(frozen=True, slots=True)
class Script:
    """The widget as it is sent; the two forms have an ETag each."""

    plain: bytes
    packed: bytes
    etag: str


@cache
def _script() -> Script:
    path = finders.find(SCRIPT)
    plain = Path(str(path)).read_bytes()
    return Script(plain, gzip.compress(plain, 9, mtime=0), hashlib.sha256(plain).hexdigest()[:24])


@login_not_required
@require_safe
def widget(request: HttpRequest) -> HttpResponse:
    """``/widget.js``: public, for pages of every origin, small."""
    script = _script()
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    etag = f'"{script.etag}{"-gz" if packed else ""}"'
    response = HttpResponse(script.packed if packed else script.plain, content_type="text/javascript; charset=utf-8")
    if packed:
        response["Content-Encoding"] = "gzip"
    response["ETag"] = etag
    response = get_conditional_response(request, etag=etag, response=response) or response
    for name, value in SCRIPT_HEADERS.items():  # on 304 as well: browsers ask again across origins
        response[name] = value
    return response


class Beacon(APIView):
    """``/api/v1/feedback/beacon``: for ``navigator.sendBeacon``, which can set no header.

    The publishable key stands in the body; what is checked is the same as at ``/api/v1/feedback``. Cookies,
    which browsers attach to beacons, are not looked at.
    """

    authentication_classes = []
    permission_classes = [AllowAny]
    http_method_names = ["post"]

    @extend_schema(operation_id="feedback_beacon", tags=["Intake"], auth=[], **openapi.beacon(FeedbackIn))
    def post(self, request: Request) -> HttpResponse:
        """Store one feedback of a page that is being left."""
        parsed = bodies.one(request._request, limits.FEEDBACK_BODY + ENVELOPE, "text/plain")
        key, token, item = _envelope(parsed.value)
        caller = keys.check(key)
        if caller is None:
            raise ApiError(401, "unauthenticated", "The key is not valid: unknown, revoked or expired.")
        if caller.kind != ApiKey.Kind.PUBLISHABLE or request.headers.get("Origin", "") not in caller.origins:
            raise exceptions.PermissionDenied("This needs a publishable key that lists the origin of this request.")
        visitor = addresses.visitor(request._request)
        browsers.receive(caller, item, token=token, visitor=visitor, sanitized=parsed.sanitized)
        return Response(status=204)


def _envelope(value: Any) -> tuple[str, str | None, dict[str, Any]]:
    """Key, token and feedback of ``{"key", "token", "feedback"}``. ApiError 422 with the path of a fault."""
    if not isinstance(value, dict):
        raise invalid("/", "The body is one JSON object.")
    key, token, item = value.get("key"), value.get("token"), value.get("feedback")
    if not isinstance(key, str):
        raise ApiError(401, "unauthenticated", "Send the publishable key in the body, as key.")
    if token is not None and not isinstance(token, str):
        raise invalid("/token", "A token is a text.")
    if not isinstance(item, dict):
        raise invalid("/feedback", "A feedback is an object.")
    return key, token, item
