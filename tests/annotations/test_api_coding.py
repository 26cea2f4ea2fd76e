"""Open notes and their groups over the API: what the page does, for whoever may open it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations.models import Annotation, FailureMode, GroupedNote, NoteGroup, Queue
from projects.models import Project, User
from tests.annotations.test_coding import FEES, TONE, note, notes, place
from tests.conftest import Api

GROUPS = "/api/v1/note-groups"


@pytest.fixture
def votes(project: Project, people: dict[str, User]) -> list[Annotation]:
    Queue.objects.filter(project=project).update(phase="open")
    return notes(project, people, *FEES, *TONE)


@pytest.fixture
def lead(token_of: Callable[[str], Api]) -> Api:
    return token_of("lead")


def ok(answer: tuple[int, Any], status: int = 200) -> Any:
    assert answer[0] == status, answer
    return answer[1]


def ids(votes: list[Annotation]) -> list[int]:
    return [vote.pk for vote in votes]


def test_from_notes_to_a_failure_mode(lead: Api, votes: list[Annotation], project: Project) -> None:
    listed = ok(lead.get("/api/v1/notes"))
    assert [(one["id"], one["note"], one["group"]) for one in listed["results"]] == [
        (vote.pk, vote.note, None) for vote in votes
    ]
    assert (listed["count"], listed["results"][0]["reviewer"]) == (5, "reviewer@example.com")
    made = ok(lead.post(GROUPS, {"name": "Invented fees", "notes": ids(votes[:2])}), 201)
    assert (made["notes"], made["proposed"], made["failure_mode"]) == (2, False, None)
    assert ok(lead.post("/api/v1/notes/place", {"notes": ids(votes[2:4]), "group": made["id"]})) == {"moved": 2}
    assert ok(lead.post("/api/v1/notes/place", {"notes": ids(votes[3:4]), "group": None})) == {"moved": 1}
    assert [one["id"] for one in ok(lead.get(f"/api/v1/notes?group={made['id']}"))["results"]] == ids(votes[:3])
    assert [one["id"] for one in ok(lead.get("/api/v1/notes?group=none"))["results"]] == ids(votes[3:])
    said = ok(lead.patch(f"{GROUPS}/{made['id']}", {"description": "A fee that no source has"}))
    assert (said["name"], said["description"]) == ("Invented fees", "A fee that no source has")
    told = ok(lead.get(GROUPS))
    assert (told["results"], told["ungrouped"]) == ([said], 2)
    assert (told["saturation"]["notes"], told["saturation"]["groups"]) == (3, 1)
    mode = ok(lead.post(f"{GROUPS}/{made['id']}/confirm", {}))
    assert (mode["label"], mode["examples"]) == ("Invented fees", FEES)
    assert ok(lead.get(f"{GROUPS}/{made['id']}"))["failure_mode"] == mode["slug"]
    assert ok(lead.post(f"{GROUPS}/{made['id']}/reclassify", {})) == {"opened": 3}
    ok(lead.call("DELETE", f"{GROUPS}/{made['id']}"), 204)
    assert not NoteGroup.objects.exists()
    assert FailureMode.objects.filter(project=project, slug=mode["slug"]).exists()


def test_proposed_groups_are_marked_until_a_person_takes_them(lead: Api, votes: list[Annotation]) -> None:
    assert ok(lead.post(f"{GROUPS}/propose", {})) == {"proposed": 2}
    fees, tone = ok(lead.get(GROUPS))["results"]
    assert (fees["proposed"], fees["notes"], tone["proposed"]) == (True, 3, True)
    assert {one["proposed"] for one in ok(lead.get("/api/v1/notes"))["results"]} == {True}
    assert ok(lead.patch(f"{GROUPS}/{fees['id']}", {"name": "Fees"}))["proposed"] is False
    assert GroupedNote.objects.filter(proposed=False).count() == 3


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("/api/v1/notes/place", {"notes": [], "group": None}, "/notes"),
        ("/api/v1/notes/place", {"notes": [10**17], "group": None}, "/notes/0"),
        ("/api/v1/notes/place", {"notes": ["x"], "group": None}, "/notes/0"),
        ("/api/v1/notes/place", {"notes": "own"}, "/group"),
        ("/api/v1/notes/place", {"notes": "own", "group": 10**17}, "/group"),
        (GROUPS, {"name": " ", "notes": "own"}, "/name"),
        (GROUPS, {"name": "Taken", "notes": "own"}, "/name"),
        (GROUPS, {"name": "Empty"}, "/notes"),
        (GROUPS, {"name": "x" * 81, "notes": "own"}, "/name"),
        (GROUPS, {"name": "Other", "notes": "foreign"}, "/notes/0"),
        (GROUPS, {"name": "Other", "notes": "own", "color": "red"}, "/color"),
        (f"{GROUPS}/propose", {"now": True}, "/now"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    lead: Api, votes: list[Annotation], project: Project, path: str, body: dict[str, Any], fault: str,
    other_project: Project, people: dict[str, User],
) -> None:  # fmt: skip
    place(project, votes[4], name="Taken")
    Queue.objects.filter(project=other_project).update(phase="open")
    foreign = note(other_project, people["outsider"], "Theirs")
    known = {"own": [votes[0].pk], "foreign": [foreign.pk]}
    sent = body | {"notes": known[body["notes"]]} if body.get("notes") in ("own", "foreign") else body
    error = ok(lead.post(path, sent), 422)["error"]
    assert fault in [one["path"] for one in error["details"]]
    assert list(NoteGroup.objects.values_list("name", flat=True)) == ["Taken"]


@pytest.mark.parametrize("query", ["group=x", "group=-1", "page=0", "page=x"])
def test_a_list_that_cannot_be_is_refused(lead: Api, votes: list[Annotation], query: str) -> None:
    ok(lead.get(f"/api/v1/notes?{query}"), 422)


@pytest.mark.parametrize(("who", "reads"), [("viewer", 403), ("reviewer", 403), ("engineer", 403), ("admin", 200)])
def test_the_rights_are_those_of_the_page(
    token_of: Callable[[str], Api], votes: list[Annotation], who: str, reads: int
) -> None:
    api = token_of(who)
    assert [api.get(path)[0] for path in ("/api/v1/notes", GROUPS)] == [reads, reads]
    body = {"name": "Fees", "notes": ids(votes)}
    assert api.post(GROUPS, body)[0] == (201 if reads == 200 else 403)


def test_another_projects_group_is_not_found(
    lead: Api, votes: list[Annotation], other_project: Project, people: dict[str, User]
) -> None:
    theirs = NoteGroup.objects.create(project=other_project, name="Theirs")
    for answer in (lead.get(f"{GROUPS}/{theirs.pk}"), lead.call("DELETE", f"{GROUPS}/{theirs.pk}"),
                   lead.post(f"{GROUPS}/{theirs.pk}/confirm", {})):  # fmt: skip
        ok(answer, 404)


def test_the_lists_take_the_same_queries_with_twice_the_notes(
    sk: Api, votes: list[Annotation], project: Project, people: dict[str, User]
) -> None:
    ok(sk.get(GROUPS))  # whose key it is stays known for a while
    counts = []
    for number in range(2):
        place(project, *votes[2 * number : 2 * number + 2], name=f"Group {number}")
        notes(project, people, f"Too long {number}", f"Off topic {number}")
        with CaptureQueriesContext(connection) as queries:
            ok(sk.get("/api/v1/notes"))
            ok(sk.get(GROUPS))
        counts.append(len(queries))
    assert counts[0] == counts[1]
