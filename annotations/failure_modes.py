"""The taxonomy of a project: making, changing, merging, splitting and retiring failure modes, and where old labels go.

Every change that touches what a mode means is a new version of the rubric: a snapshot of all modes, with who changed
it and why. Keys and order mean nothing, so they make none. A vote keeps the version it was made under and the mode
it named; readers ask where a retired mode went (``FailureMode.counts_as``, ``forward``) and leave the vote as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from annotations import keymap
from annotations.checking import Settings, free_slug, one_of, text, whole
from annotations.models import FailureMode, Rubric
from annotations.presets import PRESETS
from annotations.taxonomy import HARM, NIT, slug_of
from projects import audit
from projects.errors import ApiError, invalid
from projects.models import Project, User
from projects.strictjson import clean_text

SETTINGS = ("label", "description", "group", "guide", "examples", "counter_examples", "digit", "default_severity")
MEANS = frozenset(SETTINGS) - {"digit"}
MAX_LABEL, MAX_DESCRIPTION, MAX_GROUP, MAX_GUIDE, MAX_EXAMPLE, EXAMPLES, MAX_NOTE = 80, 300, 80, 10_000, 500, 30, 300
MOST, PARTS = 60, 6  # modes in use; parts of one that is split
LOCK = 0x52484D  # the family of the lock that lets one person at a time change a project's taxonomy


def forward(project: Project) -> dict[str, str]:
    """Of each retired mode that went elsewhere, by slug: the mode that its labels count as now. One query."""
    rows = FailureMode.objects.filter(project=project, counts_as__isnull=False)
    return dict(rows.values_list("slug", "counts_as__slug"))


def now(mode: FailureMode | None) -> FailureMode | None:
    """The mode that a label which names this one counts as now: itself, unless it was retired and went elsewhere."""
    return (mode.counts_as or mode) if mode is not None else None


def mapped(slugs: Iterable[str], mapping: Mapping[str, str]) -> list[str]:
    """Slugs as they count now, each once, in their order."""
    return list(dict.fromkeys(mapping.get(slug, slug) for slug in slugs))


def counted_slug(prefix: str = "primary_category__") -> Coalesce:
    """For queries over votes and labels: the slug of the mode that a label counts as now; NULL where it has none."""
    return Coalesce(F(f"{prefix}counts_as__slug"), F(f"{prefix}slug"))


def counted_label(prefix: str = "primary_category__") -> Coalesce:
    """The name that belongs to ``counted_slug``."""
    return Coalesce(F(f"{prefix}counts_as__label"), F(f"{prefix}label"))


def counts_as(project: Project, slugs: Iterable[str], prefix: str = "primary_category__") -> Q:
    """For filters: what counts as one of these modes now. A retired name finds what it has become."""
    now = mapped(slugs, forward(project))
    itself = Q(**{f"{prefix}slug__in": now, f"{prefix}counts_as": None})
    return itself | Q(**{f"{prefix}counts_as__slug__in": now})


# -- changing one --------------------------------------------------------------------------------------------------


@transaction.atomic
def save(
    *, project: Project, actor: User | None, mode: FailureMode | None, fields: Mapping[str, Any], note: str = ""
) -> FailureMode:
    """A new mode (``mode`` is None), or changes of one in use; absent fields stay as they are.

    ``examples`` and ``counter_examples`` are lists of texts; ``digit`` is a key of the number row or empty. ``note``
    says why, for the version. ApiError 422 with everything that is wrong; 409 where nothing is but that another one has
    the name or the key, for a retired one, or if there are too many.
    """
    note = _note(note)
    modes = _locked(project)
    old = _of(modes, mode)
    if old is not None and old.retired_at:
        raise ApiError(409, "retired", "This failure mode is retired. Bring it back to change it.")
    draft = _drafted(project, old, modes, Settings(fields))
    changed = [name for name in SETTINGS if old is None or getattr(old, name) != getattr(draft, name)]
    if not changed:
        return draft
    draft.save()
    _kept(project, actor, "failure_mode.changed" if old else "failure_mode.created", draft, note,
          means=not MEANS.isdisjoint(changed), changed={name: getattr(draft, name) for name in changed})  # fmt: skip
    return draft


@transaction.atomic
def arrange(*, project: Project, actor: User | None, order: Sequence[str], digits: Mapping[str, str]) -> None:
    """Sets the order and the keys of the modes in use at once, so that two can swap keys.

    ``order`` are slugs; those that it leaves out follow in their order. Means nothing, so it makes no version.
    ApiError 422 where a key is taken, is no key of the number row, or a slug is unknown.
    """
    modes = {mode.slug: mode for mode in _locked(project) if mode.retired_at is None}
    faults = [
        {"path": f"/{where}/{slug}", "message": "There is no such failure mode in use."}
        for where, slugs in (("order", order), ("digits", digits)) for slug in slugs if slug not in modes
    ]  # fmt: skip
    new = {slug: digits.get(slug, mode.digit) for slug, mode in modes.items()}
    faults += [{"path": "/digits", "message": conflict} for conflict in keymap.conflicts(new.values())]
    if faults:
        raise ApiError(422, "invalid", faults[0]["message"], faults)
    places = {slug: place for place, slug in enumerate(dict.fromkeys([*order, *modes]), start=1)}
    FailureMode.objects.filter(project=project, retired_at=None).update(digit="")  # so that two can swap theirs
    for slug, mode in modes.items():
        mode.digit, mode.position = new[slug], places[slug]
    FailureMode.objects.bulk_update(modes.values(), ["digit", "position"])
    audit.record(project, actor, "taxonomy.arranged", by="key", order=list(places), digits=new)


# -- retiring, merging, splitting ----------------------------------------------------------------------------------


@transaction.atomic
def retire(*, actor: User | None, mode: FailureMode, note: str = "") -> FailureMode:
    """Takes a mode out of use. Labels that name it keep it and go on counting as it. 409 if it is retired already."""
    note = _note(note)
    mode = _in_use(_locked(mode.project), mode)
    _retired(mode, None, ())
    _kept(mode.project, actor, "failure_mode.retired", mode, note)
    return mode


@transaction.atomic
def merge(*, actor: User | None, mode: FailureMode, into: str, note: str = "") -> FailureMode:
    """Retires a mode; its labels count as ``into`` (a slug) from now on. 422 if that is not another one in use."""
    note = _note(note)
    modes = _locked(mode.project)
    mode = _in_use(modes, mode)
    _retired(mode, _another(modes, mode, into, "/into"), ())
    _kept(mode.project, actor, "failure_mode.merged", mode, note, into=into)
    return mode


@transaction.atomic
def split(
    *, actor: User | None, mode: FailureMode, into: Sequence[Mapping[str, Any]], counts: str | None = None,
    note: str = "",
) -> FailureMode:  # fmt: skip
    """Retires a mode for two or more others. Nobody but a person can say which of them an old label means.

    ``into``: each ``{"slug": of one in use}`` or the fields of a new one (``{"label": …}``). ``counts`` is the slug or
    the label of the part that old labels count as until they are reviewed again; None leaves them where they are.
    ``reopening`` finds those labels. ApiError 422 with the place of what does not fit.
    """
    note = _note(note)
    if not isinstance(into, list | tuple) or not 2 <= len(into) <= PARTS:
        raise invalid("/into", f"Name from two to {PARTS} failure modes.")
    modes = _locked(mode.project)
    mode = _in_use(modes, mode)
    _retired(mode, None, ())  # first of all, so that a part may have its key and its name
    parts: list[FailureMode] = []
    for place, part in enumerate(into):
        parts.append(_part(modes, mode, part, f"/into/{place}"))
        modes.append(parts[-1])
    if len({part.pk for part in parts}) < len(parts):
        raise invalid("/into", "Name each failure mode once.")
    heir = next((part for part in parts if counts in {part.slug, part.label}), None)
    if counts is not None and heir is None:
        raise invalid("/counts_as", "One of the parts, or none.")
    _retired(mode, heir, parts)
    _kept(mode.project, actor, "failure_mode.split", mode, note, into=[part.slug for part in parts],
          counts_as=heir.slug if heir else None)  # fmt: skip
    return mode


@transaction.atomic
def bring_back(*, actor: User | None, mode: FailureMode, note: str = "") -> FailureMode:
    """Puts a retired mode to use again: its labels count as it once more. Its key is gone if somebody else has it."""
    note = _note(note)
    modes = _locked(mode.project)
    found = _of(modes, mode)
    assert found is not None
    if found.retired_at is None:
        raise ApiError(409, "in_use", "This failure mode is in use.")
    _room(modes)
    taken = {one.digit for one in modes if one.retired_at is None}
    found.digit = "" if found.digit in taken else found.digit
    if faults := _taken(modes, found):
        raise ApiError(409, "taken", faults[0]["message"], faults)
    found.retired_at = found.merged_into = found.counts_as = None
    found.save()
    found.split_into.clear()
    _kept(found.project, actor, "failure_mode.brought_back", found, note)
    return found


@transaction.atomic
def adopt(*, project: Project, actor: User | None, preset: str, replace: bool = False, note: str = "") -> int:
    """Adds the modes of a preset that are not in use; those that were retired come back. Returns how many.

    ``replace`` retires whatever is not of the preset. A mode gets the preset's key where that is free, else the next
    free one, else none. ApiError 422 for an unknown preset.
    """
    note = _note(note)
    chosen = one_of(PRESETS)(preset, "/preset")
    wanted = {one.slug: one for one in PRESETS[chosen].modes}
    modes = _locked(project)
    if replace:
        for mode in modes:
            if mode.retired_at is None and mode.slug not in wanted:
                _retired(mode, None, ())
    known = {mode.slug: mode for mode in modes}
    used = {mode.digit for mode in modes if mode.retired_at is None}
    added = 0
    for slug, one in wanted.items():
        mode = known.get(slug) or FailureMode(project=project, slug=slug, label=one.label)
        if mode.pk and mode.retired_at is None:
            continue
        _room(modes)
        mode.digit = next((key for key in (one.digit, *keymap.ROW) if key and key not in used), "")
        used.add(mode.digit)
        mode.description, mode.group, mode.default_severity = one.description, one.group, one.severity
        mode.position = 1 + max((other.position for other in modes), default=0)
        mode.retired_at = mode.merged_into = mode.counts_as = None
        mode.save()
        mode.split_into.clear()
        modes = [*(other for other in modes if other.pk != mode.pk), mode]
        added += 1
    if added or replace:
        _kept(project, actor, "taxonomy.preset", None, note or f"The preset {PRESETS[chosen].name}", preset=chosen)
    return added


# -- versions ------------------------------------------------------------------------------------------------------


def snapshot(project: Project) -> list[dict[str, Any]]:
    """All that the modes mean, those in use first, for a rubric; retired ones with where they went."""
    modes = list(FailureMode.objects.filter(project=project).select_related("merged_into").order_by("position", "pk"))
    parts = FailureMode.split_into.through.objects.filter(from_failuremode__project=project)
    went: dict[int, list[str]] = {}
    for origin, slug in parts.order_by("to_failuremode__position", "to_failuremode").values_list(
        "from_failuremode", "to_failuremode__slug"
    ):
        went.setdefault(origin, []).append(slug)
    in_use = [mode for mode in modes if mode.retired_at is None]
    return [
        *({"slug": mode.slug, **{name: getattr(mode, name) for name in SETTINGS}} for mode in in_use),
        *(
            {"slug": mode.slug, "label": mode.label, "retired": True, "split_into": went.get(mode.pk, []),
             "merged_into": mode.merged_into.slug if mode.merged_into else None}
            for mode in modes if mode.retired_at is not None
        ),
    ]  # fmt: skip


def _kept(
    project: Project, actor: User | None, action: str, mode: FailureMode | None, note: str, *, means: bool = True,
    **detail: Any,
) -> None:  # fmt: skip
    """Keeps where retired modes end, writes the next version if the meaning has changed, and the audit log."""
    _follow(project)
    if means:
        last = Rubric.objects.filter(project=project).order_by("-version").first()
        version = last.version + 1 if last else 1
        Rubric.objects.create(project=project, version=version, snapshot=snapshot(project), note=note, changed_by=actor)
        detail["version"] = version
    audit.record(project, actor, action, mode.slug if mode else "", by="key", **detail)


def _follow(project: Project) -> None:
    modes = {mode.pk: mode for mode in FailureMode.objects.filter(project=project)}
    for mode in modes.values():
        end = mode
        while end.merged_into_id is not None:  # never round: one is merged into what is in use at that moment
            end = modes[end.merged_into_id]
        goal = end.pk if end.pk != mode.pk else None
        if mode.counts_as_id != goal:
            FailureMode.objects.filter(pk=mode.pk).update(counts_as=goal)


def _locked(project: Project) -> list[FailureMode]:
    """All modes of the project in their order, with the lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project.pk & 0x7FFFFFFF])
    return list(FailureMode.objects.select_related("project").filter(project=project).order_by("position", "pk"))


def _of(modes: Sequence[FailureMode], mode: FailureMode | None) -> FailureMode | None:
    return next(one for one in modes if one.pk == mode.pk) if mode is not None else None


def _in_use(modes: Sequence[FailureMode], mode: FailureMode) -> FailureMode:
    found = _of(modes, mode)
    assert found is not None
    if found.retired_at is not None:
        raise ApiError(409, "retired", f"{found.label} is retired already.")
    return found


def _another(modes: Sequence[FailureMode], mode: FailureMode, slug: Any, path: str) -> FailureMode:
    found = next((one for one in modes if one.slug == slug and one.retired_at is None and one.pk != mode.pk), None)
    if found is None:
        raise invalid(path, "Name another failure mode in use.")
    return found


def _part(modes: list[FailureMode], mode: FailureMode, part: Any, path: str) -> FailureMode:
    if isinstance(part, dict) and set(part) == {"slug"}:
        return _another(modes, mode, part["slug"], f"{path}/slug")
    if not isinstance(part, dict) or not isinstance(part.get("label"), str):
        raise invalid(path, 'A part is {"slug": of one in use} or {"label": of a new one}.')
    free = mode.digit not in {one.digit for one in modes if one.retired_at is None}
    inherited = {"group": mode.group, "default_severity": mode.default_severity, "digit": mode.digit if free else ""}
    try:
        draft = _drafted(mode.project, None, modes, Settings(part), **inherited)
    except ApiError as error:
        faults = [{**fault, "path": path + fault["path"]} for fault in error.details]
        raise ApiError(error.status_code, error.error_code, error.message, faults) from None
    draft.save()
    return draft


def _retired(mode: FailureMode, heir: FailureMode | None, parts: Sequence[FailureMode]) -> None:
    mode.merged_into, mode.retired_at = heir, Now()
    mode.save(update_fields=["merged_into", "retired_at"])
    mode.split_into.set(parts)
    mode.refresh_from_db(fields=["retired_at"])


def _room(modes: Sequence[FailureMode]) -> None:
    if sum(mode.retired_at is None for mode in modes) >= MOST:
        raise ApiError(409, "too_many", f"A project has at most {MOST} failure modes in use. Merge or retire some.")


def _taken(modes: Sequence[FailureMode], draft: FailureMode) -> list[dict[str, str]]:
    """What another one in use has already: the name, the key."""
    others = [one for one in modes if one.retired_at is None and one.pk != draft.pk]
    faults = []
    if draft.label.casefold() in {one.label.casefold() for one in others}:
        faults.append({"path": "/label", "message": "Another failure mode has this name."})
    if draft.digit and (other := next((one for one in others if one.digit == draft.digit), None)):
        faults.append({"path": "/digit", "message": f"The key {draft.digit} is that of {other.label}."})
    return faults


def _drafted(
    project: Project, old: FailureMode | None, modes: Sequence[FailureMode], settings: Settings, **usual: Any
) -> FailureMode:  # fmt: skip
    settings.know(SETTINGS)
    if old is None:
        _room(modes)
        settings.need("label", "A failure mode has a name.")
    place = 1 + max((mode.position for mode in modes), default=0)
    draft = FailureMode.objects.get(pk=old.pk) if old else FailureMode(project=project, position=place, **usual)

    draft.label = settings.take("label", draft.label, text(MAX_LABEL))
    draft.description = settings.take("description", draft.description, text(MAX_DESCRIPTION, empty=True))
    draft.group = settings.take("group", draft.group, text(MAX_GROUP, empty=True))
    draft.guide = settings.take("guide", draft.guide, lines(MAX_GUIDE))
    draft.examples = settings.take("examples", draft.examples, _several)
    draft.counter_examples = settings.take("counter_examples", draft.counter_examples, _several)
    draft.digit = settings.take("digit", draft.digit, _key)
    draft.default_severity = settings.take("default_severity", draft.default_severity, whole(HARM, NIT))
    taken = _taken(modes, draft)
    if settings.faults:
        settings.faults += [fault for fault in taken if not settings.faulty(fault["path"])]
    settings.done()
    if taken:
        raise ApiError(409, "taken", taken[0]["message"], taken)
    if old is None:
        draft.slug = free_slug(slug_of(draft.label), {mode.slug for mode in modes}, "mode")
    return draft


def _key(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise invalid(path, "A key of the number row, or an empty text.")
    if conflicts := keymap.conflicts([value]):
        raise invalid(path, conflicts[0])
    return value


def lines(longest: int) -> Callable[[Any, str], str]:
    """A check for text of several lines."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise invalid(path, "A text.")
        if len(value) > longest:
            raise invalid(path, f"At most {longest:,} characters.")
        return clean_text(value.replace("\r\n", "\n")).strip()

    return check


def _several(value: Any, path: str) -> list[str]:
    if not isinstance(value, list) or len(value) > EXAMPLES:
        raise invalid(path, f"A list of at most {EXAMPLES} texts.")
    one = lines(MAX_EXAMPLE)
    return [words for place, part in enumerate(value) if (words := one(part, f"{path}/{place}"))]


def _note(note: Any) -> str:
    return text(MAX_NOTE, empty=True)(note, "/note")
