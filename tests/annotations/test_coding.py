"""From open notes to failure modes: writing them, grouping them, and what a confirmed group changes."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from random import Random

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotations import claims, coding, note_groups
from annotations.models import Annotation, FailureMode, GroupedNote, NoteGroup, Queue, Task
from projects.errors import ApiError
from projects.models import Project, User
from tests import realdata
from tests.annotations.flow import complaint
from tests.annotations.test_settlement import cast, current, send, take
from tests.annotations.test_taxonomy_pages import HOSTILE, text_of

Browser = Callable[[str], Client]
PAGE = "/p/acme/coding/"
FEES = ["The fee is invented", "Invents a fee that no source has", "Fee invented, source says 4.90"]
TONE = ["Rude to the customer", "Sounds rude, the customer was upset"]


@pytest.fixture
def queue(project: Project) -> Queue:
    Queue.objects.filter(project=project).update(phase="open")
    return Queue.objects.get(project=project, slug="negative-feedback")


def note(project: Project, user: User, text: str, verdict: str = "fail") -> Annotation:
    task = complaint(project, f"i{Task.objects.count()}")
    return cast(project, user, task, verdict, note=text, primary_category=None).annotation


def notes(project: Project, people: dict[str, User], *texts: str) -> list[Annotation]:
    return [note(project, people["reviewer"], text) for text in texts]


def group_of(vote: Annotation) -> NoteGroup | None:
    row = GroupedNote.objects.filter(annotation=vote).select_related("group__project").first()
    return row.group if row else None


def place(project: Project, *votes: Annotation, **where: object) -> NoteGroup:
    coding.place(project=project, actor=None, notes=[vote.pk for vote in votes], **where)  # type: ignore[arg-type]
    found = group_of(votes[0])
    assert found is not None
    return found


class TestOpenPhase:
    def test_reviewers_are_asked_for_words_instead_of_categories(
        self, browser_of: Browser, project: Project, queue: Queue
    ) -> None:
        complaint(project, "one")
        page = text_of(browser_of("reviewer").get("/p/acme/queues/negative-feedback/review/"))
        assert "What is wrong, in your words?" in page
        assert 'name="categories"' not in page
        assert 'name="severity"' not in page
        Queue.objects.filter(project=project).update(phase="classify")
        page = text_of(browser_of("reviewer").get("/p/acme/queues/negative-feedback/review/"))
        assert 'name="categories"' in page
        assert "in your words" not in page

    def test_a_fail_needs_the_words_and_is_a_vote_with_them(
        self, browser_of: Browser, project: Project, queue: Queue, people: dict[str, User]
    ) -> None:
        claim = take(people["reviewer"], complaint(project, "one"))
        address = f"/p/acme/claims/{claim.token}/label/"
        form = {"token": str(claim.token), "submission_id": str(uuid.uuid4()), "verdict": "fail", "order": ""}
        refusal = browser_of("reviewer").post(address, form)
        assert refusal.status_code == 422
        assert "Say in your own words what went wrong." in text_of(refusal)
        browser_of("reviewer").post(address, {**form, "note": "The fee is invented\r\n\r\nSee source 1"})
        vote = coding.open_notes(project).get()
        assert (vote.note, vote.primary_category) == ("The fee is invented\n\nSee source 1", None)

    def test_a_lead_sets_the_phase_with_the_queues_settings(self, token_of: Callable[..., object], sk: object) -> None:
        status, body = sk.patch("/api/v1/queues/negative-feedback", {"phase": "open"})  # type: ignore[attr-defined]
        assert (status, body["phase"], body["version"]) == (200, "open", 1)
        assert sk.patch("/api/v1/queues/negative-feedback", {"phase": "half"})[0] == 422  # type: ignore[attr-defined]


def test_open_notes_are_those_that_say_what_is_wrong_in_words_alone(
    project: Project, people: dict[str, User], queue: Queue
) -> None:
    wrong, unsure = note(project, people["reviewer"], "Wrong fee"), note(project, people["reviewer"], "Hm", "unsure")
    note(project, people["reviewer"], "Fine", "pass")
    cast(project, people["reviewer"], complaint(project, "classified"), note="with a category")
    assert list(coding.open_notes(project)) == [wrong, unsure]


class TestProposals:
    def test_notes_that_share_rare_words_are_put_together_and_the_rest_left_alone(
        self, project: Project, people: dict[str, User]
    ) -> None:
        votes = notes(project, people, *FEES, *TONE, "Nothing else is like this")
        assert coding.propose(project=project, actor=None) == 2
        fee, tone = group_of(votes[0]), group_of(votes[3])
        assert fee is not None
        assert tone is not None
        assert {group_of(vote) for vote in votes[:3]} == {fee}
        assert (group_of(votes[4]), group_of(votes[5])) == (tone, None)
        assert fee.proposed
        assert "fee" in fee.name.lower()

    def test_proposing_again_leaves_what_a_person_has_placed(self, project: Project, people: dict[str, User]) -> None:
        votes = notes(project, people, *FEES, *TONE)
        coding.propose(project=project, actor=None)
        mine = place(project, votes[0], votes[3], name="Mine")
        coding.propose(project=project, actor=None)
        assert group_of(votes[0]) == group_of(votes[3]) == mine
        other = group_of(votes[1])
        assert other is not None
        assert other == group_of(votes[2])
        assert other != mine

    def test_an_empty_proposal_goes_and_a_group_of_a_person_stays(
        self, project: Project, people: dict[str, User]
    ) -> None:
        votes = notes(project, people, *TONE)
        coding.propose(project=project, actor=None)
        mine = place(project, *votes, name="Tone")
        assert list(NoteGroup.objects.filter(project=project)) == [mine]
        coding.place(project=project, actor=None, notes=[vote.pk for vote in votes])
        assert list(NoteGroup.objects.filter(project=project)) == [mine]

    def test_experts_notes_fall_into_groups_of_one_kind_more_often_than_chance(self) -> None:
        """HaluQuestQA's experts gave each reason a category: a group's pairs share it oftener than any two do."""
        records = realdata.records("haluquestqa")
        said = [
            (label["comment"], label["category"])
            for record in records for label in record["human_labels"]
            if label.get("comment") and label.get("category") and label.get("label") == "error"
        ]  # fmt: skip
        rng = Random(1)
        rng.shuffle(said)
        texts, kinds = [text for text, _ in said[:300]], [kind for _, kind in said[:300]]
        found = note_groups.propose(texts)

        def same(labels: list[str]) -> float:
            pairs = [(labels[a], labels[b]) for group in found for a, b in combinations(group.notes, 2)]
            return sum(a == b for a, b in pairs) / len(pairs)

        assert sum(len(group.notes) for group in found) >= 150
        expected = sum((count / 300) ** 2 for count in Counter(kinds).values())
        assert same(kinds) > 1.3 * expected


class TestGroups:
    def test_what_does_not_fit_is_refused_and_nothing_moves(self, project: Project, people: dict[str, User]) -> None:
        (vote,) = notes(project, people, "One")
        mine = place(project, vote, name="Mine")
        for where in ({"name": "Mine"}, {"group": mine.pk + 1}, {"name": "x" * 81}):
            with pytest.raises(ApiError):
                coding.place(project=project, actor=None, notes=[vote.pk], **where)  # type: ignore[arg-type]
        with pytest.raises(ApiError):
            coding.place(project=project, actor=None, notes=[], name="Empty")
        assert group_of(vote) == mine
        coding.remove(actor=None, group=mine)
        assert group_of(vote) is None

    def test_a_confirmed_group_is_a_failure_mode_with_its_notes_as_examples(
        self, project: Project, people: dict[str, User]
    ) -> None:
        FailureMode.objects.filter(project=project, digit="4").update(digit="")
        group = place(project, *notes(project, people, *FEES), name="Made-up fee")
        coding.describe(group=group, fields={"name": "Invented fee", "description": "No source has it"})
        mode = coding.confirm(actor=people["lead"], group=group)
        assert (mode.slug, mode.description, mode.examples, mode.digit) == (
            "invented-fee", "No source has it", FEES, "4",
        )  # fmt: skip
        assert project.rubrics.latest("version").note == "From 3 open notes"
        with pytest.raises(ApiError) as again:
            coding.confirm(actor=people["lead"], group=group)
        assert again.value.status_code == 409

    def test_a_group_can_join_a_failure_mode_that_is_there(self, project: Project, people: dict[str, User]) -> None:
        group = place(project, *notes(project, people, *FEES), name="Fee")
        mode = coding.confirm(actor=None, group=group, into="unsupported-claim")
        assert (mode.slug, mode.examples) == ("unsupported-claim", FEES)
        assert FailureMode.objects.filter(project=project).count() == 12

    def test_its_items_are_opened_again_with_the_mode_filled_in_and_a_person_decides(
        self, project: Project, people: dict[str, User], queue: Queue
    ) -> None:
        votes = notes(project, people, *FEES[:2])
        group = place(project, *votes, name="Made-up fee")
        with pytest.raises(ApiError):
            coding.reclassify(actor=None, group=group)
        mode = coding.confirm(actor=None, group=group)
        group.refresh_from_db()
        coding.begin_classifying(actor=None, queue=queue)
        assert coding.reclassify(actor=None, group=group) == 2
        task = votes[0].task
        old = current(task)
        assert old is not None
        assert old.primary_category is None  # until somebody has said so
        claim = claims.claim_task(user=people["reviewer"], task=Task.objects.get(pk=task.pk))
        assert claim is not None
        assert claim.draft is not None
        assert (claim.draft["primary_category"], claim.draft["note"]) == (mode.slug, FEES[0])
        send(project, people["reviewer"], claim, primary_category=mode.slug, note=FEES[0])
        new = current(task)
        assert new is not None
        assert new.primary_category == mode
        assert coding.open_notes(project).count() == 2  # the notes stay what they were


class TestPage:
    def test_everything_is_done_by_plain_forms(
        self, browser_of: Browser, project: Project, people: dict[str, User], queue: Queue
    ) -> None:
        votes, lead = notes(project, people, *FEES, *TONE), browser_of("lead")
        lead.post(f"{PAGE}propose/")
        assert "Proposed" in text_of(lead.get(PAGE))
        ticked = [str(vote.pk) for vote in votes[:2]]
        refusal = lead.post(f"{PAGE}place/", {"note": ticked, "to": "new", "name": " "})
        assert refusal.status_code == 422
        assert "Give the new group a name." in text_of(refusal) or "No name." in text_of(refusal)
        lead.post(f"{PAGE}place/", {"note": ticked, "to": "new", "name": "Made-up fee"})
        group = group_of(votes[0])
        assert group is not None
        lead.post(f"{PAGE}place/", {"note": [str(votes[2].pk)], "to": str(group.pk)})
        assert group_of(votes[2]) == group
        lead.post(f"{PAGE}place/", {"note": [str(votes[1].pk)], "to": "none"})
        assert group_of(votes[1]) is None
        lead.post(f"{PAGE}groups/{group.pk}/", {"name": "Fees", "description": "Of any kind"})
        lead.post(f"{PAGE}groups/{group.pk}/confirm/", {"into": ""})
        assert FailureMode.objects.get(project=project, slug="fees").examples == [FEES[0], FEES[2]]
        lead.post(f"{PAGE}queues/negative-feedback/classify/")
        queue.refresh_from_db()
        assert queue.phase == "classify"
        lead.post(f"{PAGE}groups/{group.pk}/reclassify/")
        assert Task.objects.filter(project=project, state="open").count() == 2
        lead.post(f"{PAGE}groups/{group.pk}/remove/")
        assert not NoteGroup.objects.filter(pk=group.pk).exists()

    def test_hostile_notes_are_text(self, browser_of: Browser, project: Project, people: dict[str, User]) -> None:
        place(project, *notes(project, people, HOSTILE, HOSTILE + " 2"), name="<b>x</b>")
        note(project, people["reviewer"], HOSTILE)
        page = text_of(browser_of("lead").get(PAGE))
        assert "<img src=x" not in page
        assert "<b>x</b>" not in page
        assert "\u202e" not in page

    def test_it_takes_the_same_queries_at_n_and_2n(
        self, browser_of: Browser, project: Project, people: dict[str, User]
    ) -> None:
        lead = browser_of("lead")
        for start in (0, 3):
            for number in range(start, start + 3):
                votes = notes(project, people, f"Alpha{number} beta", f"Alpha{number} gamma", f"Other {number}")
                place(project, *votes[:2], name=f"Group {number}")
            lead.get(PAGE)
            with CaptureQueriesContext(connection) as taken:
                assert lead.get(PAGE).status_code == 200
            if start == 0:
                few = len(taken)
        assert len(taken) == few

    def test_the_queues_page_says_what_open_coding_has_brought(
        self, browser_of: Browser, project: Project, people: dict[str, User], queue: Queue
    ) -> None:
        place(project, *notes(project, people, *FEES), name="Fees")
        note(project, people["reviewer"], "Something else")
        page = text_of(browser_of("lead").get("/p/acme/queues/?show=all"))
        assert "Open coding" in page
        assert "4 notes, 1 not in a group yet" in page
        assert "1 new group in the last 20" in page
