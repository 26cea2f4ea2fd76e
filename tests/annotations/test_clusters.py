"""Complaints that are nearly the same: they form a cluster, whose head carries their number."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from annotations import cluster_counts, triage
from annotations.frequency import CAP, Frequency, capped, reasons
from annotations.models import Cluster, ClusterMember, Queue, Task
from annotations.priority import Reason
from feedback.models import Feedback, Interaction
from projects.models import Project, User
from tests.annotations.flow import interaction, routed, thumbs_down
from tests.annotations.test_settlement import cast
from tests.factories import ProjectFactory

QUESTION = "How long does a refund take when I pay by card"


def asked(project: Project, external_id: str, question: str = QUESTION, comment: str = "", **more: Any) -> str:
    """An interaction that was complained about."""
    interaction(project, external_id, input=question, **more)
    thumbs_down(project, external_id, comment)
    return external_id


def clusters(project: Project) -> dict[str, set[str]]:
    """The members by the id of the head."""
    found: dict[str, set[str]] = {}
    for head, member in ClusterMember.objects.filter(cluster__project=project).values_list(
        "cluster__head__external_id", "interaction__external_id"
    ):
        found.setdefault(head, set()).add(member)
    return found


class TestJoining:
    def test_nearly_the_same_complaints_join_and_others_do_not(self, project: Project) -> None:
        asked(project, "a")
        asked(project, "b", "How long does a refund take when I pay by invoice")
        asked(project, "c", "Which documents do I need to open an account")
        routed(project)
        asked(project, "d", "Hello, how long does a REFUND take when I pay by card?")
        routed(project)
        assert clusters(project) == {"a": {"a", "b", "d"}, "c": {"c"}}
        assert list(Cluster.objects.order_by("pk").values_list("size", flat=True)) == [3, 1]
        similar = dict(ClusterMember.objects.values_list("interaction__external_id", "similarity"))
        assert similar["a"] == similar["c"] == 1
        assert 0.6 <= similar["b"] < 1
        assert 0.6 <= similar["d"] < 1

    def test_what_nothing_speaks_against_joins_nothing(self, project: Project) -> None:
        interaction(project, "a", input=QUESTION)
        routed(project)
        assert clusters(project) == {}

    def test_an_item_without_words_joins_nothing(self, project: Project) -> None:
        asked(project, "a", "\u200b …")
        asked(project, "b", "?!")
        assert len(routed(project)) == 2
        assert clusters(project) == {}

    def test_a_batch_and_one_by_one_give_the_same_clusters(self, project: Project) -> None:
        texts = [QUESTION, "Where is my parcel now please", f"{QUESTION} please", "where is my parcel now, please?"]
        for number, text in enumerate(texts):
            asked(project, f"i{number}", text)
        routed(project)
        other = ProjectFactory()
        for number, text in enumerate(texts):
            asked(other, f"i{number}", text)
            routed(other)
        assert clusters(project) == clusters(other) == {"i0": {"i0", "i2"}, "i1": {"i1", "i3"}}

    def test_projects_do_not_see_each_other(self, project: Project) -> None:
        other = ProjectFactory()
        asked(project, "a")
        asked(other, "b")
        triage.run()
        assert Cluster.objects.count() == 2

    def test_who_comes_again_keeps_the_place(self, project: Project) -> None:
        asked(project, "a")
        asked(project, "b")
        routed(project)
        thumbs_down(project, "b", user_id="u2", comment="")
        routed(project)
        assert clusters(project) == {"a": {"a", "b"}}
        assert Cluster.objects.get().size == 2

    def test_later_words_move_an_item_unless_others_stand_behind_it(self, project: Project) -> None:
        for name in ("a", "b"):
            asked(project, name, "Fee of the plan?")
        routed(project)
        words = "it names the yearly fee of another country and another contract altogether"
        thumbs_down(project, "b", words)
        thumbs_down(project, "a", words)
        routed(project)
        assert clusters(project) == {"a": {"a"}, "b": {"b"}}
        assert list(Cluster.objects.values_list("size", flat=True)) == [1, 1]

    def test_words_that_nobody_vouches_for_do_not_choose_the_cluster(self, project: Project) -> None:
        asked(project, "a")
        interaction(project, "b", input="Where is my parcel now please")
        thumbs_down(project, "b", QUESTION)
        Feedback.objects.filter(interaction__external_id="b").update(verified=False)
        routed(project)
        assert clusters(project) == {"a": {"a"}}

    @pytest.mark.parametrize(
        "text", ["<script>alert(1)</script> and then some", "%s {} ' OR 1=1 --", "\u202e" * 90 + "evil"]
    )
    def test_hostile_texts_are_kept_as_they_are(self, project: Project, text: str) -> None:
        asked(project, "a", text)
        asked(project, "b", f"{text} {text}" * 400)
        routed(project)
        assert sum(cluster.size for cluster in Cluster.objects.all()) == 2
        assert Cluster.objects.earliest("pk").title.startswith(text[:60])
        assert max(len(title) for title in Cluster.objects.values_list("title", flat=True)) <= 200

    def test_a_hot_cluster_costs_no_more_statements_and_keeps_one_text(self, project: Project) -> None:
        for number in range(40):
            asked(project, f"i{number}")
        routed(project)
        with CaptureQueriesContext(
            connection,
        ) as few:
            asked(project, "one more")
            routed(project)
        for number in range(40):
            asked(project, f"j{number}")
        with CaptureQueriesContext(connection) as many:
            routed(project)
        joining = [query["sql"] for query in many if "clustermember" in query["sql"]]
        assert len(joining) <= len([query for query in few if "clustermember" in query["sql"]])
        assert ClusterMember.objects.exclude(bands=[]).count() == 1
        assert Cluster.objects.get().size == 81


class TestFrequency:
    def test_the_terms_are_what_the_guide_says(self) -> None:
        found = {one.term: one for one in reasons(Frequency(1, True, 40, 28, 0, last_6h=6, last_3d=11))}
        assert found["impact"].text == "28 users"
        assert found["impact"].strength == pytest.approx(0.4874, abs=1e-3)
        assert (found["novelty"].text, found["novelty"].strength) == ("New pattern", 1)
        assert (found["spike"].text, found["spike"].strength) == ("Rising", 0.5)
        assert reasons(Frequency(1, True, 40, 5000, 3))[0].strength == 1
        assert reasons(Frequency(1, True, 40, 5000, 3))[1].strength == 0.25

    def test_only_heads_of_two_or_more_say_anything(self) -> None:
        assert reasons(Frequency(1, False, 40, 28, 0)) == []
        assert reasons(Frequency(1, True, 1, 1, 0)) == []
        assert [one.term for one in reasons(Frequency(1, True, 2, 1, 0, 2, 2))] == ["novelty"]

    def test_new_evidence_lifts_the_cap(self) -> None:
        known, complaint = Frequency(1, False, 9, 9, 1), Reason("negative_feedback", "negative", 1, "", "Thumbs-down")
        assert capped(known, [complaint])
        assert not capped(known, [complaint, Reason("error", "severity", 0.7, "", "Error")])
        assert not capped(Frequency(1, False, 9, 9, 0), [complaint])

    def test_the_head_carries_the_number_and_goes_before_the_others(self, project: Project) -> None:
        for number in range(6):
            asked(project, f"i{number}", user_id=f"u{number}")
        tasks = routed(project)
        assert len({task.score for task in tasks[1:]}) == 1
        assert cluster_counts.refresh() == 1
        cluster = Cluster.objects.get()
        assert (cluster.size, cluster.users, cluster.reviewed) == (6, 6, 0)
        first, *others = Task.objects.filter(state="open").order_by("due_at", "pk")
        assert first.interaction_id == cluster.head_id
        assert {"6 users", "New pattern", "Rising"} <= {reason["text"] for reason in first.reasons}
        assert first.score == pytest.approx(sum(term["points"] for term in first.terms))
        assert all(task.score < first.score for task in others)

    def test_duplicates_of_what_has_a_label_wait_behind_unless_they_bring_something_new(
        self, project: Project, people: dict[str, User]
    ) -> None:
        Queue.objects.update(weights={"negative": 60})
        asked(project, "a")
        (task,) = routed(project)
        asked(project, "waits")
        routed(project)
        cast(project, people["reviewer"], task)
        cluster_counts.refresh()
        asked(project, "later")
        asked(project, "failed", status="error")
        routed(project)
        scores = dict(Task.objects.filter(state="open").values_list("interaction__external_id", "score"))
        assert scores["waits"] == scores["later"] == CAP
        assert scores["failed"] > CAP
        later = Task.objects.get(interaction__external_id="later")
        assert "Like what has a label" in str(later.terms)

    def test_users_and_trends_fade(self, project: Project) -> None:
        for number in range(4):
            asked(project, f"i{number}", user_id=f"u{number}")
        routed(project)
        ClusterMember.objects.filter(interaction__external_id__in=["i1", "i2"]).update(
            joined_at=Now() - timedelta(days=8)
        )
        Cluster.objects.update(newest_at=Now() - timedelta(hours=7))
        assert cluster_counts.refresh() == 0
        assert cluster_counts.refresh(window=cluster_counts.WINDOW) == 1
        assert Cluster.objects.get().users == 2

    def test_without_names_each_session_is_a_user(self, project: Project) -> None:
        for number in range(4):
            asked(project, f"i{number}", session_id=f"s{number // 2}")
        asked(project, "alone")
        routed(project)
        cluster_counts.refresh()
        assert Cluster.objects.get().users == 3


def test_an_item_that_is_erased_leaves_the_counts_right(project: Project) -> None:
    for number in range(3):
        asked(project, f"i{number}", user_id=f"u{number}")
    routed(project)
    Interaction.objects.get(external_id="i1").delete()
    cluster_counts.refresh()
    assert (Cluster.objects.get().size, Cluster.objects.get().users) == (2, 2)
