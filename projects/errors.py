"""One shape for every error of the API: ``{"error": {"code", "message", "details": [{"path", "message"}]}}``."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response


class ApiError(exceptions.APIException):
    """An answer with a stable ``code`` and, where the fault lies in the body, the paths of the faults.

    ``details`` are ``{"path": JSON pointer, "message": sentence}``.
    """

    def __init__(
        self,
        status_code: int,
        code: str,
        message: str,
        details: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code)
        self.status_code = status_code
        self.error_code = code
        self.message = message
        self.details = details or []
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        return error_body(self.error_code, self.message, self.details)


def error_body(code: str, message: str, details: list[dict[str, str]] | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return {"error": error}


def invalid(path: str, message: str) -> ApiError:
    """422 with the path of one fault."""
    return ApiError(422, "invalid", message, [{"path": path, "message": message}])


_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "rate_limited",
    503: "unavailable",
}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: turns every expected exception into the one shape; unexpected ones stay 500 and are logged."""
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, ApiError):
        return Response(exc.body(), status=exc.status_code, headers=exc.headers)
    if not isinstance(exc, exceptions.APIException):
        return None
    headers = {}
    if scheme := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = scheme
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    details: list[dict[str, str]] = []
    http: int
    if isinstance(exc, exceptions.ValidationError):
        details = list(_flatten(exc.detail, ""))
        code, message, http = "invalid", "The body does not fit.", 422
    else:
        http = exc.status_code
        code, message = _CODES.get(http, "error"), str(exc.detail)
    return Response(error_body(code, message, details), status=http, headers=headers)


def _flatten(detail: Any, path: str) -> list[dict[str, str]]:
    if isinstance(detail, dict):
        return [row for key, value in detail.items() for row in _flatten(value, f"{path}/{key}")]
    if isinstance(detail, list):
        if all(not isinstance(entry, dict | list) for entry in detail):
            return [{"path": path or "/", "message": str(entry)} for entry in detail]
        return [row for place, value in enumerate(detail) for row in _flatten(value, f"{path}/{place}")]
    return [{"path": path or "/", "message": str(detail)}]
