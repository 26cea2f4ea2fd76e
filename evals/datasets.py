"""Golden datasets: drafts collect examples, people approve them, a version freezes and never changes again.

Every change takes the lock of its dataset first, so that nothing enters a draft while it is being frozen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from annotations.models import Annotation, ClusterMember, Label, Verdict
from evals import grouping, lines, snapshot
from evals.models import CurationSetting, Dataset, DatasetVersion, Example
from evals.snapshot import Content
from projects import audit, webhooks
from projects.errors import ApiError, invalid
from projects.models import Project, User

DEFAULT_SLUG = "golden"
MAX_NOTE = 300
CHUNK = 1_000
RESERVED = {"new", "settings"}  # pages that stand where a dataset's would


def create_default_dataset(project: Project) -> None:
    """The dataset that every new project has."""
    Dataset.objects.get_or_create(
        project=project,
        slug=DEFAULT_SLUG,
        defaults={"name": "Golden set", "description": "What the assistant must get right."},
    )


@transaction.atomic
def create_dataset(
    project: Project,
    *,
    slug: str,
    name: str,
    description: str = "",
    kind: str = Dataset.Kind.GOLDEN,
    licence: str = "",
    consent: str = "",
    actor: User | None = None,
) -> Dataset:
    """A new, empty dataset; 409 if the project has one of this slug, 422 if there is no such kind or the slug is
    taken by a page."""
    if kind not in Dataset.Kind.values:
        raise invalid("/kind", f"A kind is one of {', '.join(Dataset.Kind.values)}.")
    if slug in RESERVED:
        raise invalid("/slug", f"{slug} is the address of another page. Choose another name.")
    values = {"name": name, "description": description, "kind": kind, "licence": licence, "consent": consent}
    dataset, created = Dataset.objects.get_or_create(project=project, slug=slug, defaults=values)
    if not created:
        raise ApiError(409, "exists", f"There is already a dataset {slug}.")
    audit.record(project, actor, "dataset.created", slug, kind=kind)
    return dataset


@transaction.atomic
def set_terms(dataset: Dataset, *, actor: User, description: str, licence: str, consent: str) -> None:
    """Says what a dataset is for, and under which licence and consent its next version may be used."""
    before = {"licence": dataset.licence, "consent": dataset.consent}
    dataset.description, dataset.licence, dataset.consent = description, licence, consent
    dataset.save(update_fields=["description", "licence", "consent"])
    audit.record(
        dataset.project, actor, "dataset.terms", dataset.slug, before=before,
        after={"licence": licence, "consent": consent},
    )  # fmt: skip


def asks_second_person(project: Project) -> bool:
    """Whether an example has to be approved by somebody who neither voted for, proposed nor edited it."""
    return CurationSetting.objects.filter(project=project, second_person=True).exists()


@transaction.atomic
def ask_second_person(project: Project, wanted: bool, *, actor: User) -> None:
    """Sets whether approval takes a second person; what is approved already stays so."""
    before = asks_second_person(project)
    CurationSetting.objects.update_or_create(
        project=project, defaults={"second_person": wanted, "changed_by": actor, "changed_at": Now()}
    )
    if before != wanted:
        audit.record(project, actor, "curation.second_person", project.slug, before=before, after=wanted)


@transaction.atomic
def draft_of(dataset: Dataset) -> DatasetVersion:
    """The open draft; if there is none, a new one that starts as a copy of the last frozen version."""
    _lock(dataset)
    draft = _draft(dataset)
    if draft is None:
        last = latest_frozen(dataset)
        number = dataset.versions.aggregate(last=Max("number"))["last"] or 0
        draft = DatasetVersion.objects.create(dataset=dataset, number=number + 1)
        if last is not None:
            _copy_examples(last, draft)
    return draft


def offered(project: Project) -> list[tuple[str, str]]:
    """Slug and name of the datasets that a reviewer may choose from, the usual one first."""
    rows = Dataset.objects.filter(project=project).order_by("name", "pk").values_list("slug", "name")
    return sorted(rows, key=lambda row: row[0] != DEFAULT_SLUG)


def named(project: Project, slug: str) -> Dataset | None:
    """The dataset of this name; None without a name, or where it has gone since: then the usual one is meant."""
    return Dataset.objects.filter(project=project, slug=slug).first() if slug else None


def usual(project: Project) -> Dataset:
    """The dataset that is meant where none is named; made if it is not there."""
    create_default_dataset(project)
    return Dataset.objects.get(project=project, slug=DEFAULT_SLUG)


@transaction.atomic
def propose(label: Label, *, dataset: Dataset | None = None, actor: User | None = None) -> Example:
    """Puts what a label settled into the draft, unapproved, and returns the example.

    Its proposers are those whose votes settled the label, and ``actor`` where a person proposed it by hand.

    Repeating it changes nothing. A newer label of the same interaction replaces the content, which then waits
    for approval again. 409 if the label was taken back, 422 if it says neither pass nor fail.
    """
    if label.superseded_at is not None:
        raise ApiError(409, "label_superseded", "This label was taken back or replaced by a newer one.")
    if label.verdict == Verdict.UNSURE:
        raise invalid("/label", "An unsure verdict is no expectation.")
    dataset = dataset or usual(label.project)
    voters = Annotation.objects.filter(pk__in=label.annotation_ids).values_list("reviewer_id", flat=True)
    proposers = {*voters, *([actor.pk] if actor else [])}
    cluster = (
        ClusterMember.objects.filter(interaction=label.interaction_id).values_list("cluster_id", flat=True).first()
    )
    draft = draft_of(dataset)
    content = grouping.beside(draft, _expecting(dataset, snapshot.of_label(label, cluster=cluster)))
    return _put(draft, content, label=label, proposers=proposers)[0]


@transaction.atomic
def add_examples(
    dataset: Dataset, contents: list[Content], *, actor: User | None, approve: bool = False
) -> tuple[int, int]:
    """Puts examples from outside into the draft; returns how many were new or changed, and how many it had already.

    With ``approve`` they count as approved by ``actor`` (None: by the key that sent them); 409 where that takes a
    second person.
    """
    if approve and asks_second_person(dataset.project):
        raise ApiError(409, "second_person", "In this project a second person approves. Send them without approve.")
    draft = draft_of(dataset)
    contents = [_expecting(dataset, content) for content in contents]
    known = fates(draft, contents)
    count = _put_many(draft, contents, known, [actor.pk] if actor else [])
    if approve:
        keys = [content.key for content in contents]
        draft.examples.filter(key__in=keys, approved_at=None).update(approved_at=Now(), approved_by=actor)
    audit.record(
        dataset.project, actor, "dataset.examples_added", dataset.slug, by="key", count=count, approved=approve
    )
    return count, len(contents) - count


def _expecting(dataset: Dataset, content: Content) -> Content:
    """In an adversarial set an example that says nothing of the answer expects it to decline."""
    said = any(content.expected.get(name) for name in ("output", "assertions", "schema"))
    if dataset.kind != Dataset.Kind.ADVERSARIAL or said:
        return content
    return replace(content, expected={**content.expected, "refusal": True})


def fates(version: DatasetVersion | None, contents: list[Content]) -> dict[str, str]:
    """What these are to a version, by key: ``new``, ``changed`` or ``same``. Reads a thousand rows at a time."""
    found = dict.fromkeys((content.key for content in contents), "new")
    for start in range(0, len(contents) if version else 0, CHUNK):
        part = {content.key: content for content in contents[start : start + CHUNK]}
        for row in Example.objects.filter(version=version, key__in=list(part)).values(*lines.COLUMNS):
            key = row.pop("key")
            found[key] = "same" if row == part[key].columns() else "changed"
    return found


def _put_many(draft: DatasetVersion, contents: list[Content], known: dict[str, str], proposers: list[int]) -> int:
    """Stores what is new or changed, unapproved, and returns how many; of one key the last counts.

    A changed row is written anew under its number, so that its address stays: an UPDATE of many rows with values of
    their own takes seven times as long.
    """
    last = {content.key: content for content in contents if known[content.key] != "same"}
    for start in range(0, len(last), CHUNK):
        part = dict(list(last.items())[start : start + CHUNK])
        there = draft.examples.filter(key__in=[key for key in part if known[key] == "changed"])
        before = {key: (pk, at) for key, pk, at in there.values_list("key", "pk", "created_at")}
        there.delete()
        for keys in (part.keys() - before.keys(), before.keys()):
            made = [Example(version=draft, key=key, proposers=proposers, **part[key].columns()) for key in sorted(keys)]
            for example in made:
                if example.key in before:
                    example.pk, example.created_at = before[example.key]
            Example.objects.bulk_create(made)
    return len(last)


def _put(
    draft: DatasetVersion, content: Content, *, label: Label | None = None, proposers: set[int]
) -> tuple[Example, bool]:
    """The example with this content, and whether the draft changed. Changed content must be approved anew."""
    existing, by = draft.examples.filter(key=content.key).first(), sorted(proposers)
    if existing is None:
        new = Example(version=draft, key=content.key, label=label, proposers=by, **content.columns())
        new.save(force_insert=True)
        return new, True
    same = all(getattr(existing, name) == value for name, value in content.columns().items())
    if same or (label is not None and existing.label_id == label.pk):
        return existing, False
    for name, value in content.columns().items():
        setattr(existing, name, value)
    existing.label, existing.proposers, existing.approved_at, existing.approved_by = label, by, None, None
    existing.save(update_fields=[*content.columns(), "label", "proposers", "approved_at", "approved_by"])
    return existing, True


@transaction.atomic
def approve(example: Example, *, actor: User) -> bool:
    """Lets an example into the next version; returns whether it was waiting for that.

    409 if its version is frozen, if the label it came from was taken back since, or if the project asks for a second
    person and ``actor`` is one of the proposers.
    """
    draft = _locked_draft(example)
    example = draft.examples.get(pk=example.pk)
    if actor.pk in example.proposers and asks_second_person(draft.dataset.project):
        raise ApiError(409, "second_person", "You voted for, proposed or edited this. Somebody else has to approve it.")
    label = Label.objects.filter(pk=example.label_id).first() if example.label_id else None
    if label is not None and label.superseded_at is not None:
        raise ApiError(409, "label_superseded", "The label behind this example was taken back. Remove it instead.")
    done = draft.examples.filter(pk=example.pk, approved_at=None).update(approved_at=Now(), approved_by=actor)
    return bool(done)


@transaction.atomic
def approve_all(dataset: Dataset, *, actor: User) -> int:
    """Approves every waiting example of the draft whose label still stands; returns how many.

    Where the project asks for a second person, what ``actor`` proposed stays waiting.
    """
    _lock(dataset)
    waiting = Example.objects.filter(version__dataset=dataset, version__frozen_at=None, approved_at=None)
    if asks_second_person(dataset.project):
        waiting = waiting.exclude(proposers__contains=[actor.pk])
    return waiting.exclude(label__superseded_at__isnull=False).update(approved_at=Now(), approved_by=actor)


@transaction.atomic
def remove(example: Example, *, actor: User) -> None:
    """Takes an example out of the draft: a proposal is rejected, an approved one is not in the next version."""
    draft = _locked_draft(example)
    draft.examples.filter(pk=example.pk).delete()
    audit.record(
        draft.dataset.project, actor, "example.removed", f"{draft.dataset.slug}@{draft.number}", key=example.key
    )


@transaction.atomic
def edit_expected(
    example: Example, *, actor: User, output: str | None = None, assertions: list[dict[str, str]] | None = None
) -> Example:
    """Changes what the answer should be. The example waits for approval again, and says that it was edited."""
    draft = _locked_draft(example)
    example = draft.examples.get(pk=example.pk)
    expected = dict(example.expected)
    if output is not None:
        expected["output"] = output
    if assertions is not None:
        expected["assertions"] = assertions
    if expected == example.expected:
        return example
    example.expected = expected
    example.provenance = {**example.provenance, "edited": True}
    example.proposers = sorted({*example.proposers, actor.pk})
    example.approved_at = example.approved_by = None
    example.save(update_fields=["expected", "provenance", "proposers", "approved_at", "approved_by"])
    audit.record(
        draft.dataset.project, actor, "example.edited", f"{draft.dataset.slug}@{draft.number}", key=example.key
    )
    return example


@transaction.atomic
def freeze(dataset: Dataset, *, actor: User | None, note: str = "") -> DatasetVersion:
    """Freezes the approved examples of the draft under the next number, with a checksum.

    What is not approved moves on to the next draft; where it would have changed an example of the last version,
    this version keeps the old one. 409 if nothing is approved, nothing changed since the last version, or a group of
    related examples stands in more than one split.
    """
    if len(note) > MAX_NOTE:
        raise invalid("/note", f"At most {MAX_NOTE} characters.")
    dataset = Dataset.objects.select_for_update().select_related("project").get(pk=dataset.pk)
    draft, last = _draft(dataset), latest_frozen(dataset)
    if draft is None:
        raise ApiError(409, "unchanged", "There is no draft to freeze: nothing was proposed since the last version.")
    waiting = _set_aside(draft, last)
    checksum, count = lines.checksum(draft)
    if count == 0:
        raise ApiError(409, "empty", "No example is approved yet.")
    if last is not None and last.checksum == checksum:
        raise ApiError(409, "unchanged", f"Nothing changed since version {last.number}.")
    if torn := grouping.torn(draft):
        raise ApiError(
            409, "group_torn",
            f"{len(torn)} group{'s' if len(torn) > 1 else ''} of related examples would stand in several splits"
            f" ({', '.join(torn[0].keys[:3])}). Bring each together on the dataset's hygiene page.",
        )  # fmt: skip
    DatasetVersion.objects.filter(pk=draft.pk).update(
        frozen_at=Now(), frozen_by=actor, checksum=checksum, count=count, note=note, licence=dataset.licence,
        consent=dataset.consent,
    )  # fmt: skip
    if waiting:
        _take_up(draft_of(dataset), waiting)
    place = f"{dataset.slug}@{draft.number}"
    audit.record(dataset.project, actor, "dataset.frozen", place, by="key", checksum=checksum, count=count)
    webhooks.emit(
        dataset.project,
        "dataset.frozen",
        {"dataset": dataset.slug, "version": draft.number, "count": count, "checksum": checksum},
    )
    return DatasetVersion.objects.get(pk=draft.pk)


def latest_frozen(dataset: Dataset) -> DatasetVersion | None:
    """The newest frozen version."""
    return dataset.versions.filter(frozen_at__isnull=False).order_by("-number").first()


def withdraw(label_ids: list[int]) -> int:
    """Takes proposals back out of their drafts whose label no longer stands. What a person approved stays."""
    waiting = Example.objects.filter(label_id__in=label_ids, approved_at=None, version__frozen_at=None)
    with transaction.atomic():
        datasets = sorted(set(waiting.values_list("version__dataset_id", flat=True)))
        list(Dataset.objects.select_for_update().filter(pk__in=datasets).order_by("pk"))
        return waiting.delete()[0]


def _lock(dataset: Dataset) -> None:
    Dataset.objects.select_for_update().get(pk=dataset.pk)


def _draft(dataset: Dataset) -> DatasetVersion | None:
    return dataset.versions.filter(frozen_at=None).first()


def _locked_draft(example: Example) -> DatasetVersion:
    """The draft this example is in, with its dataset locked; 409 if it is frozen by now."""
    dataset = Dataset.objects.select_for_update().get(versions__examples=example)
    draft = _draft(dataset)
    if draft is None or not draft.examples.filter(pk=example.pk).exists():
        raise ApiError(409, "frozen", "This version is frozen and does not change any more.")
    return draft


_INHERITED = [*lines.COLUMNS, "label_id", "proposers", "approved_at", "approved_by_id"]


def _copy_examples(source: DatasetVersion, target: DatasetVersion, keys: list[str] | None = None) -> None:
    """Copies inside the database: a version may hold 100,000 examples of which Python need not see one."""
    columns = ", ".join(_INHERITED)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO evals_example (version_id, {columns}) SELECT %s, {columns} FROM evals_example"  # noqa: S608
            " WHERE version_id = %s AND (%s::text[] IS NULL OR key = ANY(%s::text[]))",
            [target.pk, source.pk, keys, keys],
        )


def _set_aside(draft: DatasetVersion, last: DatasetVersion | None) -> list[dict[str, Any]]:
    """Takes the unapproved examples out of the draft and returns their values; unapproved changes are undone."""
    unapproved = draft.examples.filter(approved_at=None)
    waiting = list(unapproved.values(*lines.COLUMNS, "label_id", "proposers"))
    unapproved.delete()
    if last is not None and waiting:
        _copy_examples(last, draft, [row["key"] for row in waiting])
    return waiting


def _take_up(draft: DatasetVersion, waiting: list[dict[str, Any]]) -> None:
    draft.examples.filter(key__in=[row["key"] for row in waiting]).delete()
    Example.objects.bulk_create([Example(version=draft, **row) for row in waiting], batch_size=500)
