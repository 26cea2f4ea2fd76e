"""What the records of a file hold, as columns, and what each probably means. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from evals.importing.reading import COLUMNS, File
from feedback.importers.shapes import snake
from projects.errors import invalid

# What a column may become, in the words of a page.
TARGETS = {
    "": "leave out", "input": "input", "expected": "expected answer", "context": "context (documents)", "tags": "tags",
    "category": "category", "must": "assertion: must say", "must_not": "assertion: must not say",
    "assertions": "assertions (JSON)", "metadata": "metadata", "id": "id", "split": "split", "verdict": "verdict",
    "severity": "severity", "answer": "recorded answer", "tools": "tools", "parameters": "parameters",
    "schema": "schema of the answer", "provenance": "provenance",
}  # fmt: skip
MANY = {"", "context", "tags", "must", "must_not", "assertions", "metadata", "provenance"}

# For each single meaning the names that are taken for it, the likeliest first.
_NAMES = {
    "id": ("key", "id", "example_id", "name"),
    "input": ("messages", "input", "inputs", "question", "query", "prompt", "user_input", "instruction", "request",
              "text"),
    "expected": ("expected_output", "expected", "desired_output", "desired", "ideal", "reference_output",
                 "reference_outputs", "outputs", "output", "reference", "ground_truth", "target", "answer",
                 "completion", "response"),
    "context": ("documents", "context", "contexts", "retrieved_contexts", "retrieval_context", "sources", "passages"),
    "answer": ("recorded_answer", "actual_output", "actual_answer", "model_output"),
    "verdict": ("verdict",), "severity": ("severity",), "category": ("category", "failure_mode"),
    "split": ("split", "dataset_split"), "tags": ("tags",), "must": ("must", "must_say", "must_include"),
    "must_not": ("must_not", "must_not_say", "must_not_include"), "assertions": ("assertions", "assert"),
    "tools": ("tools",), "parameters": ("parameters",), "schema": ("schema", "output_schema"),
    "provenance": ("provenance",),
}  # fmt: skip
# Within metadata only what our own exports put there is taken: a ``name`` or ``target`` may be anything.
_WITHIN_METADATA = {
    "id": {"key", "id"}, "split": {"split"}, "tags": {"tags"}, "provenance": {"provenance"}, "category": {"category"},
    "verdict": {"verdict"}, "expected": {"desired"},
}  # fmt: skip
_ORIGIN = {"interaction_id", "settled_by", "reviewers", "blind"}
# What says nothing of the example itself.
_IDLE = {
    "status", "dataset_name", "dataset_id", "description", "created_at", "updated_at", "modified_at", "html_path",
    "source_run_id", "project_id", "datasetname", "datasetid",
}  # fmt: skip
_ASKING = {"question", "query", "prompt", "input", "context", "user_input"}
SHOWN = 120  # characters of a sample


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name (``inputs.question`` for what lies within), in how many records it is, one of its values."""

    name: str
    count: int
    sample: str
    target: str = ""


def flattened(values: dict[str, Any]) -> dict[str, Any]:
    """A record as columns. Objects are opened two levels deep, metadata one; what is an example's part stays whole."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        _open(found, name, value, 2)
    return found


def _open(found: dict[str, Any], name: str, value: Any, depth: int) -> None:
    last = name.rpartition(".")[2]
    if depth == 0 or not isinstance(value, dict) or not value or last in _WHOLE or _is_part(value):
        found.setdefault(name, value)
        return
    for inner, each in value.items():
        _open(found, f"{name}.{inner}", each, 0 if last == "metadata" else depth - 1)


_WHOLE = {"provenance", "parameters", "schema", "output_schema"}


def _is_part(value: dict[str, Any]) -> bool:
    """Whether it is an input, an expectation or a message as a whole."""
    speaks = "content" in value and ("role" in value or "type" in value)
    return speaks or "kwargs" in value or is_input(value) or is_expected(value)


def is_input(value: Any) -> bool:
    """Whether it is the input of an example as our exports have it, or a body of messages."""
    return isinstance(value, dict) and isinstance(value.get("messages"), list)


def is_expected(value: Any) -> bool:
    """Whether it is what an example of ours expects."""
    names = {"output", "assertions", "label", "schema", "refusal"}
    return isinstance(value, dict) and {"output", "assertions"} <= value.keys() <= names


def columns_of(file: File) -> list[Column]:
    """The columns of all records in the order in which they come, with the guesses; 422 beyond COLUMNS of them."""
    counts: dict[str, int] = {}
    samples: dict[str, Any] = {}
    for record in file.records:
        for name, value in flattened(record.values).items():
            if name not in counts and len(counts) == COLUMNS:
                raise invalid("/file", f"{record.place.capitalize()}: more than {COLUMNS} columns. Drop some first.")
            counts[name] = counts.get(name, 0) + 1
            samples.setdefault(name, value)
    guesses = guessed(counts)
    return [Column(name, count, _shown(samples[name]), guesses[name]) for name, count in counts.items()]


def guessed(names: Iterable[str]) -> dict[str, str]:
    """What each column probably means. What is not known becomes metadata: leaving it out would lose it."""
    left = {name: (snake(name.rpartition(".")[2]), name.count("."), _in_metadata(name)) for name in names}
    found: dict[str, str] = {}
    for target, likely in _NAMES.items():
        fitting = [
            (likely.index(last), deep, name)
            for name, (last, deep, inner) in left.items()
            if last in likely and name not in found and (not inner or last in _WITHIN_METADATA.get(target, ()))
        ]
        if target == "id" and any(_in_metadata(name) for _, _, name in fitting):
            fitting = [each for each in fitting if _in_metadata(each[2])]  # the row's own id is another product's
        if target in ("must", "must_not"):
            found |= {name: target for *_, name in fitting}
        elif fitting:
            found[min(fitting)[2]] = target
    asked = next((left[name][0] for name, target in found.items() if target == "input"), "")
    for name, (last, _, inner) in left.items():
        found.setdefault(name, _rest(name, last, inner, asked))
    return found


def _in_metadata(name: str) -> bool:
    return "metadata." in name


def _rest(name: str, last: str, inner: bool, asked: str) -> str:
    if inner:
        return "metadata"
    if last in _ORIGIN:
        return "provenance"
    said_already = last in _ASKING and asked in ("messages", "input", "inputs")
    return "" if last in _IDLE or last == "id" or said_already else "metadata"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def mapping_of(pairs: Iterable[str]) -> dict[str, str]:
    """``TARGET=COLUMN`` of a command line or an address, as target by column; 422 where it is not that."""
    found: dict[str, str] = {}
    for pair in pairs:
        target, equals, column = pair.partition("=")
        target = "" if target in ("", "none", "skip") else target
        if not equals or target not in TARGETS:
            known = ", ".join(sorted(TARGETS.keys() - {""}))
            raise invalid("/map", f"{pair[:100]!r} is not TARGET=COLUMN; targets are {known}, and skip.")
        found[column] = target
    return found


def settled(columns: list[Column], wanted: dict[str, str]) -> dict[str, str]:
    """What each column becomes: as wanted, else as guessed; 422 for an unknown column or one meaning given twice."""
    guesses = {column.name: column.target for column in columns}
    if unknown := next((name for name in wanted if name not in guesses), None):
        raise invalid("/map", f"There is no column {unknown[:100]}. There are {', '.join(list(guesses)[:20])}.")
    taken = {target for target in wanted.values() if target not in MANY}
    found = {name: ("" if name not in wanted and guess in taken else guess) for name, guess in guesses.items()} | wanted
    chosen = [target for target in found.values() if target not in MANY]
    if doubled := next((target for target in chosen if chosen.count(target) > 1), None):
        raise invalid("/map", f"Two columns are to be the {TARGETS[doubled]}. Choose one.")
    if "input" not in chosen:
        raise invalid("/map", f"Which column is the input? There are {', '.join(list(guesses)[:20])}.")
    return found
