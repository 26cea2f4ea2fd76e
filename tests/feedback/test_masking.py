"""Personal data is found where it is and left alone where it only looks like it."""

from __future__ import annotations

import time

import pytest

from feedback import masking
from feedback.models import Feedback, Interaction
from projects import keys
from projects.models import Project
from tests.conftest import Api


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ines.moreau+x@haldenbank.co.uk now", "write to [email] now"),
        ("card 4111 1111 1111 1111, thanks", "card [card], thanks"),
        ("card 5500-0000-0000-0004.", "card [card]."),
        ("IBAN DE89 3704 0044 0532 0130 00 bitte", "IBAN [iban] bitte"),
        ("gb82west12345698765432", "[iban]"),
        ("call +49 (0)30 901820-123 today", "call [phone] today"),
        ("ring 020 7946 0958 please", "ring [phone] please"),
        ("from 192.168.2.14 and 2001:db8::8a2e:370:7334", "from [ip] and [ip]"),
        ("SSN 078-05-1120", "SSN [ssn]"),
        ("Steuer-ID 86095742719", "Steuer-ID [tax_id]"),
        ("key sk-proj-abcdefghijklmnopqrstuvwx1234", "key [secret]"),
        ("AKIAIOSFODNN7EXAMPLE leaked", "[secret] leaked"),
        ("two: a@b.org, c@d.net", "two: [email], [email]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, masked: str) -> None:
    assert masking.mask(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",  # fails Luhn
        "invoice DE89 3704 0044 0532 0130 01",  # fails modulo 97
        "on 2026-11-20 at 09:12:41",
        "am 20.11.2026 um 9 Uhr",
        "version 1.2.3 of the API",
        "999.1.2.3 is no address",
        "the fee is 4.90 and 12,345.67 in all",
        "meter 1ESY1161229886 reads 004512",
        "666-12-3456 and 900-12-3456 are not issued",
        "0000 0000 0000 0000",
        "tracking 12345678901",
        "@mention and user@localhost",
        "1:2:3",
        "std::vector::at",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert masking.mask(text) == (text, {})


def test_names_are_masked_only_where_asked_for() -> None:
    text = "My dog barks. Frau Anna Schmidt called."
    assert masking.mask(text)[0] == text
    assert masking.mask(text, ["name"])[0] == "My dog barks. Frau [name] called."


def test_every_text_of_a_value_is_masked_and_counted() -> None:
    value = {"id": "a@b.org", "messages": [{"role": "user", "content": "I am c@d.org"}], "n": 7}
    masked, counts = masking.mask_value(value)
    assert masked == {"id": "a@b.org", "messages": [{"role": "user", "content": "I am [email]"}], "n": 7}
    assert counts == {"email": 1}


def test_a_failure_loses_the_text_rather_than_storing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(masking, "mask", broken)
    assert masking.mask_value(["secret"]) == ([masking.FAILED], {"failed": 1})


@pytest.mark.parametrize(
    "text",
    [
        "1 " * 50_000,
        "a" * 100_000,
        "a@" * 50_000,
        "1." * 50_000,
        "+1 " * 33_000,
        "a:" * 50_000,
        "0-" * 50_000,
        "A1" * 50_000,
    ],
)
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    started = time.process_time()
    masking.mask(text)
    assert time.process_time() - started < 2


def test_a_project_masks_before_it_stores_and_a_replay_is_still_a_replay(sk: Api, project: Project) -> None:
    project.masking = ["email", "card"]
    project.save(update_fields=["masking"])
    keys.forget()
    body = {
        "id": "m-1",
        "user_id": "ines@example.com",
        "messages": [{"role": "user", "content": "I am ines@example.com, card 4111 1111 1111 1111"}],
        "output": "Thank you, ines@example.com.",
        "spans": [{"id": "4111111111111111", "name": "lookup", "input": {"mail": "ines@example.com"}}],
    }
    assert sk.post("/api/v1/interactions", body)[0] == 201
    assert sk.post("/api/v1/interactions", body) == (200, {"id": "m-1", "replayed": True})
    stored = Interaction.objects.get(project=project)
    assert stored.messages[0]["content"] == "I am [email], card [card]"
    assert stored.output == "Thank you, [email]."
    assert stored.end_user_id == "ines@example.com"
    assert stored.masked == {"email": 3, "card": 1}
    span = stored.spans.get()
    assert (span.external_id, span.input) == ("4111111111111111", {"mail": "[email]"})


def test_comments_and_corrections_are_masked_too(sk: Api, project: Project) -> None:
    project.masking = ["email"]
    project.save(update_fields=["masking"])
    keys.forget()
    item = {"interaction_id": "m-1", "kind": "thumbs", "value": "down", "comment": "mail me: a@b.org"}
    assert sk.post("/api/v1/feedback", item)[0] == 201
    assert Feedback.objects.get(project=project).comment == "mail me: [email]"


def test_without_a_choice_nothing_is_masked(sk: Api, project: Project) -> None:
    sk.post("/api/v1/interactions", {"id": "m-2", "input": "a@b.org", "output": "ok"})
    stored = Interaction.objects.get(project=project)
    assert (stored.messages[0]["content"], stored.masked) == ("a@b.org", None)
