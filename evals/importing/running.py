"""An import: every record held against the others and against the draft; then all that fits, or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction

from evals import datasets, lines
from evals.importing import building, columns, reading
from evals.importing.columns import Column
from evals.importing.reading import File
from evals.models import Dataset, DatasetVersion
from evals.snapshot import Content
from projects.errors import ApiError
from projects.models import User

REFUSED_SHOWN, SAMPLES = 100, 20


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not taken: where it stands, which part of it is at fault, and why."""

    place: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An example as it would be, and what it is to the draft: ``new``, ``changed`` or ``same``."""

    place: str
    fate: str
    key: str
    question: str
    expected: str
    split: str


@dataclass(slots=True)
class Plan:
    """What an import adds, or has added. ``repeated`` stand in the file more than once, word for word."""

    format: str
    records: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    repeated: int = 0
    refused: int = 0
    dry_run: bool = True
    approved: bool = False
    notes: list[str] = field(default_factory=list)
    faults: list[Refused] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file with its columns and what each of them becomes. Native files have none: they say it themselves."""

    file: File
    columns: list[Column]
    mapping: dict[str, str]


def open_file(data: bytes, name: str = "", wanted: Iterable[str] | dict[str, str] = ()) -> Opened:
    """Reads a file and settles what its columns mean: as ``wanted``, else as guessed. ApiError where that cannot be."""
    file = reading.read(data, name)
    if file.native:
        return Opened(file, [], {})
    found = columns.columns_of(file)
    return Opened(
        file, found, columns.settled(found, wanted if isinstance(wanted, dict) else columns.mapping_of(wanted))
    )


def dry_run(dataset: Dataset, opened: Opened) -> Plan:
    """What the import would do now. Writes nothing."""
    return _planned(dataset, opened)[0]


@transaction.atomic
def run(dataset: Dataset, opened: Opened, *, actor: User | None, approve: bool = False) -> Plan:
    """Puts every record that fits into the draft; one transaction, so that a fault leaves the draft as it was.

    409 for ``approve`` where a second person has to, 422 if no record fits.
    """
    datasets.draft_of(dataset)  # and its lock: from here nobody else writes into it
    plan, contents = _planned(dataset, opened)
    if not contents:
        first = plan.faults[0] if plan.faults else None
        raise ApiError(
            422, "invalid", f"No example fits. {first.place}: {first.message}" if first else "There is no example.",
            [{"path": f"{each.place}: {each.path}", "message": each.message} for each in plan.faults[:REFUSED_SHOWN]],
        )  # fmt: skip
    datasets.add_examples(dataset, contents, actor=actor, approve=approve)
    plan.dry_run, plan.approved = False, approve
    return plan


def _planned(dataset: Dataset, opened: Opened) -> tuple[Plan, list[Content]]:
    plan = Plan(opened.file.format, records=len(opened.file.records), notes=list(opened.file.notes))
    there: dict[str, tuple[str, Content]] = {}
    for record in opened.file.records:
        try:
            if record.fault:
                raise ApiError(422, "invalid", record.fault)
            content = (
                building.native(record) if opened.file.native
                else building.mapped(record, opened.mapping, opened.file.format)
            )  # fmt: skip
            if _fits_beside(content, record.place, there, plan):
                there[content.key] = (record.place, content)
        except ApiError as error:
            _refuse(plan, record.place, error)
    _held_against(_draft_or_last(dataset), there, plan)
    return plan, [content for _, content in there.values()]


def _fits_beside(content: Content, place: str, there: dict[str, tuple[str, Content]], plan: Plan) -> bool:
    """Whether it is new in the file; ApiError where the file has said otherwise under the same key."""
    before = there.get(content.key)
    if before is None:
        return True
    if before[1] == content:
        plan.repeated += 1
        return False
    same = "input" if before[1].input == content.input else "id"
    raise ApiError(422, "invalid", f"The same {same} as {before[0]}, but not the same example.", [
        {"path": f"/{same}", "message": f"The same {same} as {before[0]}, but not the same example."}
    ])  # fmt: skip


def _refuse(plan: Plan, place: str, error: ApiError) -> None:
    plan.refused += 1
    if len(plan.faults) < REFUSED_SHOWN:
        first = error.details[0] if error.details else {"path": "", "message": error.message}
        plan.faults.append(Refused(place, first["path"], first["message"]))


def _draft_or_last(dataset: Dataset) -> DatasetVersion | None:
    """What an example is held against: the draft, or the version that a new draft would start from."""
    return dataset.versions.filter(frozen_at=None).first() or datasets.latest_frozen(dataset)


def _held_against(version: DatasetVersion | None, there: dict[str, tuple[str, Content]], plan: Plan) -> None:
    known = datasets.fates(version, [content for _, content in there.values()])
    for key, (place, content) in there.items():
        fate = known[key]
        plan.new, plan.changed, plan.same = (
            plan.new + (fate == "new"), plan.changed + (fate == "changed"), plan.same + (fate == "same"),
        )  # fmt: skip
        if len(plan.samples) < SAMPLES:
            question = lines.question_of(content.input.get("messages") or [])
            expected = content.expected.get("output") or "; ".join(
                each["text"] for each in content.expected.get("assertions") or []
            )
            plan.samples.append(Sample(place, fate, key, question[:300], expected[:300], content.split))
