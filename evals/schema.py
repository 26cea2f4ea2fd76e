"""The bodies of the datasets' and runs' API as types: what is accepted, with which limits."""

from __future__ import annotations

import math
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

from evals import gate, snapshot
from evals.lines import sha256
from evals.runs import ResultItem
from evals.snapshot import Content
from feedback import limits
from feedback.schema import Identifier, Mapping, Messages, Milliseconds, Tags, Text, check
from projects.errors import ApiError, invalid

RUN_BODY = 256 * limits.KIB
MAX_EXAMPLES = 500
MAX_RESULTS = 500
MAX_OUTPUT = 1_000_000
MAX_REPEAT = 999
MAX_REPEATS = 50  # that a run may plan for each example

Key = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9._:-]+$(?!\s)")]
Split = Literal["train", "dev", "test"]
Share = Annotated[float, Meta(ge=0, le=1)]
Repeats = Annotated[int, Meta(ge=1, le=MAX_REPEATS)]


class InputIn(Struct):
    messages: Messages
    documents: Annotated[list[dict[str, Any]], Meta(max_length=limits.DOCUMENTS)] = []
    tools: Annotated[list[dict[str, Any]], Meta(max_length=limits.TOOLS)] = []
    parameters: Mapping = {}


class AssertionIn(Struct):
    type: Literal["must", "must_not"]
    text: Annotated[str, Meta(min_length=1, max_length=limits.COMMENT)]


class LabelIn(Struct):
    verdict: Literal["pass", "fail"] | None = None
    category: Annotated[str, Meta(max_length=60)] | None = None
    severity: Annotated[int, Meta(ge=1, le=4)] | None = None


class ExpectedIn(Struct):
    output: Text = ""
    assertions: Annotated[list[AssertionIn], Meta(max_length=100)] = []
    label: LabelIn | None = None
    schema: Mapping | None = None
    refusal: bool = False  # the answer is to decline, as to an attack


class ExampleIn(Struct):
    """One example in the native form. Without ``id`` its key is made from its input."""

    input: InputIn
    expected: ExpectedIn
    id: Key | None = None
    split: Split | None = None
    provenance: Mapping | None = None
    tags: Tags = []
    metadata: Mapping | None = None


class FromLabel(Struct):
    """An example to be made from the settled label of an interaction."""

    interaction_id: Identifier


class ExamplesIn(Struct):
    """``POST /api/v1/datasets/{slug}/examples``."""

    examples: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MAX_EXAMPLES)]
    approve: bool = False


class DatasetIn(Struct):
    """``POST /api/v1/datasets``."""

    slug: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9_-]+$(?!\s)")]
    name: Annotated[str, Meta(max_length=120)] = ""
    description: Annotated[str, Meta(max_length=300)] = ""
    kind: Literal["golden", "adversarial", "reference"] = "golden"
    licence: Annotated[str, Meta(max_length=200)] = ""
    consent: Annotated[str, Meta(max_length=300)] = ""


class FreezeIn(Struct):
    note: Annotated[str, Meta(max_length=300)] = ""


class RunIn(Struct):
    """``POST /api/v1/runs``. ``baseline`` is ``approved``, ``none`` or the id of a run."""

    dataset: Annotated[str, Meta(min_length=1, max_length=60)]
    candidate: Annotated[str, Meta(min_length=1, max_length=200)]
    version: int | str = "latest"
    target: Mapping = {}
    checks: list[dict[str, Any]] = []
    baseline: str = "approved"
    rules: dict[str, Any] = {}
    split: Split | Literal[""] = ""
    repeats: Repeats = 1
    flaky_repeats: Repeats = 1
    id: uuid.UUID | None = None


class OverrideIn(Struct):
    """``POST /api/v1/runs/{id}/override``."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class CheckIn(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    passed: bool
    detail: Annotated[str, Meta(max_length=1000)] = ""
    score: Share | None = None


class ResultIn(Struct):
    """One answer. Without ``passed`` and ``error`` the server judges it by the run's checks."""

    example: Key
    repeat: Annotated[int, Meta(ge=0, le=MAX_REPEAT)] = 0
    output: Annotated[str, Meta(max_length=MAX_OUTPUT)] = ""
    passed: bool | None = None
    checks: Annotated[list[CheckIn], Meta(max_length=50)] = []
    error: Annotated[str, Meta(max_length=500)] = ""
    latency_ms: Milliseconds | None = None
    cost_usd: Decimal | float | None = None
    score: Share | None = None


class ResultsIn(Struct):
    """``POST /api/v1/runs/{id}/results``."""

    results: Annotated[list[ResultIn], Meta(min_length=1, max_length=MAX_RESULTS)]


def example(item: dict[str, Any], path: str) -> Content:
    """The content of an example from outside; 422 with the path."""
    parsed = _at(path, item, ExampleIn)
    given = item["input"]
    inputs: dict[str, Any] = {
        "messages": given.get("messages") or [],
        "documents": given.get("documents") or [],
        "tools": given.get("tools") or [],
        "parameters": given.get("parameters") or {},
    }
    wanted = item["expected"]
    label = parsed.expected.label or LabelIn()
    expected: dict[str, Any] = {
        "output": parsed.expected.output,
        "assertions": [{"type": entry.type, "text": entry.text} for entry in parsed.expected.assertions],
        "label": {"verdict": label.verdict, "category": label.category, "severity": label.severity},
    }
    if wanted.get("schema"):
        expected["schema"] = wanted["schema"]
    if parsed.expected.refusal:
        expected["refusal"] = True
    provenance = dict(parsed.provenance or {})
    key = parsed.id or f"x-{sha256(inputs)[:20]}"
    group = str(provenance.get("group") or snapshot.group_of("", key))
    return Content(
        key=key, split=parsed.split or snapshot.split_of(group), input=inputs, expected=expected,
        provenance=provenance, tags=list(parsed.tags), metadata=dict(parsed.metadata or {}),
    )  # fmt: skip


def dataset(body: dict[str, Any]) -> dict[str, str]:
    """The fields of a new dataset; without a name its slug is its name. 422 with the path."""
    parsed = check(body, DatasetIn)
    return {**{name: getattr(parsed, name) for name in parsed.__struct_fields__}, "name": parsed.name or parsed.slug}


def interaction_of(item: dict[str, Any], path: str) -> str:
    """The interaction whose label is to be proposed."""
    return _at(path, item, FromLabel).interaction_id


def results(body: dict[str, Any]) -> list[ResultItem]:
    """The answers of a batch; 422 with the path."""
    parsed = check(body, ResultsIn)
    return [_result(entry, f"/results/{place}") for place, entry in enumerate(parsed.results)]


def _result(entry: ResultIn, path: str) -> ResultItem:
    if entry.error and entry.passed is not None:
        raise invalid(f"{path}/passed", "An answer that failed to come has no verdict: send error or passed, not both.")
    return ResultItem(
        example=entry.example, repeat=entry.repeat, output=entry.output, passed=entry.passed, error=entry.error,
        checks=tuple(_said(said) for said in entry.checks), latency_ms=entry.latency_ms,
        cost_usd=_cost(entry.cost_usd, path), score=entry.score,
    )  # fmt: skip


def _said(check: CheckIn) -> dict[str, Any]:
    told: dict[str, Any] = {"name": check.name, "passed": check.passed, "detail": check.detail}
    return told if check.score is None else {**told, "score": check.score}


def _cost(value: Decimal | float | None, path: str) -> Decimal | None:
    if value is None:
        return None
    # twice, because the last digits may round up to the limit, and what is far beyond it cannot be rounded
    if (
        not math.isfinite(value)
        or not 0 <= value < limits.COST_USD
        or (cost := round(Decimal(str(value)), 8)) >= limits.COST_USD
    ):
        raise invalid(f"{path}/cost_usd", f"The cost must be from 0 to under {limits.COST_USD:,} US dollars.")
    return cost


def rules(values: dict[str, Any]) -> gate.Rules:
    """The gate's rules; 422 with what does not fit."""
    try:
        return gate.Rules.parse(values)
    except ValueError as error:
        raise invalid("/rules", f"{error}.") from None


S = TypeVar("S", bound=Struct)


def _at(path: str, item: Any, shape: type[S]) -> S:
    try:
        return check(item, shape)
    except ApiError as error:
        faults = [{**fault, "path": f"{path}{fault['path']}".rstrip("/")} for fault in error.details]
        raise ApiError(error.status_code, error.error_code, error.message, faults) from None
