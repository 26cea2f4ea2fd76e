"""Keys of failure modes: the number row, each once, and nothing that means something already."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotations import keymap
from annotations.taxonomy import PALETTE
from projects.models import User


def test_the_palette_of_a_new_project_fits() -> None:
    assert keymap.conflicts(mode.digit for mode in PALETTE) == []
    assert keymap.conflicts(["", "", "1"]) == []


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        (["1", "2", "1"], "The key 1 is used twice."),
        (["p"], "The key p means “Pass” already."),
        (["P"], "The key P means “Pass” already."),
        (["."], "The key . means “Skip” already."),
        (["x"], "The key x is not on the number row (1 to 9, 0, - and =)."),
    ],
)
def test_a_conflict_is_said_in_words(digits: list[str], said: str) -> None:
    assert keymap.conflicts(digits) == [said]


def test_keys_can_be_moved_swapped_and_switched_off() -> None:
    assert keymap.moved({}) == ({}, {})
    assert keymap.moved({"p": "F", "f": " p ", "b": ""}) == ({"p": "f", "f": "p", "b": ""}, {})
    assert keymap.meanings({"p": "f", "f": "p", "b": ""}) == {"p": "f", "f": "p", "b": ""}
    assert keymap.meanings({"p": "y"}) == {"p": "", "y": "p"}


@pytest.mark.parametrize(
    ("wanted", "faults"),
    [
        ({"p": "u"}, {"p": "The key u is “Unsure” too.", "u": "The key u is “Pass” too."}),
        ({"p": "1"}, {"p": "The key 1 belongs to failure modes."}),
        ({"p": "-"}, {"p": "The key - belongs to failure modes."}),
        ({"p": "?"}, {"p": "The key ? means “This list” everywhere."}),
        ({"p": "enter"}, {"p": "One letter or sign, or nothing."}),
        ({"p": "\u202e"}, {"p": "One letter or sign, or nothing."}),
    ],
)
def test_a_key_that_cannot_be_had_says_why(wanted: dict[str, str], faults: dict[str, str]) -> None:
    assert keymap.moved(wanted)[1] == faults


def test_a_person_moves_keys_and_takes_them_back(browser_of: Callable[[str], Client], people: dict[str, User]) -> None:
    client, person = browser_of("reviewer"), people["reviewer"]
    refused = client.post("/account/keys/", {"p": "u"})
    assert refused.status_code == 422
    assert "The key u is “Unsure” too." in refused.content.decode()
    person.refresh_from_db()
    assert person.keys == {}
    client.post("/account/keys/", {"p": "y", "z": ""})
    person.refresh_from_db()
    assert person.keys == {"p": "y", "z": ""}
    assert 'value="y"' in client.get("/account/keys/").content.decode()
    client.post("/account/keys/", {"reset": "1", "p": "y"})
    person.refresh_from_db()
    assert person.keys == {}
