"""Interactions, spans, feedback and scores: facts, written once; and the inbox that says who has yet to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Least, Now

from feedback.facet_tokens import FacetTokens
from feedback.search import words_apart
from projects.models import Project, User

# What lists filter by that an index can find where it is rare.
FACET_COLUMNS = (
    "feature", "model", "prompt_name", "prompt_version", "release", "environment", "variant", "language", "status",
    "end_user_id",
)  # fmt: skip


class Interaction(models.Model):
    """One request to an LLM application and its answer, with everything that is known about how it came about.

    Times are UTC, latencies milliseconds, costs US dollars. ``cost_usd`` is NULL where it is unknown, never 0.
    """

    class Status(models.TextChoices):
        OK = "ok", "OK"
        ERROR = "error", "Error"

    # Every index below begins with the project: one on it alone would only cost.
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="interactions", db_index=False)
    external_id = models.CharField(max_length=200)
    session_id = models.CharField(max_length=200, blank=True)
    end_user_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(help_text="When it happened, by the client's clock")
    received_at = models.DateTimeField(db_default=Now())
    # A client's clock may run ahead. Lists sort by this, so that nothing stays on top of them until its time comes.
    happened_at = models.GeneratedField(
        expression=Least("created_at", "received_at"), output_field=models.DateTimeField(), db_persist=True
    )

    feature = models.CharField(max_length=200, blank=True)
    environment = models.CharField(max_length=100, blank=True)
    release = models.CharField(max_length=200, blank=True)
    variant = models.CharField(max_length=100, blank=True)
    language = models.CharField(max_length=20, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    model = models.CharField(max_length=200, blank=True)
    prompt_name = models.CharField(max_length=200, blank=True)
    prompt_version = models.CharField(max_length=100, blank=True)
    prompt = models.JSONField(null=True, help_text="template and variables")
    parameters = models.JSONField(null=True)

    messages = models.JSONField()
    output = models.TextField(blank=True)
    output_messages = models.JSONField(null=True)
    documents = models.JSONField(default=list)
    tools = models.JSONField(null=True)

    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_input_tokens = models.BigIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    latency_ms = models.FloatField(null=True)
    time_to_first_token_ms = models.FloatField(null=True)

    status = models.CharField(max_length=5, choices=Status, default=Status.OK)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    output_schema = models.JSONField(null=True)
    outcome = models.JSONField(null=True)
    tags = ArrayField(models.CharField(max_length=200), default=list)
    metadata = models.JSONField(default=dict)
    sanitized = models.BooleanField(default=False)
    masked = models.JSONField(null=True, help_text="How often each kind of personal data was masked; never what")
    fingerprint = models.BinaryField(max_length=32, help_text="SHA-256 of the body as sent")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="interaction_id_once"),
            models.CheckConstraint(condition=Q(status__in=["ok", "error"]), name="interaction_status_known"),
            models.CheckConstraint(
                condition=Q(latency_ms__isnull=True) | Q(latency_ms__gte=0), name="interaction_latency_positive"
            ),
            models.CheckConstraint(
                condition=Q(cost_usd__isnull=True) | Q(cost_usd__gte=0), name="interaction_cost_positive"
            ),
        ]
        indexes = [
            # The interactions list: newest first, cursor on (happened_at, id), read backwards.
            models.Index(fields=["project", "happened_at", "id"], name="interaction_newest"),
            # feedback.finding: the few that have a rare value in some facet. A small pending list keeps both the
            # insert that empties it and the searches that read it short.
            GinIndex(
                FacetTokens("project_id", "tags", *FACET_COLUMNS),
                name="interaction_facets",
                gin_pending_list_limit=1024,
            ),
            # A session's conversation, and the session analysis.
            models.Index(
                fields=["project", "session_id", "created_at"], name="interaction_session", condition=~Q(session_id="")
            ),
        ]

    def __str__(self) -> str:
        return self.external_id

    @property
    def question(self) -> str:
        """The last thing the user said, as plain text; empty where nothing was said."""
        return question_of(self.messages)


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last thing the user said in these messages, as plain text; empty where nothing was said."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: object) -> str:
    """The text of a message's content: a string, or a list of parts of which the textual ones count."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text", "") if isinstance(part, dict) else part for part in content]
        return "\n".join(part for part in parts if isinstance(part, str) and part)
    return ""


class Span(models.Model):
    """One step of an interaction: a model call, a retrieval, a tool call."""

    class Kind(models.TextChoices):
        LLM = "llm", "Model call"
        RETRIEVER = "retriever", "Retrieval"
        TOOL = "tool", "Tool"
        CHAIN = "chain", "Chain"
        AGENT = "agent", "Agent"
        EMBEDDING = "embedding", "Embedding"
        GUARDRAIL = "guardrail", "Guardrail"
        OTHER = "other", "Other"

    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="spans", db_index=False)
    external_id = models.CharField(max_length=200)
    parent_external_id = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.OTHER)
    name = models.CharField(max_length=300)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=5, choices=Interaction.Status, default=Interaction.Status.OK)
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    attributes = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["interaction", "external_id"], name="span_id_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["llm", "retriever", "tool", "chain", "agent", "embedding", "guardrail", "other"]),
                name="span_kind_known",
            ),
        ]


class Feedback(models.Model):
    """What an end user said or did about one answer; several may exist, the newest vote of one user counts.

    ``interaction`` is NULL while the interaction has not arrived; it is linked by whichever comes second.
    ``number`` is 1, 0 or -1 for thumbs and the stars for ratings; ``label`` the word of a category or the
    name of an implicit signal. A vote with neither takes the earlier one back.
    """

    class Kind(models.TextChoices):
        THUMBS = "thumbs", "Thumbs"
        RATING = "rating", "Rating"
        CATEGORY = "category", "Category"
        COMMENT = "comment", "Comment"
        CORRECTION = "correction", "Correction"
        REPORT = "report", "Report"
        IMPLICIT = "implicit", "Behaviour"

    class Source(models.TextChoices):
        SERVER = "server", "Server"
        BROWSER = "browser", "Browser"
        DERIVED = "derived", "Derived from behaviour"
        IMPORT = "import", "Import"
        TELEMETRY = "otlp", "OpenTelemetry"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="feedback", db_index=False)
    interaction = models.ForeignKey(Interaction, null=True, on_delete=models.CASCADE, related_name="feedback")
    interaction_external_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind)
    number = models.FloatField(null=True)
    scale = models.FloatField(null=True, help_text="The best possible rating")
    label = models.CharField(max_length=200, blank=True)
    comment = models.TextField(blank=True)
    correction = models.TextField(blank=True)
    end_user_id = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=10, choices=Source, default=Source.SERVER)
    verified = models.BooleanField(default=True, help_text="Vouched for by a secret key or a signed token")
    key = models.CharField(max_length=200, null=True)  # noqa: DJ001  # NULL = no idempotency asked for
    fingerprint = models.BinaryField(max_length=32)
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    superseded_at = models.DateTimeField(null=True)
    sanitized = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="feedback_key_once"),
            models.UniqueConstraint(
                fields=["project", "interaction_external_id", "end_user_id", "kind"],
                name="feedback_one_vote_counts",
                condition=Q(kind__in=["thumbs", "rating"], superseded_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["thumbs", "rating", "category", "comment", "correction", "report", "implicit"]),
                name="feedback_kind_known",
            ),
            models.CheckConstraint(
                condition=~Q(kind="thumbs") | Q(number__isnull=True) | Q(number__in=[-1, 0, 1]),
                name="feedback_thumbs_range",
            ),
        ]
        indexes = [
            # The feedback of an interaction, and linking when the interaction arrives.
            models.Index(fields=["project", "interaction_external_id"], name="feedback_of_interaction"),
            # The list of feedback whose interaction never came.
            models.Index(fields=["project", "received_at"], name="feedback_unlinked", condition=Q(interaction=None)),
            # feedback.search: words that users wrote. Few rows have any, so the intake hardly pays for it.
            GinIndex(
                SearchVector(words_apart("comment"), words_apart("correction"), config="simple"),
                name="feedback_words",
                condition=~Q(comment="") | ~Q(correction=""),
            ),
        ]

    @property
    def negative(self) -> bool:
        """Whether this says that the answer was not good: thumbs-down, the lower half of a scale, a report, a
        correction, or behaviour that shows dissatisfaction."""
        if self.superseded_at is not None:
            return False
        if self.kind == self.Kind.THUMBS:
            return self.number == -1
        if self.kind == self.Kind.RATING:
            return self.number is not None and self.number <= (self.scale or 5) / 2
        if self.kind == self.Kind.IMPLICIT:
            return self.label in {"regenerated", "rephrased", "abandoned", "escalated"}
        return self.kind in {self.Kind.REPORT, self.Kind.CORRECTION}


class Score(models.Model):
    """A machine's verdict on an interaction: a detector's, a judge's, or a third party's.

    ``flagged`` is the producer's own word that this is a problem; None where it gives a value only.
    """

    class Source(models.TextChoices):
        DETECTOR = "detector", "Detector"
        JUDGE = "judge", "Judge"
        API = "api", "Sent by API"
        IMPORT = "import", "Import"
        TELEMETRY = "otlp", "OpenTelemetry"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="scores", db_index=False)
    interaction = models.ForeignKey(Interaction, null=True, on_delete=models.CASCADE, related_name="scores")
    interaction_external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=100)
    version = models.CharField(max_length=60, blank=True)
    source = models.CharField(max_length=10, choices=Source)
    value = models.FloatField(null=True)
    label = models.CharField(max_length=200, blank=True)
    flagged = models.BooleanField(null=True)
    explanation = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    key = models.CharField(max_length=200, null=True)  # noqa: DJ001  # NULL = no idempotency asked for
    fingerprint = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="score_key_once"),
            models.CheckConstraint(
                condition=Q(value__isnull=False) | ~Q(label="") | Q(flagged__isnull=False), name="score_says_something"
            ),
        ]
        indexes = [
            # The scores of an interaction, and linking when the interaction arrives.
            models.Index(fields=["project", "interaction_external_id"], name="score_of_interaction"),
            # A judge's or detector's recent values.
            models.Index(fields=["project", "name", "-created_at"], name="score_by_name"),
        ]


class Inbox(models.Model):
    """One row for each new fact and each stage of the flow that has yet to read it.

    A stage deletes its rows in the transaction that holds the effect, so each fact is read exactly once
    and a crash loses nothing. Road not taken: a NULL timestamp per stage on the fact itself. That rewrites
    the wide interaction row three times, and the disk cost per interaction passes the goal of 1.5 x the row.
    """

    class Stage(models.TextChoices):
        ANALYSE = "analyse"  # detectors and judge sampling
        TRIAGE = "triage"  # rules and queues
        MEASURE = "measure"  # metric buckets
        CURATE = "curate"  # golden drafts

    class Kind(models.TextChoices):
        INTERACTION = "interaction"
        FEEDBACK = "feedback"
        SCORE = "score"
        LABEL = "label"

    stage = models.CharField(max_length=8, choices=Stage)
    kind = models.CharField(max_length=11, choices=Kind)
    project_id = models.BigIntegerField()
    object_id = models.BigIntegerField()
    arrived_at = models.DateTimeField(db_default=Now())
    failures = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stage__in=["analyse", "triage", "measure", "curate"]), name="inbox_stage_known"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["interaction", "feedback", "score", "label"]), name="inbox_kind_known"
            ),
        ]
        indexes = [
            # inbox.take: the oldest unread facts of a stage.
            models.Index(fields=["stage", "id"], name="inbox_oldest"),
        ]


class TelemetryTrace(models.Model):
    """A trace whose spans arrive by OpenTelemetry, and whether its interaction is to be made or made again."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    trace_id = models.CharField(max_length=32)
    # Who removes an interaction removes its words here too.
    interaction = models.ForeignKey(Interaction, null=True, on_delete=models.CASCADE, related_name="+")
    rooted = models.BooleanField(default=False, help_text="Whether a span without a parent has come")
    waiting = models.BooleanField(default=True)
    touched_at = models.DateTimeField(db_default=Now())
    forgotten = models.BooleanField(default=False, help_text="Whether its spans, as they came, have been removed")
    problem = models.CharField(max_length=300, blank=True, help_text="Why it is no interaction, in words")
    service = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200, blank=True, help_text="Of its topmost span")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "trace_id"], name="trace_once")]
        indexes = [
            # telemetry.assembly: traces that have changed, longest quiet first.
            models.Index(fields=["touched_at"], name="trace_waiting", condition=Q(waiting=True)),
            # telemetry.retention: traces whose spans are still here, longest quiet first.
            models.Index(fields=["touched_at"], name="trace_kept", condition=Q(waiting=False, forgotten=False)),
            # telemetry.unread: traces that are no interaction, newest first.
            models.Index(fields=["project", "-touched_at", "-id"], name="trace_unread", condition=~Q(problem="")),
        ]


class TelemetryChunk(models.Model):
    """The spans of one trace in one request, as they came (JSON). The same again is not stored again."""

    trace = models.ForeignKey(TelemetryTrace, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    digest = models.BinaryField(help_text="SHA-256 of the body")
    body = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trace", "digest"], name="telemetry_chunk_once")]


class SearchText(models.Model):
    """The words of an interaction's question and answer, filled by ``feedback.search`` some time after it arrived.

    A table of its own: parsing text costs eight times what storing the row does, and the intake does not wait for it.
    """

    interaction = models.OneToOneField(
        Interaction, on_delete=models.CASCADE, primary_key=True, related_name="search_text"
    )
    words = SearchVectorField()

    class Meta:
        indexes = [
            # feedback.finding: the interactions in which a word or phrase occurs.
            GinIndex(fields=["words"], name="search_words"),
        ]


class SavedView(models.Model):
    """A search with a name: ``query`` is the query string of the list, as ``filters.query_of`` writes it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="saved_views", db_index=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True)
    shared = models.BooleanField(default=False, help_text="Whether the other members see it")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "owner", "name"], name="view_name_once",
                violation_error_message="You have a view of this name.",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name
