"""What `reviewhub run` prints once it is ready: where to go, who may sign in, what to paste."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg


@dataclass
class Shown:
    """The sign-ins and keys of the sample project that still work."""

    project: str = ""
    users: list[dict[str, str]] = field(default_factory=list)
    secret_key: str = ""
    publishable_key: str = ""

    @classmethod
    def read(cls, path: Path, connection: psycopg.Connection) -> Shown:
        """From the file of the first start, checked against the database: what was changed since is not shown."""
        try:
            kept: dict[str, Any] = json.loads(path.read_text())
            project = kept["project"]
        except (OSError, ValueError, KeyError):
            return cls()
        if not connection.execute("SELECT 1 FROM projects_project WHERE slug = %s", [project]).fetchone():
            return cls()
        found = connection.execute("SELECT email, password FROM projects_user WHERE is_active").fetchall()
        hashes = {str(email): str(password) for email, password in found}
        for user in kept["users"]:
            if hashes.get(user["email"]) != user["hash"]:
                user["password"] = "(changed since)"  # noqa: S105
        live = {
            str(row[0])
            for row in connection.execute("SELECT public_id FROM projects_apikey WHERE revoked_at IS NULL").fetchall()
        }
        keys = {
            name: text if text.split("_", 2)[2][:10] in live else "(revoked)"
            for name, text in ((name, str(kept[name])) for name in ("secret_key", "publishable_key"))
        }
        return cls(project=project, users=kept["users"], **keys)


def text(url: str, shown: Shown) -> str:
    """The address, one sign-in a role, two keys and three lines to paste."""
    lines = ["", f"Review Hub   {url}", ""]
    if not shown.project:
        return "\n".join(
            [
                *lines,
                "To make a project, its first admin and its keys, in another terminal:",
                "  .venv/bin/reviewhub bootstrap --project my-app --admin you@example.com",
            ]
        )
    width = max(len(user["email"]) for user in shown.users)
    lines += [f"Sign in to the sample project ({url}/login/):"]
    lines += [f"  {user['role']:<9} {user['email']:<{width}}  {user['password']}" for user in shown.users]
    lines += [
        "",
        f"Ask, vote and follow the vote in the sample chat: {url}/sample-chat/",
        "",
        f"Secret key       {shown.secret_key}",
        f"Publishable key  {shown.publishable_key}",
        "",
        "Try it: an answer, a thumbs-down on it, and the page on which it is reviewed",
        "  " + _post(f"{url}/api/v1/interactions", shown.secret_key, _INTERACTION),
        "  " + _post(f"{url}/api/v1/feedback", shown.secret_key, _FEEDBACK),
        f"  python3 -m webbrowser {url}/p/{shown.project}/queues/negative-feedback/review/",
    ]
    return "\n".join(lines)


_INTERACTION = {
    "id": "hello-1",
    "messages": [{"role": "user", "content": "What does the Basic plan cost?"}],
    "output": "The Basic plan is free of charge.",
}
_FEEDBACK = {"interaction_id": "hello-1", "kind": "thumbs", "value": "down", "comment": "It costs 9 euros."}


def _post(url: str, key: str, body: dict[str, Any]) -> str:
    words = ["curl", "-sS", url, "-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
    return shlex.join([*words, "-d", json.dumps(body)])
