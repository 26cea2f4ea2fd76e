"""One label for many: what it is given to, what it leaves alone, and taking it back."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from annotations import applying, claims, cluster_counts, labelling
from annotations.models import Annotation, Cluster, Label, Queue, Task
from feedback.models import Inbox, Interaction
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.annotations.flow import routed
from tests.annotations.test_clusters import asked
from tests.annotations.test_settlement import cast
from tests.conftest import Api


@pytest.fixture
def cluster(project: Project, people: dict[str, User]) -> Cluster:
    """Five complaints of one kind; the first is labelled as a fail by the reviewer."""
    for number in range(5):
        asked(project, f"i{number}", user_id=f"u{number}")
    tasks = routed(project)
    head = next(task for task in tasks if task.interaction.external_id == "i0")
    cast(project, people["reviewer"], head, note="Quotes the old list", desired_output="4.90", golden=True)
    return Cluster.objects.get()


def key(external_id: str) -> int:
    return Interaction.objects.get(external_id=external_id).pk


def current() -> dict[str, Label]:
    found = Label.objects.filter(superseded_at=None).select_related("interaction")
    return {label.interaction.external_id: label for label in found}


def test_each_gets_a_label_of_its_own_that_says_where_it_is_from(cluster: Cluster, people: dict[str, User]) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    before = Annotation.objects.count()
    done = applying.apply_label(actor=people["reviewer"], cluster=cluster, label=source, leave_out={key("i3")})
    assert (done.applied, done.left_out) == (3, 1)
    labels = current()
    assert set(labels) == {"i0", "i1", "i2", "i4"}
    given = labels["i2"]
    assert (given.verdict, given.primary_category, given.note) == ("fail", source.primary_category, source.note)
    assert (given.applied_from, given.settled_by, given.annotation_ids) == (source, source.settled_by, [])
    assert (given.desired_output, given.golden, given.spans) == ("", False, [])
    assert given.task is not None
    assert (given.task.state, given.task.interaction_id) == (Task.State.DONE, key("i2"))
    assert Task.objects.get(interaction=key("i3")).state == Task.State.OPEN
    assert Annotation.objects.count() == before
    assert Inbox.objects.filter(kind=Inbox.Kind.LABEL, object_id=given.pk).exists()
    assert AuditEntry.objects.get(action="label.applied").detail["count"] == 3
    cluster.refresh_from_db()
    assert cluster.reviewed == 4


def test_a_second_time_gives_nothing_twice(cluster: Cluster, people: dict[str, User]) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    applying.apply_label(actor=people["lead"], cluster=cluster, label=source)
    again = applying.apply_label(actor=people["lead"], cluster=cluster, label=source)
    assert (again.applied, Label.objects.count()) == (0, 5)


def test_what_needs_a_look_of_its_own_is_left_alone(
    cluster: Cluster, project: Project, people: dict[str, User]
) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    queue = Queue.objects.get(project=project, slug="negative-feedback")
    claim = claims.claim_next(user=people["lead"], queue=queue)
    assert claim is not None
    free = list(Task.objects.filter(state="open", taken=0).order_by("pk"))
    Task.objects.filter(pk=free[0].pk).update(sampled=True, inclusion_p=0.02)
    Task.objects.filter(pk=free[1].pk).update(needed=2)
    apart = applying.apart(cluster.memberships.values_list("interaction_id", flat=True))
    assert apart == {
        source.interaction_id: applying.HAS_LABEL, claim.task.interaction_id: applying.TAKEN,
        free[0].interaction_id: applying.SAMPLED, free[1].interaction_id: applying.SEVERAL,
    }  # fmt: skip
    applying.apply_label(actor=people["lead"], cluster=cluster, label=source)
    assert set(Label.objects.values_list("interaction_id", flat=True)) == {
        source.interaction_id,
        free[2].interaction_id,
    }


def test_one_action_takes_all_of_it_back(cluster: Cluster, people: dict[str, User]) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    applying.apply_label(actor=people["reviewer"], cluster=cluster, label=source)
    assert Task.objects.filter(state="open").count() == 0
    assert applying.take_back(actor=people["reviewer"], label=source) == 4
    assert set(current()) == {"i0"}
    assert Task.objects.filter(state="open", done_at=None).count() == 4
    assert applying.take_back(actor=people["reviewer"], label=source) == 0
    assert applying.apply_label(actor=people["reviewer"], cluster=cluster, label=source).applied == 4


def test_undoing_the_label_takes_back_what_was_given_from_it(
    cluster: Cluster, project: Project, people: dict[str, User]
) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    applying.apply_label(actor=people["reviewer"], cluster=cluster, label=source)
    assert labelling.undo(user=people["reviewer"], project=project) is not None
    assert current() == {}
    assert Task.objects.filter(state="open").count() == 5
    assert applying.source_of(cluster) is None


def test_reviewers_apply_only_what_rests_on_their_own_vote(cluster: Cluster, people: dict[str, User]) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    allowed = {role for role, user in people.items() if applying.may_apply(user, source)}
    assert allowed == {"reviewer", "lead", "admin"}
    with pytest.raises(ApiError) as refused:
        applying.apply_label(actor=people["engineer"], cluster=cluster, label=source)
    assert refused.value.status_code == 403
    with pytest.raises(ApiError):
        applying.take_back(actor=people["viewer"], label=source)


def test_what_no_longer_counts_or_is_of_another_cluster_is_refused(
    cluster: Cluster, project: Project, people: dict[str, User]
) -> None:
    source = applying.source_of(cluster)
    assert source is not None
    applying.apply_label(actor=people["lead"], cluster=cluster, label=source, leave_out={key("i3"), key("i4")})
    given = current()["i1"]
    with pytest.raises(ApiError) as refused:
        applying.apply_label(actor=people["lead"], cluster=cluster, label=given)
    assert refused.value.status_code == 409
    asked(project, "other", "Which documents do I need to open an account")
    routed(project)
    with pytest.raises(ApiError) as elsewhere:
        applying.apply_label(actor=people["lead"], cluster=Cluster.objects.latest("pk"), label=source)
    assert elsewhere.value.status_code == 422


class TestPages:
    def test_the_list_shows_patterns_and_no_single_items(
        self, cluster: Cluster, project: Project, browser_of: Callable[[str], Client]
    ) -> None:
        asked(project, "alone", "Which documents do I need to open an account")
        routed(project)
        cluster_counts.refresh()
        html = browser_of("viewer").get("/p/acme/clusters/").content.decode()
        assert "How long does a refund take" in html
        assert "Which documents" not in html
        assert '<td class="r">1</td><td class="r">100' in html

    def test_an_empty_list_says_what_would_be_here(self, project: Project, browser_of: Callable[[str], Client]) -> None:
        assert "No clusters yet" in browser_of("viewer").get("/p/acme/clusters/").content.decode()

    def test_ticked_ones_get_the_label_and_others_do_not(
        self, cluster: Cluster, browser_of: Callable[[str], Client]
    ) -> None:
        lead = browser_of("lead")
        page = lead.get(f"/p/acme/clusters/{cluster.pk}/").content.decode()
        assert page.count('name="take"') == 4
        answer = lead.post(f"/p/acme/clusters/{cluster.pk}/apply/", {"take": [key("i1"), key("i2")]}, follow=True)
        assert "2 got the label" in answer.content.decode()
        assert set(current()) == {"i0", "i1", "i2"}
        source = current()["i0"]
        undone = lead.post(f"/p/acme/clusters/{cluster.pk}/take-back/", {"label": source.pk}, follow=True)
        assert "2 labels taken back" in undone.content.decode()
        assert set(current()) == {"i0"}

    def test_who_may_not_apply_sees_no_boxes_and_is_refused(
        self, cluster: Cluster, browser_of: Callable[[str], Client]
    ) -> None:
        engineer = browser_of("engineer")
        assert 'name="take"' not in engineer.get(f"/p/acme/clusters/{cluster.pk}/").content.decode()
        engineer.post(f"/p/acme/clusters/{cluster.pk}/apply/", {"take": [key("i1")]})
        assert set(current()) == {"i0"}

    def test_hostile_words_are_text(self, project: Project, browser_of: Callable[[str], Client]) -> None:
        hostile = "<script>alert(1)</script> & some more words \u202e here"
        asked(project, "a", hostile, hostile)
        asked(project, "b", f"{hostile} <b>too</b>", hostile)
        routed(project)
        lead = browser_of("lead")
        pages = (
            lead.get("/p/acme/clusters/").content + lead.get(f"/p/acme/clusters/{Cluster.objects.get().pk}/").content
        )
        assert b"<script>alert" not in pages
        assert b"<b>too" not in pages
        assert "\u202e" not in pages.decode()

    @pytest.mark.parametrize("address", ["", "{pk}/"])
    def test_more_members_take_no_more_queries(
        self, cluster: Cluster, project: Project, browser_of: Callable[[str], Client],
        django_assert_max_num_queries: Callable[..., object], address: str,
    ) -> None:  # fmt: skip
        for number in range(20):
            asked(project, f"more{number}")
        routed(project)
        lead = browser_of("lead")
        with django_assert_max_num_queries(16):  # type: ignore[attr-defined]
            assert lead.get(f"/p/acme/clusters/{address.format(pk=cluster.pk)}").status_code == 200

    def test_numbers_that_are_none_are_refused(self, cluster: Cluster, browser_of: Callable[[str], Client]) -> None:
        lead = browser_of("lead")
        assert lead.post(f"/p/acme/clusters/{cluster.pk}/apply/", {"take": ["x"]}).status_code == 400
        assert lead.post(f"/p/acme/clusters/{cluster.pk}/take-back/", {"label": "9" * 30}).status_code in {400, 404}


class TestApi:
    def test_clusters_are_listed_and_labelled(self, cluster: Cluster, sk: Api) -> None:
        cluster_counts.refresh()
        status, body = sk.get("/api/v1/clusters")
        assert status == 200
        (row,) = body["results"]
        assert (row["size"], row["users"], row["reviewed"], row["failing"]) == (5, 5, 1, 1.0)
        assert row["head"] == "i0"
        address = f"/api/v1/clusters/{row['id']}/apply"
        status, body = sk.post(address, {"leave_out": ["i4"]})
        assert (status, body["applied"], body["left_out"]) == (200, 3, 1)
        status, body = sk.call("DELETE", address)
        assert (status, body) == (200, {"taken_back": 3})

    def test_faults_are_named(self, cluster: Cluster, sk: Api) -> None:
        address = f"/api/v1/clusters/{cluster.pk}/apply"
        assert sk.post(address, {"leave_out": ["nobody"]})[0] == 422
        assert sk.post(address, {"leave_out": "i4"})[0] == 422
        assert sk.post(address, {"else": 1})[0] == 422
        assert sk.post("/api/v1/clusters/0/apply", {})[0] == 404
        assert set(current()) == {"i0"}


def test_how_many_could_take_a_label_is_known_to_those_who_may_give_it(
    cluster: Cluster, people: dict[str, User]
) -> None:
    first = cluster.head
    assert applying.could_take(people["reviewer"], first) == (cluster.pk, 4)
    assert applying.could_take(people["lead"], first) == (cluster.pk, 4)
    assert applying.could_take(people["engineer"], first) is None  # it rests on no vote of theirs
    source = applying.source_of(cluster)
    assert source is not None
    applying.apply_label(actor=people["lead"], cluster=cluster, label=source)
    assert applying.could_take(people["lead"], first) is None


def test_saving_behind_the_next_item_says_how_many_are_like_it(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    for name in ("a", "b", "c"):
        asked(project, name)
    routed(project)
    task = Task.objects.get(interaction=key("a"))
    claim = claims.hold(user=people["reviewer"], task=task)
    assert claim is not None
    form = {"verdict": "fail", "note": "wrong", "submission_id": str(uuid.uuid4()), "behind": "1"}
    answer = browser_of("reviewer").post(f"/p/acme/claims/{claim.token}/label/", form, headers={"HX-Request": "true"})
    said = answer.json()
    assert said["like"] == 2
    assert said["like_page"] == f"/p/acme/clusters/{Cluster.objects.get().pk}/"
    assert browser_of("reviewer").get(said["like_page"]).status_code == 200
