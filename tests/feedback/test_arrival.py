"""Transactions side by side end as if they had come one after the other; the orders are in test_orders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from feedback import services
from feedback.models import Feedback, Inbox, Interaction, Score
from projects.errors import ApiError
from projects.models import Project
from tests.factories import ProjectFactory
from tests.feedback.bodies import full_interaction, thumbs

SINGLE: dict[str, Callable[[Project, dict[str, Any]], Any]] = {
    "interaction": services.record_interaction,
    "feedback": services.record_feedback,
    "score": services.record_score,
}
BATCHED: dict[str, Callable[[Project, dict[str, Any]], Any]] = {
    "interaction": lambda project, item: services.record_interactions(project, [item, item]),
    "feedback": lambda project, item: services.record_feedback_batch(project, [item]),
    "score": lambda project, item: services.record_scores(project, [item, item]),
}


def side_by_side(*acts: Callable[[], Any]) -> list[Any]:
    """Runs the acts in threads that start at the same moment, each on a connection of its own."""
    barrier = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(place: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            results[place] = acts[place]()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


@pytest.mark.django_db(transaction=True)
class TestSideBySide:
    @pytest.fixture
    def project(self, transactional_db: None) -> Project:
        return ProjectFactory(slug="race")

    @pytest.mark.parametrize("doors", [SINGLE, BATCHED], ids=["single", "batched"])
    def test_feedback_and_interaction_at_one_moment_always_find_each_other(
        self, project: Project, doors: dict[str, Any]
    ) -> None:
        for n in range(25):
            item, vote = full_interaction(id=f"r{n}"), thumbs(interaction_id=f"r{n}")
            score = {"interaction_id": f"r{n}", "name": "tone", "value": 1}
            side_by_side(
                lambda item=item: doors["interaction"](project, item),
                lambda vote=vote: doors["feedback"](project, vote),
                lambda score=score: doors["score"](project, score),
            )
        assert Feedback.objects.filter(interaction=None).count() == 0
        assert Score.objects.filter(interaction=None).count() == 0
        assert Inbox.objects.filter(kind="feedback").count() == 50
        assert Inbox.objects.filter(kind="interaction").count() == 75

    def test_an_orphan_waits_for_an_interaction_that_is_being_stored(self, project: Project) -> None:
        """The gap itself: the interaction is stored but not committed while the feedback looks for it."""
        stored, finish = threading.Event(), threading.Event()

        def slow_interaction() -> None:
            with transaction.atomic():
                services.record_interaction(project, full_interaction(id="req-1"))
                stored.set()
                finish.wait(10)

        def feedback() -> Any:
            stored.wait(10)
            threading.Timer(0.2, finish.set).start()
            return services.record_feedback(project, thumbs())

        _, outcome = side_by_side(slow_interaction, feedback)
        assert outcome.linked

    def test_one_interaction_sent_by_eight_at_once_is_stored_once(self, project: Project) -> None:
        item = full_interaction()
        single = [lambda: services.record_interaction(project, item).status] * 5
        batches = [lambda: services.record_interactions(project, [item])[0].status] * 3
        statuses = side_by_side(*single, *batches)
        assert sorted(statuses) == [200] * 7 + [201]
        assert Interaction.objects.count() == 1

    def test_one_key_sent_by_eight_at_once_is_stored_once(self, project: Project) -> None:
        item = thumbs(key="k")
        acts = [lambda: services.record_feedback(project, item).created] * 6
        acts += [lambda: services.record_feedback_batch(project, [item])[0].status == 201] * 2
        assert sorted(side_by_side(*acts)) == [False] * 7 + [True]
        assert Feedback.objects.count() == 1

    def test_one_key_for_two_interactions_at_once_leaves_the_loser_untouched(self, project: Project) -> None:
        """The keys collide in different lock buckets: the loser must not have superseded its older vote."""
        for n in range(10):
            for name in ("a", "b"):
                services.record_feedback(project, thumbs("up", interaction_id=f"{name}{n}"))

            def vote(name: str, n: int = n) -> Any:
                try:
                    return services.record_feedback(project, thumbs("down", interaction_id=f"{name}{n}", key=f"k{n}"))
                except ApiError as error:
                    return error.error_code

            results = side_by_side(lambda vote=vote: vote("a"), lambda vote=vote: vote("b"))
            assert results.count("idempotency_mismatch") == 1
            assert (
                Feedback.objects.filter(superseded_at=None, interaction_external_id__in=[f"a{n}", f"b{n}"]).count() == 2
            )

    def test_of_many_votes_at_once_exactly_one_counts(self, project: Project) -> None:
        services.record_interaction(project, full_interaction(id="req-1"))
        items = [thumbs("up" if n % 2 else "down", comment=str(n)) for n in range(8)]
        acts = [lambda item=item: services.record_feedback(project, item) for item in items[:5]]
        acts += [lambda item=item: services.record_feedback_batch(project, [item]) for item in items[5:]]
        side_by_side(*acts)
        assert Feedback.objects.count() == 8
        assert Feedback.objects.filter(superseded_at=None).count() == 1

    def test_batches_that_share_ids_in_opposite_order_do_not_block_each_other_for_ever(self, project: Project) -> None:
        items = [full_interaction(id=f"x{n}") for n in range(200)]
        votes = [thumbs(interaction_id=f"x{n}", user_id=str(n)) for n in range(200)]
        side_by_side(
            lambda: services.record_interactions(project, items),
            lambda: services.record_interactions(project, items[::-1]),
            lambda: services.record_feedback_batch(project, votes),
            lambda: services.record_feedback_batch(project, votes[::-1]),
        )
        assert Interaction.objects.count() == 200
        assert Feedback.objects.filter(superseded_at=None, interaction__isnull=False).count() == 200
