"""A regression run over the API: start, send answers, finish; and everything that can go wrong between."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from evals import runs
from evals.models import Result, Run
from projects import webhooks
from projects.models import AuditEntry, Delivery, Project, User
from tests.conftest import Api
from tests.evals import golden

RUNS = "/api/v1/runs"


@pytest.fixture
def version(project: Project) -> Any:
    return golden.frozen(project, *(golden.content(f"k{n}") for n in range(4)))


def start(sk: Api, **fields: Any) -> dict[str, Any]:
    status, body = sk.post(RUNS, {"dataset": "golden", "candidate": "v1", **fields})
    assert status == 201, body
    return body  # type: ignore[no-any-return]


def answers(*right: bool, **fields: Any) -> list[dict[str, Any]]:
    """One answer an example; a right one says what the assertion of ``golden.content`` asks for."""
    return [
        {"example": f"k{n}", "output": f"right k{n}" if good else "something else", **fields}
        for n, good in enumerate(right)
    ]


def run(sk: Api, *right: bool, **fields: Any) -> dict[str, Any]:
    started = start(sk, **fields)
    status, body = sk.post(f"{RUNS}/{started['id']}/results", {"results": answers(*right)})
    assert status == 200, body
    return sk.post(f"{RUNS}/{started['id']}/finish")[1]  # type: ignore[no-any-return]


def test_the_story_of_a_bad_candidate_and_a_fixed_one(
    project: Project, sk: Api, people: dict[str, User], version: Any
) -> None:
    baseline = run(sk, True, True, False, True, baseline="none")
    assert (baseline["verdict"], baseline["baseline"]) == ("fail", None)  # the floor: every example must pass
    runs.approve_baseline(Run.objects.get(pk=baseline["id"]), actor=people["engineer"])
    bad = run(sk, False, True, True, True, candidate="v2")
    assert bad["baseline"] == baseline["id"]
    assert bad["verdict"] == "inconclusive"  # one loss, one gain: four examples cannot tell
    assert (bad["flips"]["broken"], bad["flips"]["fixed"]) == (1, 1)
    assert bad["flips"]["broken_keys"] == ["k0"]
    fixed = run(sk, True, True, True, True, candidate="v3")
    assert (fixed["verdict"], fixed["flips"]["broken"], fixed["flips"]["fixed"]) == ("pass", 0, 1)


def test_the_server_judges_where_no_verdict_is_sent(project: Project, sk: Api, version: Any) -> None:
    run(sk, True, False, True, True)
    said = dict(Result.objects.values_list("example_key", "passed"))
    assert said == {"k0": True, "k1": False, "k2": True, "k3": True}
    assert Result.objects.get(example_key="k1").checks[1]["detail"] == "does not say “right k1”"


def test_a_sent_verdict_is_kept_with_its_checks(project: Project, sk: Api, version: Any) -> None:
    started = start(sk)
    said = {"example": "k0", "output": "x", "passed": True, "latency_ms": 12.5, "cost_usd": "0.0001",
            "checks": [{"name": "mine", "passed": True}]}  # fmt: skip
    assert sk.post(f"{RUNS}/{started['id']}/results", {"results": [said]})[1] == {
        "stored": 1,
        "replayed": 0,
        "missing": 3,
    }
    stored = Result.objects.get()
    assert (stored.passed, stored.latency_ms, str(stored.cost_usd)) == (True, 12.5, "0.00010000")
    assert stored.checks == [{"name": "mine", "passed": True, "detail": ""}]


def test_sending_a_batch_again_changes_nothing(project: Project, sk: Api, version: Any) -> None:
    started = start(sk)
    path, batch = f"{RUNS}/{started['id']}/results", {"results": answers(True, True)}
    assert sk.post(path, batch)[1] == {"stored": 2, "replayed": 0, "missing": 2}
    assert sk.post(path, batch)[1] == {"stored": 0, "replayed": 2, "missing": 2}
    assert sk.post(path, {"results": answers(True, True, True, True)})[1] == {"stored": 2, "replayed": 2, "missing": 0}
    assert sk.post(f"{RUNS}/{started['id']}/finish")[0] == 200
    assert sk.post(path, batch) == (200, {"stored": 0, "replayed": 2, "missing": 0})


@pytest.mark.parametrize(
    ("results", "status", "path"),
    [
        ([{"example": "unknown", "output": "x"}], 422, "/results/1/example"),
        ([{"example": "k0", "output": "other"}], 422, "/results/1"),
        ([{"example": "k1", "latency_ms": -1}], 422, "/results/1/latency_ms"),
        ([{"example": "k1", "passed": "yes"}], 422, "/results/1/passed"),
        ([{"example": "k1", "passed": True, "error": "timeout"}], 422, "/results/1/passed"),
        ([{"example": "k1", "cost_usd": -1}], 422, "/results/1/cost_usd"),
        ([{"example": "k1", "cost_usd": "999999.999999999"}], 422, "/results/1/cost_usd"),
        ([{"example": "k1", "repeat": -1}], 422, "/results/1/repeat"),
        ([{"example": "k1", "output": "x" * 1_000_001}], 422, "/results/1/output"),
        ([{"example": "k1", "checks": [{"name": "c"}]}], 422, "/results/1/checks/0"),
        ([{"example": "k1\n"}], 422, "/results/1/example"),
        ([{"output": "x"}], 422, "/results/1"),
        (["k1"], 422, "/results/1"),
        ([{"example": "k1", "score": 1.01}], 422, "/results/1/score"),
        ([{"example": "k1", "checks": [{"name": "c", "passed": True, "score": -1}]}], 422, "/results/1/checks/0/score"),
        ([{"example": "k1"}] * 500, 422, "/results"),
    ],
)
def test_one_bad_result_refuses_its_batch_with_the_place(
    project: Project, sk: Api, version: Any, results: list[Any], status: int, path: str
) -> None:
    started = start(sk)
    batch = {"results": [{"example": "k0", "output": "right k0"}, *results]}
    answer = sk.post(f"{RUNS}/{started['id']}/results", batch)
    assert (answer[0], answer[1]["error"]["details"][0]["path"]) == (status, path)
    assert not Result.objects.exists()


@pytest.mark.parametrize("field", [b"latency_ms", b"score", b"cost_usd"])
def test_nan_is_not_json(project: Project, sk: Api, version: Any, field: bytes) -> None:
    started = start(sk)
    body = b'{"results": [{"example": "k0", "' + field + b'": NaN}]}'
    status, body = sk.post(f"{RUNS}/{started['id']}/results", body)
    assert (status, body["error"]["code"]) == (400, "malformed_json")


def test_another_answer_to_an_answered_example_is_refused(project: Project, sk: Api, version: Any) -> None:
    started = start(sk)
    path = f"{RUNS}/{started['id']}/results"
    sk.post(path, {"results": answers(True)})
    status, body = sk.post(path, {"results": answers(False)})
    assert (status, body["error"]["details"][0]["path"]) == (422, "/results/0")
    assert Result.objects.get().output == "right k0"


def test_half_a_run_is_not_finished_and_can_go_on(project: Project, sk: Api, version: Any) -> None:
    started = start(sk)
    path = f"{RUNS}/{started['id']}"
    sk.post(f"{path}/results", {"results": answers(True, True)})
    status, body = sk.post(f"{path}/finish")
    assert (status, body["error"]["code"]) == (409, "incomplete")
    assert [fault["path"] for fault in body["error"]["details"]] == ["/examples/k2", "/examples/k3"]
    assert sk.get(path)[1]["missing"] == ["k2", "k3"]
    sk.post(f"{path}/results", {"results": answers(True, True, True, True)})
    assert sk.post(f"{path}/finish")[1]["verdict"] == "pass"


def test_finishing_twice_gives_one_verdict(project: Project, sk: Api, version: Any) -> None:
    finished = run(sk, True, True, True, True)
    assert sk.post(f"{RUNS}/{finished['id']}/finish") == (200, finished)


def test_a_finished_run_takes_nothing_new(project: Project, sk: Api, version: Any) -> None:
    finished = run(sk, True, True, True, True)
    extra = [{"example": "k0", "repeat": 1, "output": "late"}]
    assert sk.post(f"{RUNS}/{finished['id']}/results", {"results": extra})[1]["error"]["code"] == "run_ended"


def test_unanswered_examples_are_not_failures(project: Project, sk: Api, version: Any) -> None:
    started = start(sk)
    batch = [*answers(True, True, True), {"example": "k3", "error": "HTTP 503"}]
    sk.post(f"{RUNS}/{started['id']}/results", {"results": batch})
    body = sk.post(f"{RUNS}/{started['id']}/finish")[1]
    assert (body["verdict"], body["counts"]["unanswered"]) == ("inconclusive", 1)


def test_of_repeats_the_majority_counts(project: Project, sk: Api, version: Any) -> None:
    started = start(sk)
    batch = answers(True, True, True, True)
    batch += [{"example": "k0", "repeat": n, "output": "wrong"} for n in (1, 2)]
    batch += [{"example": "k1", "repeat": 1, "output": "wrong"}, {"example": "k1", "repeat": 2, "output": "right k1"}]
    sk.post(f"{RUNS}/{started['id']}/results", {"results": batch})
    body = sk.post(f"{RUNS}/{started['id']}/finish")[1]
    assert (body["counts"]["passed"], body["counts"]["failed"]) == (3, 1)


def test_an_example_that_changed_since_the_baseline_is_not_compared(
    project: Project, sk: Api, people: dict[str, User], version: Any
) -> None:
    baseline = run(sk, True, True, True, True)
    runs.approve_baseline(Run.objects.get(pk=baseline["id"]), actor=people["engineer"])
    changed = golden.content(
        "k0", expected={"output": "", "assertions": [{"type": "must", "text": "new"}], "label": {}}
    )
    golden.frozen(project, changed)
    body = run(sk, False, True, True, True)
    assert (body["version"], body["counts"]["pairs"], body["flips"]["broken"]) == (2, 3, 0)


def test_a_run_judged_by_other_checks_is_no_baseline(
    project: Project, sk: Api, people: dict[str, User], version: Any
) -> None:
    baseline = run(sk, True, True, True, True)
    runs.approve_baseline(Run.objects.get(pk=baseline["id"]), actor=people["engineer"])
    strict = [{"type": "exact", "text": "x"}]
    assert start(sk, checks=strict)["baseline"] is None
    status, body = sk.post(RUNS, {"dataset": "golden", "candidate": "v", "checks": strict, "baseline": baseline["id"]})
    assert (status, body["error"]["details"][0]["path"]) == (422, "/baseline")


def test_a_run_that_plans_repeats_is_complete_when_all_are_there(project: Project, sk: Api, version: Any) -> None:
    started = start(sk, repeats=2)
    path = f"{RUNS}/{started['id']}"
    sk.post(f"{path}/results", {"results": answers(True, True, True, True)})
    assert sk.post(f"{path}/finish")[1]["error"]["code"] == "incomplete"
    sk.post(f"{path}/results", {"results": answers(True, repeat=1)})
    told = sk.get(path)[1]
    assert (told["missing"], told["answered"]) == (["k1", "k2", "k3"], {"k1": [0], "k2": [0], "k3": [0]})
    sk.post(f"{path}/results", {"results": answers(True, False, True, True, repeat=1)[1:]})
    body = sk.post(f"{path}/finish")[1]
    assert (body["verdict"], body["counts"]["failed"]) == ("fail", 1)  # a tie is no majority
    assert (body["flake"]["keys"], body["flake"]["rate"]) == (["k1"], 0.25)


def test_what_was_flaky_before_is_asked_more_often_by_plan(project: Project, sk: Api, version: Any) -> None:
    test_a_run_that_plans_repeats_is_complete_when_all_are_there(project, sk, version)
    started = start(sk, flaky_repeats=3)
    assert started["plan"] == {"repeats": 1, "flaky_repeats": 3, "flaky": ["k1"]}
    path = f"{RUNS}/{started['id']}"
    sk.post(f"{path}/results", {"results": answers(True, True, True, True)})
    assert sk.get(path)[1]["missing"] == ["k1"]
    for repeat in (1, 2):
        sk.post(f"{path}/results", {"results": answers(True, True, repeat=repeat)[1:]})
    assert sk.post(f"{path}/finish")[1]["verdict"] == "pass"


def test_one_answer_to_a_critical_example_that_was_flaky_before_decides_nothing(
    project: Project, sk: Api, people: dict[str, User]
) -> None:
    contents = [golden.content(f"k{n}") for n in range(4)]
    for one in contents:
        one.expected["label"]["severity"] = 1
    golden.frozen(project, *contents)
    test_a_run_that_plans_repeats_is_complete_when_all_are_there(project, sk, None)
    baseline = run(sk, True, True, True, True)
    runs.approve_baseline(Run.objects.get(pk=baseline["id"]), actor=people["engineer"])
    flaky = run(sk, True, False, True, True)
    assert flaky["verdict"] == "inconclusive"
    assert "k1 is critical and flaky: 0 of 1 pass now, 1 of 1 pass before" in flaky["reason"]
    steady = run(sk, True, True, False, True)
    assert (steady["verdict"], steady["reason"]) == ("fail", "1 critical example newly fails")


def test_only_as_many_answers_are_compared_as_the_other_side_has(
    project: Project, sk: Api, people: dict[str, User], version: Any
) -> None:
    """Asked once before and three times now, a steadier majority would look like progress by itself."""
    before = run(sk, False, True, True, True)
    runs.approve_baseline(Run.objects.get(pk=before["id"]), actor=people["engineer"])
    started = start(sk, repeats=3)
    path = f"{RUNS}/{started['id']}"
    for repeat, first in ((0, False), (1, True), (2, True)):
        sk.post(f"{path}/results", {"results": answers(first, True, True, True, repeat=repeat)})
    body = sk.post(f"{path}/finish")[1]
    assert (body["flips"]["fixed"], body["counts"]["still_fail"], body["flake"]["keys"]) == (0, 1, ["k0"])


def test_scores_and_costs_reach_the_gate(project: Project, sk: Api, people: dict[str, User], version: Any) -> None:
    def finished(score: float, cost: float, **fields: Any) -> dict[str, Any]:
        started = start(sk, **fields)
        said = [{**one, "passed": True, "score": score + n / 100, "cost_usd": cost, "latency_ms": 100 * (n + 1)}
                for n, one in enumerate(answers(True, True, True, True))]  # fmt: skip
        assert sk.post(f"{RUNS}/{started['id']}/results", {"results": said})[0] == 200
        return sk.post(f"{RUNS}/{started['id']}/finish")[1]  # type: ignore[no-any-return]

    runs.approve_baseline(Run.objects.get(pk=finished(0.8, 0.001)["id"]), actor=people["engineer"])
    rules = {"score_margin": 0.05, "max_cost_increase": 0.1, "max_latency_p95_ms": 390}
    body = finished(0.5, 0.002, rules=rules)
    assert [(test["name"], test["met"]) for test in body["tests"][2:]] == [
        ("not worse than the baseline", True), ("score not lower than the baseline's", False), ("latency", True),
        ("cost", False),
    ]  # fmt: skip
    assert body["tests"][-1]["detail"] == "+100.0 % on 4 examples, at most 10\u00a0% more"


def test_an_override_opens_the_gate_and_keeps_verdict_and_reason(
    project: Project, sk: Api, token_of: Callable[[str], Api], version: Any
) -> None:
    failed = run(sk, False, True, True, True)
    assert (failed["verdict"], failed["gate"], failed["override"]) == ("fail", "closed", None)
    path, reason = f"{RUNS}/{failed['id']}/override", "The example is out of date, see ticket 7"
    assert token_of("engineer").post(path, {"reason": reason})[0] == 403
    assert sk.post(path, {"reason": reason})[0] == 403
    lead = token_of("lead")
    for empty in ("", " "):
        assert lead.post(path, {"reason": empty})[1]["error"]["details"][0]["path"] == "/reason"
    status, told = lead.post(path, {"reason": reason})
    assert (status, told["verdict"], told["gate"], told["override"]["reason"]) == (200, "fail", "open", reason)
    assert lead.post(path, {"reason": "again"})[1]["override"]["reason"] == reason
    entry = AuditEntry.objects.get(action="run.overridden")
    assert (entry.detail["verdict"], entry.detail["reason"]) == ("fail", reason)
    assert lead.post(f"{RUNS}/{run(sk, True, True, True, True)['id']}/override", {"reason": "x"})[0] == 409


def test_a_run_may_cover_one_split(project: Project, sk: Api, version: Any) -> None:
    golden.frozen(project, golden.content("d", split="dev"))
    assert start(sk, split="dev")["total"] == 1
    assert start(sk)["total"] == 5
    assert sk.post(RUNS, {"dataset": "golden", "candidate": "v", "split": "train"})[0] == 422


def test_starting_with_ones_own_id_is_idempotent(project: Project, sk: Api, version: Any) -> None:
    body = {"dataset": "golden", "candidate": "v", "id": str(uuid.uuid4())}
    assert [sk.post(RUNS, body)[0] for _ in range(2)] == [201, 200]
    assert sk.post(RUNS, {**body, "candidate": "w"})[1]["error"]["code"] == "run_exists"


@pytest.mark.parametrize(
    ("fields", "status", "path"),
    [
        ({"dataset": "none"}, 404, None), ({"version": 9}, 404, None), ({"version": "x"}, 404, None),
        ({"candidate": ""}, 422, "/candidate"), ({"baseline": "nonsense"}, 422, "/baseline"),
        ({"baseline": str(uuid.uuid4())}, 422, "/baseline"), ({"rules": {"marign": 1}}, 422, "/rules"),
        ({"checks": [{"type": "no"}]}, 422, "/checks"), ({"split": "holdout"}, 422, "/split"),
        ({"id": "x"}, 422, "/id"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_start(
    project: Project, sk: Api, version: Any, fields: dict[str, Any], status: int, path: str | None
) -> None:
    answer = sk.post(RUNS, {"dataset": "golden", "candidate": "v", **fields})
    assert answer[0] == status
    assert path is None or answer[1]["error"]["details"][0]["path"] == path
    assert not Run.objects.exists()


def test_another_projects_run_does_not_exist(project: Project, other_project: Project, sk: Api, version: Any) -> None:
    foreign, _ = runs.start_run(other_project, version=golden.frozen(other_project, golden.content("a")), candidate="c")
    for method, path in (("GET", ""), ("POST", "/results"), ("POST", "/finish")):
        body = {"results": answers(True)} if path == "/results" else None
        assert sk.call(method, f"{RUNS}/{foreign.pk}{path}", body)[0] == 404


def test_finishing_tells_webhooks(project: Project, sk: Api, version: Any) -> None:
    hook, _ = webhooks.create(project, url="https://hooks.example.com/x", events=["run.finished"], actor=None)
    webhooks.forget()
    finished = run(sk, True, True, True, True)
    payload = Delivery.objects.get(webhook=hook).payload
    assert (payload["run"], payload["verdict"], payload["broken"]) == (finished["id"], "pass", 0)
    assert "right" not in json.dumps(payload)


@pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("reviewer", 403), ("lead", 403), ("engineer", 201)])
def test_who_may_start_a_run(
    project: Project, token_of: Callable[[str], Api], version: Any, who: str, status: int
) -> None:
    assert token_of(who).post(RUNS, {"dataset": "golden", "candidate": "v"})[0] == status


def test_ten_thousand_examples_are_decided_in_a_fixed_number_of_queries(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    version = golden.frozen(project, *(golden.content(f"{n:05}") for n in range(300)))
    started, _ = runs.start_run(project, version=version, candidate="c")
    Result.objects.bulk_create(
        Result(run=started, example_key=f"{n:05}", passed=n > 10, fingerprint=b"f") for n in range(300)
    )
    with django_assert_max_num_queries(13):
        assert runs.finish_run(started).verdict == "fail"
