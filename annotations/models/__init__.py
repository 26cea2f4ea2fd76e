"""The tables of this app: queues, rules and backfills; tasks and claims; votes and labels; notes and audits."""

from annotations.models.backfills import Backfill
from annotations.models.labels import Adjudication, Annotation, FailureMode, Label, Question, Rubric, Verdict
from annotations.models.queues import (
    Cluster,
    ClusterMember,
    Queue,
    QueueMember,
    StratumRate,
    TriageRevision,
    TriageRule,
)
from annotations.models.studies import Audit, AuditItem, GroupedNote, NoteGroup
from annotations.models.tasks import Claim, Task, Turn

__all__ = [
    "Adjudication",
    "Annotation",
    "Audit",
    "AuditItem",
    "Backfill",
    "Claim",
    "Cluster",
    "ClusterMember",
    "FailureMode",
    "GroupedNote",
    "Label",
    "NoteGroup",
    "Question",
    "Queue",
    "QueueMember",
    "Rubric",
    "StratumRate",
    "Task",
    "TriageRevision",
    "TriageRule",
    "Turn",
    "Verdict",
]
