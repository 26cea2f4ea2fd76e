"""The browser's door: tokens that vouch, limits that hold, the beacon, and the widget's script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from reviewhub_client import interaction_token

from feedback import limits, tokens
from feedback.models import Feedback
from projects import keys
from projects import services as projects
from projects.models import ApiKey, Project, RateCounter
from projects.secrets import place, seal
from tests import token_vector as vector
from tests.conftest import Api
from tests.feedback.bodies import interaction, thumbs

URL, BEACON = "/api/v1/feedback", "/api/v1/feedback/beacon"
ORIGIN = {"Origin": "https://chat.example.com"}
HOUR = 3600


def secret_of(project: Project) -> tuple[ApiKey, str]:
    return keys.create_key(project=project, kind="sk", name="backend", scopes=["ingest"])


@pytest.fixture
def backend(project: Project) -> str:
    """The secret key with which the chat's backend signs."""
    return secret_of(project)[1]


def only() -> Feedback:
    return Feedback.objects.get()


def forged(text: str, **payload: Any) -> str:
    """A token with any payload, rightly signed with the secret key ``text``."""
    body = {"k": text[6:16], "i": "req-1", "iat": int(time.time()), "exp": int(time.time()) + HOUR, **payload}
    signed = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=")
    mac = hmac.digest(keys.signing_secret(text), signed, hashlib.sha256)
    return f"{signed.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


class TestTokens:
    def send(self, pk: Api, token: str, **changes: Any) -> tuple[int, Any]:
        return pk.post(URL, thumbs(**changes), **ORIGIN, **{"X-Interaction-Token": token})

    def test_a_good_token_makes_the_feedback_verified(self, pk: Api, backend: str) -> None:
        assert self.send(pk, interaction_token(backend, "req-1", "u-1"))[0] == 201
        assert (only().source, only().verified, only().end_user_id) == ("browser", True, "u-1")

    @pytest.mark.parametrize("user", ["u-real", None])
    def test_the_user_of_the_token_wins(self, user: str | None, pk: Api, backend: str) -> None:
        """A page could name anybody; one token must not be worth a hundred verified votes."""
        self.send(pk, interaction_token(backend, "req-1", user), user_id="somebody-else")
        assert only().end_user_id == (user or "")

    def test_a_verified_vote_displaces_one_that_is_not(self, pk: Api, backend: str) -> None:
        pk.post(URL, thumbs("up"), **ORIGIN)
        self.send(pk, interaction_token(backend, "req-1", "u-1"), value="down")
        assert Feedback.objects.get(superseded_at=None).number == -1

    def test_a_page_with_a_token_cannot_occupy_a_servers_key_either(self, pk: Api, sk: Api, backend: str) -> None:
        assert self.send(pk, interaction_token(backend, "req-1", "u-1"), key="order-7")[0] == 201
        assert sk.post(URL, thumbs("down", key="order-7"))[0] == 201

    def test_the_answer_is_the_same_with_and_without_a_token(self, pk: Api, sk: Api, backend: str) -> None:
        sk.post("/api/v1/interactions", interaction())
        known = self.send(pk, interaction_token(backend, "req-1"))
        unknown = self.send(pk, interaction_token(backend, "req-nowhere"), interaction_id="req-nowhere")
        assert known == unknown == pk.post(URL, thumbs(), **ORIGIN)

    def test_the_server_reads_what_the_client_signs(self, project: Project) -> None:
        text = vector.SECRET_KEY
        public_id = text[6:16]
        ApiKey.objects.create(
            project=project, kind="sk", name="known", public_id=public_id,
            digest=hashlib.sha256(text.encode()).digest(),
            signing_sealed=seal(keys.signing_secret(text).hex(), place("signing", project.pk, f"key://{public_id}")),
        )  # fmt: skip
        claims = tokens.verify(project, vector.TOKEN, vector.INTERACTION, now=vector.ISSUED_AT + 10)
        assert claims == tokens.Claims(vector.INTERACTION, vector.USER)

    def test_the_hubs_own_pages_sign_alike(self, project: Project) -> None:
        key, _ = secret_of(project)
        assert tokens.verify(project, tokens.sign(key, "req-ü", user_id="u"), "req-ü") == tokens.Claims("req-ü", "u")

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda text: interaction_token(text, "req-2"), "another interaction"),
            (lambda text: interaction_token(text, "req-1", now=time.time() - 2 * HOUR), "expired"),
            (lambda text: interaction_token(text, "req-1", now=time.time() + HOUR), "in the future"),
            (lambda text: forged(text, exp=int(time.time()) + 25 * HOUR), "24 hours"),
            (lambda text: forged(text, exp=int(time.time()) - 10 * HOUR), "24 hours"),
            (lambda text: forged(text, exp="tomorrow"), "24 hours"),
            (lambda text: forged(text, exp=float("inf")), "24 hours"),
            (lambda text: interaction_token(text, "req-1")[:-3], "does not fit"),
            (lambda text: interaction_token(text, "req-1")[:-23], "does not fit"),
            (lambda text: interaction_token(text, "req-1").split(".")[0] + ".", "does not fit"),
            (lambda text: interaction_token(text, "req-1").split(".")[0], "payload.signature"),
            (lambda text: forged(text, alg="none").split(".")[0] + "." + "A" * 43, "does not fit"),
            (lambda text: "eyJhbGciOiJub25lIn0." + forged(text), "cannot be read"),
            (lambda text: interaction_token(text[:20] + "x" * 39, "req-1"), "does not fit"),
            (lambda text: forged(text, k="\0" * 10), "does not name"),
            (lambda text: forged(text, k="\ud800" * 10), "does not name"),
            (lambda text: forged(text, k=7), "does not name"),
            (lambda text: forged(text, k="Unknown000"), "does not fit"),
            (lambda text: "W10." + "A" * 43, "cannot be read"),
            (lambda text: "W" * 9_000 + ".A", "payload.signature"),
            (lambda text: "[" * 3_000 + ".A", "cannot be read"),
            (lambda text: "", "payload.signature"),
        ],
    )
    def test_any_other_token_is_refused_with_the_reason(
        self, make: Callable[[str], str], reason: str, pk: Api, backend: str
    ) -> None:
        status, body = self.send(pk, make(backend))
        assert (status, body["error"]["code"]) == (401, "invalid_token")
        assert reason in body["error"]["message"]
        assert not Feedback.objects.exists()

    def test_a_token_of_another_project_is_refused(self, pk: Api, other_project: Project) -> None:
        assert self.send(pk, interaction_token(secret_of(other_project)[1], "req-1"))[0] == 401

    def test_a_token_ends_with_the_key_that_signed_it(self, pk: Api, project: Project) -> None:
        key, text = keys.create_key(project=project, kind="sk", name="old", expires_in=timedelta(hours=1))
        assert self.send(pk, interaction_token(text, "req-1", "u-1"))[0] == 201
        ApiKey.objects.filter(pk=key.pk).update(expires_at=Now())
        assert self.send(pk, interaction_token(text, "req-1", "u-2"))[0] == 401

    def test_two_keys_overlap_while_one_is_replaced(self, pk: Api, project: Project) -> None:
        (old, old_text), (_, new_text) = secret_of(project), secret_of(project)
        for place_, text in enumerate((old_text, new_text)):
            assert self.send(pk, interaction_token(text, "req-1", f"u-{place_}"))[0] == 201
        projects.revoke_key(old, actor=None)
        assert self.send(pk, interaction_token(old_text, "req-1", "u-3"))[0] == 401
        assert self.send(pk, interaction_token(new_text, "req-1", "u-4"))[0] == 201

    def test_a_token_signed_by_a_publishable_key_is_refused(self, pk: Api, project: Project) -> None:
        _, text = keys.create_key(project=project, kind="pk", name="p", origins=[])
        assert self.send(pk, forged(text))[0] == 401

    def test_a_user_whom_nothing_can_store_is_a_fault_of_the_token(self, pk: Api, backend: str) -> None:
        assert self.send(pk, forged(backend, u="a\0b"))[0] == 422
        assert self.send(pk, forged(backend, u="x" * 201))[0] == 422

    def test_servers_need_no_token(self, sk: Api) -> None:
        assert sk.post(URL, thumbs(), **{"X-Interaction-Token": "nonsense"})[0] == 201
        assert only().verified is True


class TestPolicies:
    @pytest.fixture
    def choose(self, project: Project, browser_of: Callable[[str], Client]) -> Callable[[str], None]:
        """Chooses a policy on the settings page."""

        def save(policy: str) -> None:
            body = {"name": project.name, "owner": "", "token_policy": policy}
            assert browser_of("admin").post("/p/acme/settings/", body).status_code == 302

        return save

    def test_required_means_that_nothing_else_is_stored(
        self, choose: Callable[[str], None], pk: Api, sk: Api, backend: str
    ) -> None:
        choose("require")
        status, body = pk.post(URL, thumbs(), **ORIGIN)
        assert (status, body["error"]["code"]) == (401, "token_required")
        assert "X-Interaction-Token" in body["error"]["message"]
        leaving = json.dumps({"key": pk.headers["Authorization"].removeprefix("Bearer "), "feedback": thumbs()})
        assert Client().post(BEACON, leaving, content_type="text/plain", headers=ORIGIN).status_code == 401
        assert pk.post(URL, thumbs(), **ORIGIN, **{"X-Interaction-Token": "e30.AAAA"})[0] == 401
        assert not Feedback.objects.exists()
        token = {"X-Interaction-Token": interaction_token(backend, "req-1")}
        assert pk.post(URL, thumbs(), **ORIGIN, **token)[0] == 201
        assert sk.post(URL, thumbs())[0] == 201
        assert set(Feedback.objects.values_list("verified", flat=True)) == {True}

    def test_the_page_may_read_the_refusal(self, choose: Callable[[str], None], pk: Api) -> None:
        choose("require")
        response = pk.client.post(URL, thumbs(), content_type="application/json", headers={**pk.headers, **ORIGIN})
        assert response.status_code == 401
        assert response["Access-Control-Allow-Origin"] == ORIGIN["Origin"]

    def test_preferred_keeps_both_apart(self, choose: Callable[[str], None], pk: Api, backend: str) -> None:
        choose("prefer")
        pk.post(URL, thumbs(user_id="u-0"), **ORIGIN)
        pk.post(URL, thumbs(), **ORIGIN, **{"X-Interaction-Token": interaction_token(backend, "req-1", "u-1")})
        assert dict(Feedback.objects.values_list("end_user_id", "verified")) == {"u-0": False, "u-1": True}

    def test_off_means_that_no_token_is_looked_at(self, choose: Callable[[str], None], pk: Api, backend: str) -> None:
        choose("off")
        for place_, token in enumerate((interaction_token(backend, "req-1", "u-1"), "nonsense")):
            sent = thumbs(user_id=f"said-{place_}")
            assert pk.post(URL, sent, **ORIGIN, **{"X-Interaction-Token": token})[0] == 201
        assert dict(Feedback.objects.values_list("end_user_id", "verified")) == {"said-0": False, "said-1": False}


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten by key, four by interaction, within a day."""
    monkeypatch.setattr(limits, "BROWSER_WINDOW_SECONDS", 86_400)
    monkeypatch.setattr(limits, "BROWSER_KEY_REQUESTS", 10)
    monkeypatch.setattr(limits, "BROWSER_INTERACTION_REQUESTS", 4)


@pytest.mark.usefixtures("small_limits")
class TestLimits:
    def test_one_key_is_limited_over_all_interactions(self, pk: Api) -> None:
        sent = [pk.post(URL, thumbs(interaction_id=f"r-{n}"), **ORIGIN) for n in range(11)]
        assert [status for status, _ in sent] == [201] * 10 + [429]
        assert sent[-1][1]["error"]["code"] == "rate_limited"

    def test_one_interaction_is_limited(self, pk: Api) -> None:
        assert [pk.post(URL, thumbs(), **ORIGIN)[0] for _ in range(5)] == [201] * 4 + [429]
        assert pk.post(URL, thumbs(interaction_id="r-2"), **ORIGIN)[0] == 201

    def test_the_refusal_says_when_to_come_again_and_the_page_may_read_it(self, pk: Api) -> None:
        for _ in range(4):
            pk.post(URL, thumbs(), **ORIGIN)
        response = pk.client.post(URL, thumbs(), content_type="application/json", headers={**pk.headers, **ORIGIN})
        assert response.status_code == 429
        assert 0 < int(response["Retry-After"]) <= 86_400
        assert response["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert response["Access-Control-Expose-Headers"] == "Retry-After"

    def test_a_flood_without_tokens_keeps_out_nobody_who_has_one(self, pk: Api, backend: str) -> None:
        for n in range(12):
            pk.post(URL, thumbs(interaction_id=f"r-{n}" if n else "req-1"), **ORIGIN)
        token = {"X-Interaction-Token": interaction_token(backend, "req-1", "u-1")}
        assert [pk.post(URL, thumbs(), **ORIGIN, **token)[0] for _ in range(5)] == [201] * 4 + [429]

    def test_guessing_at_tokens_is_limited(self, pk: Api) -> None:
        token = {"X-Interaction-Token": "e30.AAAA"}
        assert [pk.post(URL, thumbs(), **ORIGIN, **token)[0] for _ in range(11)] == [401] * 10 + [429]

    def test_one_visitor_is_limited_over_all_keys_and_interactions(
        self, pk: Api, project: Project, backend: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "BROWSER_ADDRESS_REQUESTS", 3)
        second = Api(keys.create_key(project=project, kind="pk", name="two", origins=[ORIGIN["Origin"]])[1])
        sent = [api.post(URL, thumbs(interaction_id=f"r-{n}"), **ORIGIN) for n, api in enumerate([pk, second] * 2)]
        assert [status for status, _ in sent] == [201] * 3 + [429]
        elsewhere = Client(REMOTE_ADDR="203.0.113.9")
        send = {"content_type": "application/json", "headers": {**pk.headers, **ORIGIN}}
        assert elsewhere.post(URL, thumbs(interaction_id="r-9"), **send).status_code == 201
        token = {"X-Interaction-Token": interaction_token(backend, "req-1", "u-1")}
        assert pk.post(URL, thumbs(), **ORIGIN, **token)[0] == 201

    def test_no_address_is_stored(self, pk: Api) -> None:
        client = Client(REMOTE_ADDR="203.0.113.9")
        client.post(URL, thumbs(), content_type="application/json", headers={**pk.headers, **ORIGIN})
        client.post("/login/", {"username": "a@example.com", "password": "x"})
        names = list(RateCounter.objects.values_list("key", flat=True))
        assert len([name for name in names if name.startswith(("feedback:from:", "sign-in-from:"))]) == 2
        plain = hashlib.sha256(b"203.0.113.9").hexdigest()
        assert [name for name in names if "203.0.113" in name or plain in name] == []

    def test_secret_keys_are_not_limited_and_do_not_pay_for_it(self, sk: Api) -> None:
        with CaptureQueriesContext(
            connection,
        ) as said:
            assert {sk.post(URL, thumbs(key=f"k{n}"))[0] for n in range(15)} == {201}
        assert [query for query in said.captured_queries if "ratecounter" in query["sql"]] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_limits")
def test_of_many_at_once_exactly_as_many_as_allowed_are_taken(pk: Api) -> None:
    def send(number: int) -> int:
        try:
            client = Client()
            body = json.dumps(thumbs(interaction_id=f"r-{number}"))
            return client.post(URL, body, content_type="application/json", headers={**pk.headers, **ORIGIN}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(send, range(60)))
    assert (answers.count(201), answers.count(429)) == (10, 50)
    assert Feedback.objects.count() == 10


class TestBeacon:
    def key_of(self, api: Api) -> str:
        return api.headers["Authorization"].removeprefix("Bearer ")

    def send(self, body: Any, origin: str | None = ORIGIN["Origin"], content_type: str = "text/plain") -> Any:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Origin": origin} if origin else {}
        return Client().post(BEACON, text, content_type=content_type, headers=headers)

    def test_what_is_sent_while_leaving_is_stored_like_any_other(self, pk: Api, backend: str) -> None:
        body = {"key": self.key_of(pk), "feedback": thumbs(key="b-1")}
        assert (self.send(body).status_code, self.send(body).status_code) == (204, 204)
        assert (only().source, only().verified) == ("browser", False)
        token = interaction_token(backend, "req-1", "u-9")
        assert self.send({**body, "token": token, "feedback": thumbs("up")}).status_code == 204
        assert Feedback.objects.get(end_user_id="u-9").verified

    def test_the_beacon_and_the_queue_together_count_once(self, pk: Api, backend: str) -> None:
        token = interaction_token(backend, "req-1", "u-1")
        self.send({"key": self.key_of(pk), "token": token, "feedback": thumbs(key="b-1")})
        assert pk.post(URL, thumbs(key="b-1"), **ORIGIN, **{"X-Interaction-Token": token})[0] == 200
        assert Feedback.objects.count() == 1

    @pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "https://chat.example.com.evil.io"])
    def test_other_origins_are_refused(self, origin: str | None, pk: Api) -> None:
        assert self.send({"key": self.key_of(pk), "feedback": thumbs()}, origin).status_code == 403

    def test_other_keys_are_refused(self, sk: Api, token_of: Callable[[str], Api]) -> None:
        for api in (sk, token_of("admin")):
            assert self.send({"key": self.key_of(api), "feedback": thumbs()}).status_code == 403
        for key in ("rh_pk_0000000000" + "x" * 43, "", "rh_pk_\0", "rh_pk_é", 7, None, ["rh_pk_"]):
            response = self.send({"key": key, "feedback": thumbs()})
            assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthenticated")
        assert not Feedback.objects.exists()

    def test_a_session_is_not_a_key(self, browser_of: Callable[[str], Client]) -> None:
        body = json.dumps({"feedback": thumbs()})
        assert browser_of("admin").post(BEACON, body, content_type="text/plain", headers=ORIGIN).status_code == 401

    def test_what_does_not_fit_is_refused(self, pk: Api) -> None:
        key = self.key_of(pk)
        for body, status in (
            (b"no json", 400), (b"[]", 422), ({"key": key}, 422), ({"key": key, "feedback": []}, 422),
            ({"key": key, "feedback": {}}, 422), ({"key": key, "feedback": thumbs(), "token": 7}, 422),
            ({"key": key, "feedback": thumbs(), "token": "x"}, 401), ({"key": key, "feedback": thumbs(5)}, 422),
            (b" " * (300 * 1024), 413),
        ):  # fmt: skip
            assert self.send(body).status_code == status, body
        assert self.send({"key": key, "feedback": thumbs()}, content_type="application/json").status_code == 415
        assert Client().get(BEACON).status_code == 405

    def test_it_is_limited_together_with_the_other_door(self, pk: Api, small_limits: None) -> None:
        body = {"key": self.key_of(pk), "feedback": thumbs()}
        assert [self.send(body).status_code for _ in range(2)] == [204] * 2
        assert [pk.post(URL, thumbs(), **ORIGIN)[0] for _ in range(3)] == [201, 201, 429]
        assert self.send(body).status_code == 429


class TestScript:
    def test_every_page_may_load_and_keep_it(self, client: Client) -> None:
        response = client.get("/widget.js")
        assert response.status_code == 200
        assert response["Content-Type"] == "text/javascript; charset=utf-8"
        assert response["Access-Control-Allow-Origin"] == "*"
        assert response["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert response["Cache-Control"] == "public, max-age=3600"
        assert not response.cookies
        assert b"customElements.define('review-feedback'" in response.content

    def test_it_is_sent_again_only_when_it_has_changed(self, client: Client) -> None:
        etag = client.get("/widget.js")["ETag"]
        again = client.get("/widget.js", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert again["Access-Control-Allow-Origin"] == "*"

    def test_it_is_at_most_six_kilobytes_packed(self, client: Client) -> None:
        packed = client.get("/widget.js", headers={"Accept-Encoding": "gzip, br"})
        assert packed["Content-Encoding"] == "gzip"
        assert len(packed.content) <= 6 * 1024
        plain = client.get("/widget.js")
        assert gzip.decompress(packed.content) == plain.content
        assert packed["ETag"] != plain["ETag"]

    def test_it_asks_for_no_sign_in_and_takes_nothing(self, client: Client) -> None:
        assert client.head("/widget.js").status_code == 200
        assert client.post("/widget.js").status_code == 405
