"""How the published document names the ways to say who one is. Importing this registers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """``Authorization: Bearer rh_…``."""

    target_class = "projects.auth.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A secret key (rh_sk_…), a publishable key (rh_pk_…) or a personal token (rh_pat_…).",
        }
