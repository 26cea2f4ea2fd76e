"""The loop on real data: a thumbs-down becomes a task, a label, a golden example, and then a closed gate."""

from __future__ import annotations

import gzip
import json
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from reviewhub_client import cli

from annotations import claims, labelling, triage
from annotations.models import Queue
from annotations.submission import parse_submission
from evals import datasets, runs, tasks
from evals.models import Run
from evals.runs import ResultItem
from feedback import importers
from projects import keys
from projects.models import Project, User
from tests import realdata
from tests.evals import golden

pytestmark = pytest.mark.data
QUESTIONS = 25


def complaints() -> list[tuple[dict[str, Any], str]]:
    """Questions of FeedbackQA of which all raters turned one answer down and praised another: that pair."""
    by_question: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in realdata.records("feedbackqa"):
        by_question[record["messages"][-1]["content"]].append(record)
    pairs = []
    for records in by_question.values():
        thumbs = {record["id"]: {said["thumb"] for said in record["feedback"]} for record in records}
        bad = [record for record in records if thumbs[record["id"]] == {"down"}]
        good = [record for record in records if thumbs[record["id"]] == {"up"}]
        if bad and good:
            pairs.append((bad[0], good[0]["output"]))
    return pairs[:QUESTIONS]


@pytest.mark.django_db(transaction=True)
def test_what_users_complained_about_cannot_come_back(
    project: Project, people: dict[str, User], live_server: Any, tmp_path: Path, capsys: Any
) -> None:
    pairs = complaints()
    desired = {record["id"]: better for record, better in pairs}
    with gzip.open(tmp_path / "feedbackqa.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(record) + "\n" for record, _ in pairs)
    report = importers.run(tmp_path / "feedbackqa.jsonl.gz", format="feedbackqa", project=project)
    assert (report.interactions, report.rejected) == (QUESTIONS, 0)

    triage.run()
    queue = Queue.objects.get(project=project, slug="negative-feedback")
    wrong = project.failure_modes.earliest("position").slug
    while claim := claims.claim_next(user=people["lead"], queue=queue):
        interaction = claim.task.interaction
        body = {
            "submission_id": str(uuid.uuid4()), "verdict": "fail",
            "severity": 2, "note": "Does not answer the question.", "golden": True,
            "desired_output": desired[interaction.external_id], "primary_category": wrong,
        }  # fmt: skip
        vote = parse_submission(project, body)
        labelling.submit(user=people["lead"], token=claim.token, submission=vote)

    tasks.curate()
    dataset = golden.dataset(project)
    assert datasets.approve_all(dataset, actor=people["engineer"]) == QUESTIONS
    version = datasets.freeze(dataset, actor=people["engineer"], note="What users complained about")
    keys_of = dict(version.examples.values_list("provenance__interaction_id", "key"))

    secret = keys.create_key(project=project, kind="sk", name="ci", scopes=["read", "runs"])[1]

    def evaluate(answers: dict[str, str], name: str) -> int:
        (tmp_path / name).write_text(json.dumps({keys_of[ident]: text for ident, text in answers.items()}))
        words = ["eval", "golden@1", "--target", str(tmp_path / name), "--hub", live_server.url, "--key", secret]
        return cli.main(words)

    assert evaluate(desired, "fixed.json") == 0
    runs.approve_baseline(Run.objects.get(), actor=people["engineer"])
    complained_about = {record["id"]: record["output"] for record, _ in pairs}
    assert evaluate(complained_about, "bad.json") == 1
    out = capsys.readouterr().out
    assert f"Newly failing ({QUESTIONS})" in out
    flips = Run.objects.latest("created_at").summary["flips"]
    assert (set(flips["broken_keys"]), flips["fixed"]) == (set(keys_of.values()), 0)
    assert "differs: is the answer that was judged a failure" in out
    assert evaluate(desired, "again.json") == 0
    assert Run.objects.latest("created_at").summary["flips"]["broken"] == 0


MODELS = {
    "gpt-4": "gpt-4-0613", "gpt-3.5": "gpt-3.5-turbo-0613", "mistral": "mistral-7B-instruct",
    "llama-7b": "llama-2-7b-chat", "llama-13b": "llama-2-13b-chat", "llama-70b": "llama-2-70b-chat",
}  # fmt: skip


@pytest.mark.django_db
def test_the_gate_on_human_verdicts_about_six_models(project: Project, people: dict[str, User]) -> None:
    """RAGTruth: every model answered the same 307 sources, and people marked what is not in the source."""
    faithful: dict[str, dict[str, bool]] = defaultdict(dict)
    for record in realdata.records("ragtruth"):
        said = {label["label"] for label in record["human_labels"] if label["level"] == "response"}
        faithful[record["model"]][record["group"]] = said == {"faithful"}
    sources = sorted(faithful[MODELS["gpt-4"]])
    assert len(sources) == 307
    version = golden.frozen(project, *(golden.content(f"s{source}") for source in sources))

    def finished(model: str, baseline: Run | None) -> Run:
        run, _ = runs.start_run(project, version=version, candidate=model, baseline=baseline)
        verdicts = faithful[MODELS[model]]
        runs.add_results(run, [ResultItem(example=f"s{source}", passed=verdicts[source]) for source in sources])
        return runs.finish_run(run)

    for before, after, broken, fixed, verdict, change in [
        ("gpt-4", "mistral", 147, 8, "fail", "worse"),
        ("gpt-4", "gpt-3.5", 25, 25, "pass", "no clear difference"),
        ("llama-13b", "llama-70b", 24, 56, "pass", "better"),
        ("llama-7b", "llama-13b", 46, 59, "pass", "no clear difference"),
    ]:
        report = finished(after, finished(before, None)).summary
        told = (report["flips"]["broken"], report["flips"]["fixed"], report["verdict"], report["change"])
        assert told == (broken, fixed, verdict, change), (before, after)
