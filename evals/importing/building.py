"""From the columns of one record to an example in the native form. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from evals import lines, schema, snapshot
from evals.importing.columns import flattened, is_expected, is_input
from evals.importing.reading import Record
from evals.snapshot import Content
from feedback.importers.shapes import messages, parsed
from projects.errors import ApiError, invalid

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,60}")
_SPLITS = {"validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "eval": "test", "testing": "test",
           "test": "test", "training": "train", "train": "train"}  # fmt: skip
_VERDICTS = {"passed": "pass", "failed": "fail", "good": "pass", "bad": "fail", "true": "pass", "false": "fail"}
# promptfoo's checks that are an assertion of ours, with or without regard to case.
_PROMPTFOO = {"contains": "must", "icontains": "must", "contains-all": "must", "icontains-all": "must",
              "not-contains": "must_not", "not-icontains": "must_not"}  # fmt: skip


def native(record: Record) -> Content:
    """The example of a record that is one already; ApiError with the path."""
    return schema.example(record.values, "")


def mapped(record: Record, mapping: dict[str, str], origin: str) -> Content:
    """The example that the columns of a record make; ApiError whose paths begin with the column at fault.

    ``origin`` is noted as where it comes from.
    """
    built = _Built()
    by_target: dict[str, str] = {}
    for name, value in flattened(record.values).items():
        target = mapping.get(name, "")
        built.origin_said = built.origin_said or target == "provenance"
        if not target or value is None or value in ("", [], {}):
            continue
        by_target.setdefault(_PLACES.get(target, target), name)
        try:
            _TAKE[target](built, name, value if target in ("input", "expected", "answer", "id") else parsed(value))
        except (TypeError, ValueError) as error:
            raise invalid(f"/{name}", f"{error}") from None
    if not built.input["messages"] and not built.whole:
        raise invalid("/input", "The input is empty.")
    try:
        return schema.example(built.item(origin), "")
    except ApiError as error:
        faults = [{**fault, "path": _back(fault["path"], by_target)} for fault in error.details]
        raise ApiError(error.status_code, error.error_code, error.message, faults) from None


_PLACES = {
    "context": "input/documents", "tools": "input/tools", "parameters": "input/parameters", "answer": "metadata",
    "expected": "expected/output", "must": "expected/assertions", "must_not": "expected/assertions",
    "verdict": "expected/label/verdict", "category": "expected/label/category",
    "severity": "expected/label/severity", "schema": "expected/schema", "input": "input/messages",
}  # fmt: skip


def _back(path: str, by_target: dict[str, str]) -> str:
    """The path with the column in front that filled it, where one did."""
    column = next((name for place, name in by_target.items() if path.startswith(f"/{place}")), "")
    return f"{column}: {path}" if column else path


class _Built:
    """An example while its columns are read."""

    def __init__(self) -> None:
        self.input: dict[str, Any] = {"messages": [], "documents": [], "tools": [], "parameters": {}}
        self.expected: dict[str, Any] = {"output": "", "assertions": []}
        self.label: dict[str, Any] = {}
        self.top: dict[str, Any] = {}
        self.tags: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.provenance: dict[str, Any] = {}
        self.origin_said = False
        self.whole = False  # the input is one of ours, which may have no messages

    def item(self, origin: str) -> dict[str, Any]:
        expected = {**self.expected, "label": self.label} if self.label else self.expected
        return {
            **self.top, "input": self.input, "expected": expected, "tags": self.tags, "metadata": self.metadata,
            "provenance": self.provenance if self.origin_said else self.made(origin),
        }  # fmt: skip

    def made(self, origin: str) -> dict[str, Any]:
        """Where it comes from; the question is its group, so that a split never holds one question twice."""
        question = lines.question_of(self.input["messages"])
        return {"imported_from": origin, "group": snapshot.group_of("", question)} if question else {
            "imported_from": origin
        }  # fmt: skip


def _id(built: _Built, name: str, value: Any) -> None:
    text = str(value)
    if _KEY.fullmatch(text):
        built.top["id"] = text
    else:  # another product's ids may hold anything
        built.top["id"], built.metadata["source_id"] = f"x-{lines.sha256(text)[:20]}", text


def _input(built: _Built, name: str, value: Any) -> None:
    value = parsed(value)
    if is_input(value):
        built.whole = True
        built.input |= {part: value[part] for part in built.input if value.get(part)}
        value = value["messages"]
    built.input["messages"] = (
        value if _said(value) or value == [] else messages(value if not _plain(value) else str(value), "user")
    )


def _said(value: Any) -> bool:
    """Whether it is a list of messages as an application sends them: those are kept as they are."""
    return isinstance(value, list) and bool(value) and all(
        isinstance(each, dict) and isinstance(each.get("role"), str) and ("content" in each or "tool_calls" in each)
        for each in value
    )  # fmt: skip


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _expected(built: _Built, name: str, value: Any) -> None:
    inner = parsed(value)
    if is_expected(inner):
        label = inner.get("label")
        built.expected |= {part: inner[part] for part in inner if part != "label"}
        built.label |= label if isinstance(label, dict) else {}
        return
    if isinstance(inner, list) and inner and all(_plain(each) for each in inner):
        built.expected["output"] = str(inner[0])  # several are right: the others are kept beside it
        if inner[1:]:
            built.metadata["alternatives"] = [str(each) for each in inner[1:]]
        return
    found = [] if _plain(value) else messages(inner, "assistant")
    built.expected["output"] = str(value) if _plain(value) else found[-1]["content"] if found else ""


def _context(built: _Built, name: str, value: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            text = next((each[name] for name in ("page_content", "text") if each.get(name)), None)
            known = "content" in each or text is None
            built.input["documents"].append(each if known else {**each, "content": text})
        else:
            built.input["documents"].append({"id": str(len(built.input["documents"]) + 1), "content": str(each)})


def _asserted(kind: str) -> Callable[[_Built, str, Any], None]:
    def take(built: _Built, name: str, value: Any) -> None:
        texts = value if isinstance(value, list) else str(value).splitlines()
        built.expected["assertions"] = built.expected["assertions"] + [
            {"type": kind, "text": str(text).strip()} for text in texts if str(text).strip()
        ]

    return take


def _assertions(built: _Built, name: str, value: Any) -> None:
    """Ours, or promptfoo's; of the latter those that have no counterpart stay readable in the metadata."""
    kept = []
    for each in value if isinstance(value, list) else [value]:
        kind = each.get("type") if isinstance(each, dict) else None
        if kind in ("must", "must_not"):
            built.expected["assertions"] = [*built.expected["assertions"], {"type": kind, "text": each.get("text")}]
        elif kind in _PROMPTFOO:
            _asserted(_PROMPTFOO[kind])(built, name, each.get("value") or "")
        elif kind == "is-json" and isinstance(each.get("value"), dict):
            built.expected["schema"] = each["value"]
        elif kind == "is-refusal":
            built.expected["refusal"] = True
        elif kind == "equals" and not built.expected["output"]:
            built.expected["output"] = str(each.get("value"))
        else:
            kept.append(each)
    if kept:
        built.metadata["assertions_elsewhere"] = kept


def _labelled(name: str) -> Callable[[_Built, str, Any], None]:
    def take(built: _Built, column: str, value: Any) -> None:
        text = str(value).strip()
        if name == "severity":
            built.label[name] = int(float(text))
        else:
            built.label[name] = _VERDICTS.get(text.lower(), text.lower()) if name == "verdict" else text

    return take


def _split(built: _Built, name: str, value: Any) -> None:
    first = value[0] if isinstance(value, list) and value else value
    text = str(first).strip().lower()
    if text in _SPLITS:
        built.top["split"] = _SPLITS[text]
    elif text != "base":  # LangSmith's word for none
        built.metadata["source_split"] = text


def _tags(built: _Built, name: str, value: Any) -> None:
    texts = value if isinstance(value, list) else re.split(r"[;,]", str(value))
    built.tags += [str(text).strip() for text in texts if str(text).strip() and str(text).strip() not in built.tags]


def _into(part: str) -> Callable[[_Built, str, Any], None]:
    def take(built: _Built, name: str, value: Any) -> None:
        last = name.rpartition(".")[2]
        getattr(built, part).update(value if isinstance(value, dict) and last == part else {last: value})

    return take


def _part(part: str) -> Callable[[_Built, str, Any], None]:
    def take(built: _Built, name: str, value: Any) -> None:
        built.input[part] = value

    return take


def _answer(built: _Built, name: str, value: Any) -> None:
    found = messages(value, "assistant")
    built.metadata["answer"] = found[-1]["content"] if found else str(value)


def _schema(built: _Built, name: str, value: Any) -> None:
    built.expected["schema"] = value


_TAKE: dict[str, Callable[[_Built, str, Any], None]] = {
    "id": _id, "input": _input, "expected": _expected, "context": _context, "must": _asserted("must"),
    "must_not": _asserted("must_not"), "assertions": _assertions, "verdict": _labelled("verdict"),
    "category": _labelled("category"), "severity": _labelled("severity"), "split": _split, "tags": _tags,
    "metadata": _into("metadata"), "provenance": _into("provenance"), "tools": _part("tools"),
    "parameters": _part("parameters"), "answer": _answer, "schema": _schema,
}  # fmt: skip
