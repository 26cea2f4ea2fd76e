"""The examples of docs/client.md are run as they stand, in their order, against a real server."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from feedback.models import Feedback
from projects import keys
from projects.models import Project
from tests.client.apart import in_thread
from tests.client.streams import reply
from tests.fakes.provider import FakeProvider

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "client.md"


@pytest.mark.django_db(transaction=True)
def test_the_examples_work(live_server: Any, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    secret = keys.create_key(project=project, kind="sk", name="docs", scopes=["ingest", "read"])[1]
    monkeypatch.setenv("REVIEWHUB_URL", live_server.url)
    monkeypatch.setenv("REVIEWHUB_KEY", secret)
    names: dict[str, Any] = {"__name__": "example"}
    with FakeProvider(reply=reply) as models:
        monkeypatch.setenv("OPENAI_BASE_URL", models.openai_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", models.anthropic_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-fake")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-fake")
        for block in blocks:
            block = block.replace("https://reviews.example.com", live_server.url).replace("rh_sk_…", secret)
            in_thread(partial(exec, compile(block, str(PAGE), "exec"), names))
    said = capsys.readouterr().out
    assert "req-1 wrong fee\n422 invalid /messages/0/role\n" in said
    stored = dict(project.interactions.values_list("external_id", "output"))
    assert {"req-1", "req-2", "req-3"} <= set(stored)
    assert sorted(stored.values()).count("Closing costs nothing.") == 5  # by hand twice, by wrapped clients three times
    assert "See kb-12." in stored.values()
    assert Feedback.objects.filter(interaction=None).count() == 0
    assert names["background"].statistics.failed == 0
