"""Conditions as rows of a form, and back: what, which operator, what value, in one group and groups inside it.

Everything a form of this kind can hold it holds without loss: ``rows`` gives None for a condition that would not come
back the same (groups in groups, ``not`` around a group, unusual mixtures), which is then edited as JSON. A row does
not check its values: what is half typed becomes a condition that ``conditions.compiled`` refuses with its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from annotations.conditions import (
    FEEDBACK_KINDS,
    FIELDS,
    METADATA,
    NUMBER_OPS,
    SCORE_SOURCES,
    SET_OPS,
    SIGNALS,
    TEXT_OPS,
    TEXTS,
)
from projects.strictjson import clean_text

SEVERAL = {"in", "not_in", "has_any"}
BARE = {"known", "unknown"}
COMPARE = {name: words for name, words in NUMBER_OPS.items() if name not in BARE}
FEEDBACK_OPS = {
    "any": "of any kind", "negative": "negative", "verified": "verified", "both": "negative and verified",
}  # fmt: skip
SCORE_OPS = {**COMPARE, "label": "says", "flagged": "flags a problem", "fine": "flags no problem"}
WORDS_OPS = {"words": "says one of", "matches": "matches the pattern"}
METADATA_OPS = {**TEXT_OPS, **COMPARE}
MOST = 60  # rows and groups together, like the parts of a condition

Choices = list[tuple[str, str]]


@dataclass(slots=True)
class Row:
    """One leaf. ``what`` is kind and name (``signal:error``, ``field:model``); ``which`` a name that is typed."""

    pk: str = ""
    what: str = "signal:negative_feedback"
    which: str = ""
    op: str = ""
    value: str = ""
    ruled_out: bool = False

    @property
    def kind(self) -> str:
        return self.what.partition(":")[0]

    @property
    def name(self) -> str:
        return self.what.partition(":")[2]

    @property
    def ops(self) -> Choices:
        """The operators that belong to what the row asks for."""
        return list(_ops(self.kind, self.name).items())

    @property
    def asks_which(self) -> str:
        """The label of the field for a name, empty where none is typed."""
        if self.kind == "score":
            return "Name of the score"
        return "Key of the metadata" if self.what == f"field:{METADATA}" else ""

    @property
    def asks_value(self) -> str:
        """The label of the field for a value, empty where none is needed."""
        if self.kind == "signal" or self.op in BARE | {"flagged", "fine"}:
            return ""
        if self.kind == "feedback":
            return "Value, for example down"
        if self.op in SEVERAL | {"words"}:
            return "Values, separated by commas"
        return "Pattern" if self.op == "matches" else "Value"


@dataclass(slots=True)
class Group:
    """Rows of which all or any must be met; the outer group holds groups too."""

    pk: str = ""
    join: str = "all"
    parts: list[Row | Group] = field(default_factory=list)


WHATS: list[tuple[str, Choices]] = [
    ("Signals", [(f"signal:{name}", words.capitalize()) for name, words in SIGNALS.items()]),
    ("Feedback", [("feedback:", "Any feedback"),
                  *((f"feedback:{name}", name.replace("_", " ").capitalize()) for name in FEEDBACK_KINDS)]),
    ("Newest score", [("score:", "Score by name"),
                      *((f"score:{name}", f"Score from {name}") for name in SCORE_SOURCES)]),
    ("Words", [(f"text:{name}", "Any text" if name == "any" else f"The {words}") for name, words in TEXTS.items()]),
    ("What was sent", [*((f"field:{name}", kind.label) for name, kind in FIELDS.items()),
                       (f"field:{METADATA}", "Metadata")]),
]  # fmt: skip
_KNOWN = {value for _, choices in WHATS for value, _ in choices}


def _ops(kind: str, name: str) -> dict[str, str]:
    if kind == "field":
        if name == METADATA:
            return METADATA_OPS
        return {"text": TEXT_OPS, "number": NUMBER_OPS, "set": SET_OPS}[FIELDS[name].kind]
    return {"feedback": FEEDBACK_OPS, "score": SCORE_OPS, "text": WORDS_OPS}.get(kind, {})


# -- from a condition ---------------------------------------------------------------------------------------------


def rows(condition: Any) -> Group | None:
    """The condition as rows, numbered; None where rows cannot say it."""
    group = _group(condition, deeper=True) or _group({"all": [condition]}, deeper=True)
    if group is None or condition_of(group) not in (condition, {"all": [condition]}):
        return None
    return numbered(group)


def numbered(group: Group) -> Group:
    """The same with the places of its parts as their keys: ``0``, ``1``, ``1.0``."""
    for place, part in enumerate(group.parts):
        part.pk = str(place)
        if isinstance(part, Group):
            for inner, row in enumerate(part.parts):
                row.pk = f"{place}.{inner}"
    return group


def _group(value: Any, *, deeper: bool) -> Group | None:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    join, parts = next(iter(value.items()))
    if join not in {"all", "any"} or not isinstance(parts, list):
        return None
    found = Group(join=join)
    for part in parts:
        row: Row | Group | None = _row(part)
        if row is None and deeper:
            row = _group(part, deeper=False)
        if row is None:
            return None
        found.parts.append(row)
    return found


def _row(value: Any) -> Row | None:
    if not isinstance(value, dict):
        return None
    if "not" in value:
        row = _row(value["not"]) if len(value) == 1 else None
        if row is None or row.ruled_out:
            return None
        row.ruled_out = True
        return row
    for kind, read in _READERS.items():
        if kind in value:
            row = read(value)
            return row if row.what in _KNOWN else None
    return None


def _signal_row(value: Any) -> Row:
    return Row(what=f"signal:{value['signal']}")


def _feedback_row(value: Any) -> Row:
    wanted = value["feedback"] if isinstance(value["feedback"], dict) else {}
    flags = tuple(name for name in ("negative", "verified") if wanted.get(name) is True)
    op = {("negative", "verified"): "both", ("negative",): "negative", ("verified",): "verified"}.get(flags, "any")
    return Row(what=f"feedback:{wanted.get('kind', '')}", op=op, value=_said(wanted.get("value")))


def _score_row(value: Any) -> Row:
    wanted = value["score"] if isinstance(value["score"], dict) else {}
    row = Row(what=f"score:{wanted.get('source', '')}", which=_said(wanted.get("name")))
    if "flagged" in wanted:
        row.op = "flagged" if wanted["flagged"] else "fine"
    elif "label" in wanted:
        row.op, row.value = "label", _said(wanted["label"])
    else:
        row.op, row.value = _said(wanted.get("op")), _said(wanted.get("value"))
    return row


def _field_row(value: Any) -> Row:
    name, which = _said(value["field"]), ""
    if name.startswith(METADATA):
        name, which = METADATA, name.removeprefix(METADATA)
    return Row(what=f"field:{name}", which=which, op=_said(value.get("op")), value=_said(value.get("value")))


def _text_row(value: Any) -> Row:
    wanted = value["text"] if isinstance(value["text"], dict) else {}
    op = "matches" if "matches" in wanted else "words"
    return Row(what=f"text:{wanted.get('in', 'any')}", op=op, value=_said(wanted.get(op)))


_READERS = {
    "signal": _signal_row, "feedback": _feedback_row, "score": _score_row, "field": _field_row, "text": _text_row,
}  # fmt: skip


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, bool) or value is None:
        return ""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


# -- to a condition -----------------------------------------------------------------------------------------------


def condition_of(group: Group) -> dict[str, Any]:
    """The condition that the rows say; not checked."""
    return {group.join: [condition_of(part) if isinstance(part, Group) else _leaf(part) for part in group.parts]}


def _leaf(row: Row) -> dict[str, Any]:
    leaf = _WRITERS[row.kind](row)
    return {"not": leaf} if row.ruled_out else leaf


def _signal_leaf(row: Row) -> dict[str, Any]:
    return {"signal": row.name}


def _feedback_leaf(row: Row) -> dict[str, Any]:
    wanted: dict[str, Any] = {"kind": row.name} if row.name else {}
    if row.value:
        wanted["value"] = row.value
    for name in ("negative", "verified"):
        if row.op in {name, "both"}:
            wanted[name] = True
    return {"feedback": wanted}


def _score_leaf(row: Row) -> dict[str, Any]:
    wanted: dict[str, Any] = {"source": row.name} if row.name else {}
    if row.which:
        wanted["name"] = row.which
    if row.op == "label":
        wanted["label"] = row.value
    elif row.op in {"flagged", "fine"}:
        wanted["flagged"] = row.op == "flagged"
    else:
        wanted |= {"op": row.op, "value": _number(row.value)}
    return {"score": wanted}


def _field_leaf(row: Row) -> dict[str, Any]:
    leaf: dict[str, Any] = {"field": f"{METADATA}{row.which}" if row.name == METADATA else row.name, "op": row.op}
    if row.op in BARE:
        return leaf
    leaf["value"] = _words(row.value) if row.op in SEVERAL else _number(row.value) if row.op in COMPARE else row.value
    return leaf


def _text_leaf(row: Row) -> dict[str, Any]:
    wanted: dict[str, Any] = {} if row.name == "any" else {"in": row.name}
    wanted[row.op] = _words(row.value) if row.op == "words" else row.value
    return {"text": wanted}


_WRITERS = {
    "signal": _signal_leaf, "feedback": _feedback_leaf, "score": _score_leaf, "field": _field_leaf, "text": _text_leaf,
}  # fmt: skip


def _number(text: str) -> Any:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _words(text: str) -> list[str]:
    return [word for part in text.split(",") if (word := part.strip())]


# -- from what was posted, and the buttons of the form ------------------------------------------------------------


def posted(post: QueryDict) -> Group:
    """The rows as they were sent; operators that do not belong to what a row asks for become the first that does."""
    outer = Group(join=_join(post.get("join")))
    groups: dict[str, Group] = {}
    for pk in post.getlist("part")[:MOST]:
        place, _, inner = pk.partition(".")
        if post.get(f"{pk}-join"):
            groups[pk] = Group(pk=pk, join=_join(post.get(f"{pk}-join")))
            outer.parts.append(groups[pk])
        elif inner and place in groups:
            groups[place].parts.append(_posted_row(post, pk))
        elif not inner:
            outer.parts.append(_posted_row(post, pk))
    return outer


def _join(text: str | None) -> str:
    return "any" if text == "any" else "all"


def _posted_row(post: QueryDict, pk: str) -> Row:
    what = post.get(f"{pk}-what", "")
    row = Row(
        pk=pk, what=what if what in _KNOWN else "signal:negative_feedback",
        which=clean_text(post.get(f"{pk}-which", "")).strip(), op=post.get(f"{pk}-op", ""),
        value=clean_text(post.get(f"{pk}-value", "")).strip(), ruled_out=post.get(f"{pk}-not") == "not",
    )  # fmt: skip
    known = [name for name, _ in row.ops]
    if row.op not in known:
        row.op = known[0] if known else ""
    return row


def changed(group: Group, deed: str) -> Group:
    """The rows after a button: ``add``, ``add:1`` (to a group), ``group``, ``drop:1.0``. Others change nothing."""
    verb, _, pk = deed.partition(":")
    if verb == "add" and sum(1 for _ in _every(group)) < MOST:
        inside = next((part for part in group.parts if isinstance(part, Group) and part.pk == pk), None)
        (inside or group).parts.append(Row())
    elif verb == "group" and sum(1 for _ in _every(group)) < MOST:
        group.parts.append(Group(join="any", parts=[Row()]))
    elif verb == "drop":
        for inside in [group, *(part for part in group.parts if isinstance(part, Group))]:
            inside.parts = [part for part in inside.parts if part.pk != pk]
    return numbered(group)


def _every(group: Group) -> Iterator[Row | Group]:
    for part in group.parts:
        yield part
        if isinstance(part, Group):
            yield from part.parts
