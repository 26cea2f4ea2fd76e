"""What happened is told to those who listen: signed, at least once, and on a schedule."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from projects import deliveries, outbound, webhooks
from projects.models import AuditEntry, Delivery, Project, User, Webhook
from tests.fakes.receiver import FakeReceiver
from tests.fakes.server import Answer


@pytest.fixture(autouse=True)
def _fresh_memory() -> Iterator[None]:
    webhooks.forget()
    yield
    webhooks.forget()


@pytest.fixture
def hook(project: Project, receiver: FakeReceiver) -> Webhook:
    return webhooks.create(project, url=receiver.url, events=["label.settled"], actor=None)[0]


def emit(project: Project, **payload: Any) -> None:
    webhooks.emit(project, "label.settled", payload or {"label": 7})


def make_due() -> None:
    Delivery.objects.filter(delivered_at=None, dead_at=None).update(next_attempt_at=Now())


def test_the_signature_is_that_of_the_published_test_vector() -> None:
    """From the reference libraries: standard-webhooks/standard-webhooks, libraries/*/tests."""
    signature = webhooks.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_shorter_than_the_specification_asks_is_refused() -> None:
    short = "whsec_" + base64.b64encode(b"x" * 23).decode()
    with pytest.raises(ValueError):
        webhooks.sign(short, message_id="m", timestamp=1, body=b"")


def test_new_secrets_differ_and_are_long_enough() -> None:
    one, other = webhooks.new_secret(), webhooks.new_secret()
    assert one != other
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32


def test_an_event_reaches_the_receiver_with_a_signature_that_verifies(project: Project, receiver: FakeReceiver) -> None:
    _, secret = webhooks.create(project, url=receiver.url, events=["label.settled"], actor=None)
    emit(project, label=7)
    assert deliveries.deliver_due() == 1
    request = receiver.requests[0]
    body = json.loads(request.body)
    assert (body["type"], body["data"]) == ("label.settled", {"label": 7})
    message_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert abs(time.time() - int(timestamp)) < 60
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.new(key, f"{message_id}.{timestamp}.".encode() + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    delivery = Delivery.objects.get()
    assert (delivery.last_status, delivery.last_error, delivery.dead_at) == (204, "", None)
    assert delivery.delivered_at is not None
    assert deliveries.deliver_due() == 0


def test_only_those_who_listen_are_told(project: Project, other_project: Project, hook: Webhook) -> None:
    webhooks.emit(project, "task.created", {"task": 1})
    webhooks.emit(other_project, "label.settled", {"label": 1})
    assert not Delivery.objects.exists()
    emit(project)
    assert Delivery.objects.get().webhook == hook


def test_an_unknown_event_is_a_mistake_of_the_programmer(project: Project) -> None:
    with pytest.raises(ValueError):
        webhooks.emit(project, "label.setled", {})


def test_an_event_that_is_rolled_back_is_never_told(project: Project, hook: Webhook) -> None:
    with transaction.atomic():
        emit(project)
        transaction.set_rollback(True)
    assert deliveries.deliver_due() == 0


def test_a_project_without_webhooks_pays_one_query_in_two_seconds(
    project: Project, django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(1):
        for _ in range(5):
            emit(project)


def test_a_new_webhook_hears_within_seconds_even_in_other_processes(
    project: Project, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit(project)  # this process now remembers that nobody listens
    remembered = dict(webhooks._wanted)
    webhooks.create(project, url=receiver.url, events=["label.settled"], actor=None)
    webhooks._wanted.update(remembered)  # as another process would
    emit(project)
    assert Delivery.objects.count() == 0
    later = time.monotonic() + webhooks.CACHE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    emit(project)
    assert Delivery.objects.count() == 1


def test_a_failing_receiver_is_tried_on_the_schedule_of_the_specification_and_then_given_up(
    project: Project, hook: Webhook, receiver: FakeReceiver
) -> None:
    receiver.script(*[Answer(500)] * 20)
    emit(project)
    pauses = []
    for _ in range(deliveries.TRIES):
        make_due()
        assert deliveries.deliver_due() == 1
        delivery = Delivery.objects.annotate(now=Now()).get()
        pauses.append((delivery.next_attempt_at - delivery.now).total_seconds())
    wanted = [5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600]
    assert [0.95 * want <= pause <= 1.1 * want for want, pause in zip(wanted, pauses[:-1], strict=True)] == [True] * 9
    assert delivery.dead_at is not None
    assert delivery.last_error == "The receiver answered 500."
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1
    make_due()
    assert deliveries.deliver_due() == 0


def test_nothing_is_sent_before_its_time(project: Project, hook: Webhook, receiver: FakeReceiver) -> None:
    receiver.script(Answer(503))
    emit(project)
    deliveries.deliver_all()
    assert len(receiver.requests) == 1


def test_a_redirect_is_a_failure_and_is_not_followed(project: Project, hook: Webhook, receiver: FakeReceiver) -> None:
    receiver.script(Answer(301, b"", {"Location": receiver.url + "elsewhere"}))
    emit(project)
    deliveries.deliver_due()
    delivery = Delivery.objects.get()
    assert (delivery.delivered_at, delivery.dead_at, len(receiver.requests)) == (None, None, 1)
    assert "redirect" in delivery.last_error


def test_a_receiver_that_is_gone_is_switched_off(project: Project, hook: Webhook, receiver: FakeReceiver) -> None:
    receiver.script(Answer(410))
    emit(project, label=1)
    deliveries.deliver_due(limit=1)
    hook.refresh_from_db()
    assert (hook.enabled, hook.disabled_reason) == (False, "The receiver answered 410 Gone.")
    assert Delivery.objects.get().dead_at is not None
    assert AuditEntry.objects.filter(action="webhook.disabled").exists()
    webhooks.forget()
    emit(project, label=2)
    assert Delivery.objects.count() == 1


def test_a_refused_address_says_so_in_the_log(project: Project) -> None:
    webhooks.create(project, url="https://127.0.0.1/hook", events=["label.settled"], actor=None)
    emit(project)
    deliveries.deliver_due()
    assert "not public" in Delivery.objects.get().last_error


def test_a_webhook_whose_address_was_changed_behind_its_back_sends_nothing(
    project: Project, hook: Webhook, receiver: FakeReceiver
) -> None:
    Webhook.objects.filter(pk=hook.pk).update(url=receiver.url.replace("http://", "https://"))
    emit(project)
    deliveries.deliver_due()
    assert receiver.requests == []
    assert "cannot be read" in Delivery.objects.get().last_error


def test_a_delivery_that_another_worker_holds_is_left_alone(project: Project, hook: Webhook) -> None:
    emit(project)
    Delivery.objects.update(leased_until=Now() + timedelta(seconds=30))
    assert deliveries.deliver_due() == 0


def test_a_worker_that_woke_up_too_late_changes_nothing(
    project: Project, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steal(*args: Any, **kwargs: Any) -> outbound.Answer:
        return outbound.Answer(500, b"", {})

    monkeypatch.setattr(outbound, "post", steal)
    emit(project)
    real = deliveries._record

    def late(delivery: Delivery, attempt: deliveries.Attempt) -> None:
        Delivery.objects.update(fence=delivery.fence + 1, delivered_at=Now())
        real(delivery, attempt)

    monkeypatch.setattr(deliveries, "_record", late)
    deliveries.deliver_due()
    delivery = Delivery.objects.get()
    assert delivery.delivered_at is not None
    assert delivery.last_status is None


def test_replaying_sends_the_same_message_again(project: Project, hook: Webhook, receiver: FakeReceiver) -> None:
    emit(project)
    deliveries.deliver_due()
    assert deliveries.replay(Delivery.objects.get())
    deliveries.deliver_due()
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    Delivery.objects.update(delivered_at=None)
    assert not deliveries.replay(Delivery.objects.get()), "it is still on its way"
    webhooks.disable(hook, reason="off", actor=None)
    assert not deliveries.replay(Delivery.objects.get()), "nobody would hear it"


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_receiver_takes_its_time(
    hook: Webhook, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = connections["default"]  # messages are sent from threads, which have connections of their own
    open_then = []

    def post(*args: Any, **kwargs: Any) -> outbound.Answer:
        open_then.append(ours.in_atomic_block)
        return outbound.Answer(204, b"", {})

    monkeypatch.setattr(outbound, "post", post)
    emit(project)
    deliveries.deliver_due()
    assert open_then == [False]


def test_half_of_all_answers_fail_and_nothing_is_lost(project: Project, hook: Webhook, receiver: FakeReceiver) -> None:
    receiver.script(*[Answer(500 if number % 2 else 204) for number in range(80)])
    for number in range(40):
        emit(project, label=number)
    for _ in range(deliveries.TRIES):
        make_due()
        deliveries.deliver_all()
    assert Delivery.objects.filter(delivered_at__isnull=False).count() == 40
    told = {json.loads(request.body)["data"]["label"] for request in receiver.requests}
    assert told == set(range(40))


# The pages


def test_an_admin_makes_a_webhook_and_sees_its_secret_this_once(browser_of: Callable[[str], Client]) -> None:
    admin = browser_of("admin")
    body = {"url": "https://hooks.example.com/in", "events": ["alert.opened", "alert.closed"]}
    answer = admin.post("/p/acme/webhooks/", body)
    webhook = Webhook.objects.get()
    assert answer.status_code == 201
    assert webhooks.secret_of(webhook) in answer.content.decode()
    assert webhook.events == ["alert.closed", "alert.opened"]
    assert "whsec_" not in admin.get("/p/acme/webhooks/").content.decode()
    assert AuditEntry.objects.filter(action="webhook.created").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://hooks.example.com/in"},
        {"url": "https://127.0.0.1/in"},
        {"url": "https://user:pass@hooks.example.com/"},
        {"url": "javascript:alert(1)"},
        {"events": ["label.unsettled"]},
        {"events": []},
    ],
)
def test_a_webhook_that_could_not_work_is_refused(browser_of: Callable[[str], Client], wrong: dict[str, Any]) -> None:
    body = {"url": "https://hooks.example.com/in", "events": ["alert.opened"], **wrong}
    answer = browser_of("admin").post("/p/acme/webhooks/", body)
    assert answer.status_code == 422
    assert not Webhook.objects.exists()


def test_a_webhook_is_switched_off_and_on_and_removed(browser_of: Callable[[str], Client], hook: Webhook) -> None:
    admin = browser_of("admin")
    emit(hook.project)
    for verb, enabled in (("disable", False), ("enable", True)):
        assert admin.post(f"/p/acme/webhooks/{hook.pk}/{verb}/").status_code == 302
        hook.refresh_from_db()
        assert hook.enabled is enabled
    assert Delivery.objects.get().dead_at is not None
    assert admin.post(f"/p/acme/webhooks/{hook.pk}/remove/").status_code == 302
    assert not Webhook.objects.exists()


def test_a_test_message_is_sent_and_a_delivery_replayed_from_the_page(
    browser_of: Callable[[str], Client], hook: Webhook, receiver: FakeReceiver
) -> None:
    admin = browser_of("admin")
    admin.post(f"/p/acme/webhooks/{hook.pk}/test/")
    deliveries.deliver_due()
    delivery = Delivery.objects.get()
    assert delivery.event == "webhook.test"
    assert "delivered" in admin.get("/p/acme/webhooks/").content.decode()
    assert admin.post(f"/p/acme/webhooks/deliveries/{delivery.pk}/replay/").status_code == 302
    deliveries.deliver_due()
    assert len(receiver.requests) == 2


def test_a_foreign_webhook_does_not_exist(
    browser_of: Callable[[str], Client], other_project: Project, people: dict[str, User]
) -> None:
    foreign, _ = webhooks.create(other_project, url="https://h.example.com/", events=["label.settled"], actor=None)
    webhooks.send_test(foreign)
    admin = browser_of("admin")
    for verb in ("disable", "enable", "remove", "test"):
        assert admin.post(f"/p/acme/webhooks/{foreign.pk}/{verb}/").status_code == 404
    assert admin.post(f"/p/acme/webhooks/deliveries/{Delivery.objects.get().pk}/replay/").status_code == 404


def test_the_page_costs_the_same_for_one_and_for_many_deliveries(
    browser_of: Callable[[str], Client], project: Project, hook: Webhook
) -> None:
    admin = browser_of("admin")
    counts = []
    for _ in range(2):
        for _ in range(5):
            emit(project)
        webhooks.create(project, url="https://h.example.com/", events=["alert.opened"], actor=None)
        with CaptureQueriesContext(connection) as queries:
            assert admin.get("/p/acme/webhooks/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
