"""Detectors over the API: the list, and the choice that the page makes as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evals import tasks
from evals.models import DetectorSetting
from feedback.models import Score
from projects.models import AuditEntry
from tests.conftest import Api

DETECTORS = "/api/v1/detectors"
REFUSAL = "I'm sorry, but I can't help with that."


def test_the_list_tells_each_detector_and_what_it_flags_by(sk: Api) -> None:
    rows = {row["detector"]: row for row in sk.get(DETECTORS)[1]["results"]}
    assert rows["groundedness"] == {
        "detector": "groundedness", "name": "Support in the documents", "version": "1",
        "description": "How much of the answer's wording stands in the documents: 1 all of it, 0 nothing",
        "enabled": True, "threshold": 0.4, "default_threshold": 0.4, "flags": "under", "scored": 0, "flagged": 0,
    }  # fmt: skip
    assert (rows["length"]["threshold"], rows["length"]["flags"]) == (None, "from")


def test_a_change_leaves_what_it_does_not_name(sk: Api) -> None:
    assert sk.patch(f"{DETECTORS}/refusal", {"threshold": 0.9})[1]["threshold"] == 0.9
    status, row = sk.patch(f"{DETECTORS}/refusal", {"enabled": False})
    assert (status, row["enabled"], row["threshold"], row["default_threshold"]) == (200, False, 0.9, 0.5)
    assert sk.get(f"{DETECTORS}/refusal")[1] == row
    assert sk.patch(f"{DETECTORS}/refusal", {"enabled": True, "threshold": None})[1]["threshold"] == 0.5


def test_a_change_holds_for_what_arrives_from_then_on(sk: Api) -> None:
    sk.patch(f"{DETECTORS}/refusal", {"enabled": False})
    sk.post("/api/v1/interactions", {"id": "req-1", "input": "Which fees?", "output": REFUSAL})
    tasks.analyse()
    sk.patch(f"{DETECTORS}/refusal", {"enabled": True})
    sk.post("/api/v1/interactions", {"id": "req-2", "input": "Which fees?", "output": REFUSAL})
    tasks.analyse()
    assert [one.interaction.external_id for one in Score.objects.filter(name="refusal")] == ["req-2"]


def test_the_audit_log_names_who_changed_what(sk: Api, token_of: Callable[[str], Api]) -> None:
    sk.patch(f"{DETECTORS}/pii", {"enabled": False})
    token_of("engineer").patch(f"{DETECTORS}/pii", {"threshold": 0.7})
    entries = AuditEntry.objects.filter(action="detector.set", target="pii").order_by("pk")
    assert [(entry.actor_name, entry.detail) for entry in entries] == [
        ("key", {"enabled": False, "threshold": None}), ("Engineer", {"enabled": False, "threshold": 0.7}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"threshold": 1.2}, "/threshold"), ({"threshold": "0.5"}, "/threshold"), ({"threshold": True}, "/threshold"),
        ({"enabled": "off"}, "/enabled"), ({"enabled": None}, "/enabled"), ({}, "/"), ({"treshold": 0.5}, "/"),
        ([], "/"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(sk: Api, body: Any, path: str) -> None:
    status, answer = sk.patch(f"{DETECTORS}/pii", body)
    assert (status, answer["error"]["details"][0]["path"]) == (422, path)
    assert not DetectorSetting.objects.exists()


def test_an_unknown_detector_is_not_found_and_not_set(sk: Api) -> None:
    assert sk.get(f"{DETECTORS}/nonsense")[0] == 404
    assert sk.patch(f"{DETECTORS}/nonsense", {"enabled": False})[0] == 404
    assert not DetectorSetting.objects.exists()
