"""Who calls the API and what they may: keys with scopes, personal tokens with the rights of their user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from projects import keys
from projects.access import RIGHTS, Right
from projects.keys import Caller
from projects.models import ApiKey

if TYPE_CHECKING:  # rest_framework.views imports this module by its setting
    from rest_framework.views import APIView


def bearer(request: HttpRequest | Request) -> Caller:
    """The caller behind ``Authorization: Bearer …``; raises 401 otherwise."""
    header = request.headers.get("Authorization", "").encode("latin-1", "replace").split()
    if len(header) != 2 or header[0].lower() != b"bearer":
        raise exceptions.NotAuthenticated("Send a key: Authorization: Bearer rh_…")
    try:
        text = header[1].decode("ascii")
    except UnicodeDecodeError:
        raise exceptions.AuthenticationFailed("The key is not valid.") from None
    caller = keys.check(text)
    if caller is None:
        raise exceptions.AuthenticationFailed("The key is not valid: unknown, revoked or expired.")
    return caller


class KeyAuthentication(BaseAuthentication):
    """DRF: ``request.auth`` is the Caller; ``request.user`` the person behind a personal token, else None."""

    def authenticate(self, request: Request) -> tuple[Any, Caller]:
        caller = bearer(request)
        return caller.user, caller

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Review Hub"'


class DenyAll(BasePermission):
    """The default: an API view that names no permission answers nobody."""

    message = "This address names no permission and is closed."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


def allow(*, scope: str | None = None, right: Right | tuple[Right, ...] | None = None) -> type[BasePermission]:
    """A DRF permission: secret keys need ``scope``; personal tokens need one of ``right`` in the key's project.

    ``scope=None`` closes the view to secret keys, ``right=None`` to persons. Publishable keys pass nowhere
    but at the feedback door, which checks them itself.
    """
    rights = (right,) if isinstance(right, Right) else right

    class Allow(BasePermission):
        message = "This key may not do that."
        required_scope, required_rights = scope, rights

        def has_permission(self, request: Request, view: APIView) -> bool:
            caller = request.auth
            if not isinstance(caller, Caller):
                return False
            if caller.kind == ApiKey.Kind.SECRET:
                self.message = f"This needs a key with the scope {scope}." if scope else "This needs a personal token."
                return scope is not None and scope in caller.scopes
            if caller.kind == ApiKey.Kind.PERSONAL and rights:
                return caller.role is not None and not RIGHTS[caller.role].isdisjoint(rights)
            return False

    return Allow


def caller_of(request: Request) -> Caller:
    """Who calls, behind a view that has let them in."""
    return cast(Caller, request.auth)
