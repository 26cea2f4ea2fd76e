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


# What any operation may answer beside its own answers; what an operation says itself stays.
REFUSALS = {
    "400": "Not a request that is read here: not JSON, not gzip, or a NUL in the address",
    "401": "No key, or not a valid one",
    "403": "The key may not do this",
    "404": "Not in this project",
    "413": "Too large",
    "415": "Not a media type that is read here",
    "422": "Does not fit; `details` say where",
    "503": "The database is away: send again after `Retry-After` seconds",
}
WITH_PATH, WITH_BODY, WITH_INPUT = {"404"}, {"413", "415"}, {"422"}
ERROR: dict[str, Any] = {
    "type": "object", "required": ["error"],
    "properties": {
        "error": {
            "type": "object", "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"}, "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object", "required": ["path", "message"],
                        "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
                    },
                },
            },
        }
    },
}  # fmt: skip


def add_refusals(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """drf-spectacular's hook: every operation lists the errors that stand before its own code."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR
    for methods in result["paths"].values():
        for operation in methods.values():
            places = {parameter["in"] for parameter in operation.get("parameters", ())}
            unfit = set() if "path" in places else set(WITH_PATH)
            if "requestBody" not in operation:
                unfit |= WITH_BODY | (set() if "query" in places else WITH_INPUT)
            else:
                operation["requestBody"].setdefault("required", True)
            for status, meaning in REFUSALS.items():
                if status not in unfit:
                    operation["responses"].setdefault(status, _refusal(meaning))
    return result


def _refusal(meaning: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": meaning, "content": content}
