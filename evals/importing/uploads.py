"""Files that wait while somebody says what their columns mean: kept in the database until imported or discarded."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from evals.importing import columns, reading, running
from evals.importing.columns import Column
from evals.importing.running import Opened, Plan
from evals.models import Dataset, DatasetImport
from projects import audit
from projects.errors import ApiError
from projects.models import User

KEPT = timedelta(days=7)
MAX_NAME = 200


@transaction.atomic
def keep(dataset: Dataset, data: bytes, name: str, *, actor: User) -> DatasetImport:
    """Stores a file that can be read; ApiError with the place where it cannot. Files of a week ago are forgotten."""
    file = reading.read(data, name)
    guessed = {} if file.native else {each.name: each.target for each in columns.columns_of(file)}
    DatasetImport.objects.filter(dataset__project=dataset.project, created_at__lt=timezone.now() - KEPT).delete()
    return DatasetImport.objects.create(
        dataset=dataset, name=name[:MAX_NAME], body=zlib.compress(data, 1), mapping=guessed, created_by=actor
    )


def opened(upload: DatasetImport, mapping: dict[str, str] | None = None) -> Opened:
    """The stored file, with the mapping that was chosen last, or with this one."""
    wanted = upload.mapping if mapping is None else mapping
    return running.open_file(zlib.decompress(bytes(upload.body)), upload.name, wanted)


def columns_of(upload: DatasetImport) -> list[Column]:
    """The columns of the stored file with what each was last said to become; none where it is native."""
    file = reading.read(zlib.decompress(bytes(upload.body)), upload.name)
    found = [] if file.native else columns.columns_of(file)
    return [replace(each, target=upload.mapping.get(each.name, each.target)) for each in found]


def remap(upload: DatasetImport, mapping: dict[str, str]) -> None:
    """Remembers what its columns mean, also where that cannot be imported: the page says why."""
    upload.mapping = {name: target for name, target in mapping.items() if target in columns.TARGETS}
    upload.save(update_fields=["mapping"])


@transaction.atomic
def finish(upload: DatasetImport, *, actor: User) -> Plan:
    """Imports the file and forgets it; 409 where somebody has done so in the meantime."""
    locked = DatasetImport.objects.select_for_update().select_related("dataset__project").filter(pk=upload.pk).first()
    if locked is None:
        raise ApiError(409, "gone", "This file was imported or discarded in the meantime.")
    plan = running.run(locked.dataset, opened(locked), actor=actor)
    audit.record(
        locked.dataset.project, actor, "dataset.imported", locked.dataset.slug, file=locked.name, format=plan.format,
        new=plan.new, changed=plan.changed, refused=plan.refused,
    )  # fmt: skip
    locked.delete()
    return plan
