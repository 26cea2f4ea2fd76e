"""A reviewer's vote as it is sent, checked: every fault is named with its path."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from annotations import golden, storing
from annotations.models import FailureMode, Verdict
from annotations.taxonomy import HARM, NIT
from feedback.models import Interaction, text_of
from feedback.services.writing import say_prepared
from projects.errors import ApiError
from projects.models import Project
from projects.strictjson import clean_text

MAX_TEXT, MAX_NOTE, MAX_SPANS, MAX_ASSERTIONS = 100_000, 10_000, 200, 50
TARGETS = ("output", "document", "message")
KINDS = ("claim", "evidence")
SUGGESTED = ("verdict", "primary_category", "severity")
OUTCOMES = ("accepted", "changed", "ignored")


MODE = ("id", "project_id", "slug", "label", "default_severity")  # in the model's order, as ``from_db`` takes them
NO_SLUGS = "{}"
# Of the failure modes in use those with these slugs, as one JSON document.
MODES = f"""
SELECT coalesce(jsonb_agg(jsonb_build_array({", ".join(MODE)})), '[]') FROM annotations_failuremode
WHERE project_id = %(project)s AND retired_at IS NULL AND slug = ANY (%(slugs)s)"""  # noqa: S608  # names of ours


@dataclass(frozen=True)
class Submission:
    """One vote. ``seconds`` is how long the reviewer took; spans count Unicode code points of the stored text.

    ``blind`` says that the reviewer had chosen not to see what others think; a blind queue needs no such word.
    """

    submission_id: UUID
    verdict: str
    primary: FailureMode | None = None
    categories: tuple[str, ...] = ()
    severity: int | None = None
    spans: tuple[dict[str, Any], ...] = ()
    desired_output: str = ""
    note: str = ""
    assertions: tuple[dict[str, str], ...] = ()
    golden: bool = False
    golden_set: str = ""
    suggestion_seen: bool = False
    suggestion: dict[str, str] = field(default_factory=dict)
    blind: bool = False
    seconds: float | None = None
    fingerprint: bytes = field(default=b"", compare=False)


class _Faults:
    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def add(self, path: str, message: str) -> None:
        self.found.append({"path": path, "message": message})

    def text(self, body: dict[str, Any], name: str, most: int) -> str:
        value = body.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.add(f"/{name}", "This must be text.")
            return ""
        if len(value) > most:
            self.add(f"/{name}", f"At most {most:,} characters.")
        return clean_text(value).strip()

    def flag(self, body: dict[str, Any], name: str) -> bool:
        value = body.get(name, False)
        if not isinstance(value, bool):
            self.add(f"/{name}", "This must be true or false.")
            return False
        return value


def parse_submission(project: Project, body: Any, modes: dict[str, FailureMode] | None = None) -> Submission:
    """The vote in a body as the API documents it; ApiError 422 with all faults at once.

    A verdict is needed; a fail needs a failure mode or a note that says what is wrong; harm needs a note or a
    marked passage. A pass drops failure modes and severity: there is nothing wrong that they could describe.
    ``modes`` are the failure modes that the body names, where they have been read already (``modes_of``).
    """
    if not isinstance(body, dict):
        raise ApiError(422, "invalid", "The body must be an object.", [{"path": "/", "message": "Not an object."}])
    faults = _Faults()
    submission_id = _uuid(body.get("submission_id"), faults)
    verdict = body.get("verdict")
    if verdict not in Verdict.values:
        faults.add("/verdict", "Choose a verdict: pass, fail or unsure.")
    failing = verdict == Verdict.FAIL
    note = faults.text(body, "note", MAX_NOTE)
    if modes is None:
        slugs = named(body)
        modes = modes_of(say_prepared(MODES, {"project": project.pk, "slugs": slugs})[0]) if slugs != NO_SLUGS else {}
    primary, secondary = _categories(modes, body, faults) if verdict != Verdict.PASS else (None, ())
    if failing and primary is None and not note:
        faults.add("/primary_category", "Say what went wrong: choose a failure mode or write a note.")
    severity = _severity(body.get("severity"), faults) if verdict != Verdict.PASS else None
    spans = _spans(body.get("spans"), modes, faults)
    if failing and severity == HARM and not spans and not note:
        faults.add("/note", "Harm needs a note or a marked passage that shows it.")
    if severity is None and primary is not None:
        severity = primary.default_severity  # not said, so nobody claims harm and nothing has to show it
    result = {
        "verdict": verdict,
        "primary": primary,
        "categories": secondary,
        "severity": severity,
        "spans": spans,
        "desired_output": faults.text(body, "desired_output", MAX_TEXT),
        "note": note,
        "assertions": _assertions(body.get("assertions"), faults),
        "golden": faults.flag(body, "golden"),
        "golden_set": _golden_set(project, body, faults),
        "suggestion_seen": faults.flag(body, "suggestion_seen"),
        "suggestion": _suggestion(body.get("suggestion"), faults),
        "blind": faults.flag(body, "blind"),
        "seconds": _seconds(body.get("seconds"), faults),
    }
    if faults.found:
        raise ApiError(422, "invalid", faults.found[0]["message"], faults.found)
    said = {**result, "primary": primary.slug if primary else None}
    if not said["golden_set"]:
        del said["golden_set"]  # what says nothing of it is what it was before there was a choice
    mark = hashlib.sha256(json.dumps({k: v for k, v in said.items() if k != "seconds"}, sort_keys=True).encode())
    return Submission(submission_id=submission_id, fingerprint=mark.digest(), **result)  # type: ignore[arg-type]


def named(body: dict[str, Any]) -> str:
    """What may be slugs of failure modes anywhere in a body, as MODES takes them."""
    others, spans = body.get("categories"), body.get("spans")
    slugs = [body.get("primary_category"), *(others if isinstance(others, list) else ())]
    slugs += [span.get("category") for span in (spans if isinstance(spans, list) else ()) if isinstance(span, dict)]
    return storing.array({clean_text(slug) for slug in slugs if isinstance(slug, str)})


def modes_of(rows: str) -> dict[str, FailureMode]:
    """The failure modes that MODES has found, by slug."""
    modes = [FailureMode.from_db(connection.alias, MODE, row) for row in json.loads(rows)]
    return {mode.slug: mode for mode in modes}


def _golden_set(project: Project, body: dict[str, Any], faults: _Faults) -> str:
    """The dataset that is named; none is the usual one."""
    slug = faults.text(body, "golden_set", 60)
    if slug and slug not in dict(golden.sets(project)):
        faults.add("/golden_set", "There is no such dataset.")
    return slug


def _uuid(value: Any, faults: _Faults) -> UUID:
    found = submission_id_of(value)
    if found is None:
        faults.add("/submission_id", "Send a UUID of your own; sending it again is then the same vote.")
    return found or UUID(int=0)


def submission_id_of(value: Any) -> UUID | None:
    """The id in a body, None if it is no UUID."""
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def _categories(
    known: dict[str, FailureMode], body: dict[str, Any], faults: _Faults
) -> tuple[FailureMode | None, tuple[str, ...]]:
    wanted = body.get("primary_category") or None
    others = body.get("categories") or []
    if not isinstance(others, list):
        faults.add("/categories", "This must be a list.")
        others = []
    slugs: list[str] = []
    for path, slug in [("/primary_category", wanted), *((f"/categories/{n}", slug) for n, slug in enumerate(others))]:
        if slug is None:
            continue
        if not isinstance(slug, str) or slug not in known:
            faults.add(path, "There is no such failure mode in this project.")
        elif slug not in slugs:
            slugs.append(slug)
    if not slugs:
        return None, ()
    return known[slugs[0]], tuple(slugs[1:])


def _severity(value: Any, faults: _Faults) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not HARM <= value <= NIT:
        faults.add("/severity", "Severity is 1 (harm) to 4 (nit).")
        return None
    return value


def _seconds(value: Any, faults: _Faults) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        faults.add("/seconds", "Seconds are a number from 0.")
        return None
    return float(value)


def _suggestion(value: Any, faults: _Faults) -> dict[str, str]:
    """What became of each field that a judge suggested."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(
        name in SUGGESTED and outcome in OUTCOMES for name, outcome in value.items()
    ):
        faults.add("/suggestion", "Of verdict, primary_category and severity: accepted, changed or ignored.")
        return {}
    return dict(value)


def _spans(value: Any, modes: Container[str], faults: _Faults) -> tuple[dict[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_SPANS:
        faults.add("/spans", f"This must be a list of at most {MAX_SPANS} marks.")
        return ()
    marks = []
    for place, span in enumerate(value):
        path = f"/spans/{place}"
        if not isinstance(span, dict) or span.get("target") not in TARGETS:
            faults.add(path, "A mark has a target: output, document or message.")
            continue
        start, end = span.get("start"), span.get("end")
        if not _whole(start) or not _whole(end) or not 0 <= start < end:  # type: ignore[operator]
            faults.add(path, "A mark has start and end, whole numbers with start before end.")
            continue
        category, ref = span.get("category"), span.get("ref")
        if category is not None and (not isinstance(category, str) or category not in modes):
            faults.add(f"{path}/category", "There is no such failure mode in this project.")
            continue
        said = {"target": span["target"], "ref": str(ref) if _whole(ref) else ref, "category": category}
        mark: dict[str, Any] = {name: value for name, value in said.items() if isinstance(value, str)}
        mark |= {"start": start, "end": end}
        if span.get("kind") in KINDS:
            mark["kind"] = span["kind"]
        elif span.get("kind") is not None:
            faults.add(f"{path}/kind", "A mark is a claim or evidence.")
        if isinstance(span.get("quote"), str):
            mark["quote"] = clean_text(span["quote"])
        marks.append(mark)
    return tuple(marks)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _assertions(value: Any, faults: _Faults) -> tuple[dict[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_ASSERTIONS:
        faults.add("/assertions", f"This must be a list of at most {MAX_ASSERTIONS}.")
        return ()
    result = []
    for place, entry in enumerate(value):
        kind = entry.get("type") if isinstance(entry, dict) else None
        text = entry.get("text") if isinstance(entry, dict) else None
        if kind not in ("must", "must_not") or not isinstance(text, str) or not text.strip() or len(text) > MAX_NOTE:
            faults.add(f"/assertions/{place}", "An assertion has a type, must or must_not, and a text.")
        else:
            result.append({"type": kind, "text": clean_text(text).strip()})
    return tuple(result)


def check_marks(submission: Submission, interaction: Interaction) -> None:
    """Marks lie within the text that they mark, and their quotes are what stands there; ApiError 422 otherwise."""
    faults = _Faults()
    for place, span in enumerate(submission.spans):
        text = marked_text(span, interaction)
        if text is None:
            faults.add(f"/spans/{place}/ref", "There is no such document or message.")
        elif span["end"] > len(text):
            faults.add(f"/spans/{place}/end", f"The text has {len(text)} characters.")
        elif "quote" in span and text[span["start"] : span["end"]] != span["quote"]:
            faults.add(f"/spans/{place}/quote", "This is not what stands at this place.")
    if faults.found:
        raise ApiError(422, "invalid", faults.found[0]["message"], faults.found)


def marked_text(span: dict[str, Any], interaction: Interaction) -> str | None:
    """The stored text in which a mark lies; None if there is no such document or message."""
    ref = str(span.get("ref") or "")
    if span["target"] == "output":
        return interaction.output
    if span["target"] == "document":
        parts = [part for part in interaction.documents if isinstance(part, dict)]
        named = [part for part in parts if ref and str(part.get("id") or "") == ref]
        return _content(named[0]) if named else _content_at(interaction.documents, ref)
    return _content_at(interaction.messages, ref)


def _content(part: Any) -> str:
    return text_of(part.get("content")) if isinstance(part, dict) else ""


def _content_at(parts: list[Any], ref: str) -> str | None:
    """The text of the part with this number, counted from 0; documents without an id are named so too."""
    return _content(parts[int(ref)]) if re.fullmatch("[0-9]{1,4}", ref) and int(ref) < len(parts) else None
