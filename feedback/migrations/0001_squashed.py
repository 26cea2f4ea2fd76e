"""The tables of the app. It replaces what led to them while nothing had been released."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models
import feedback.facet_tokens


class Migration(migrations.Migration):
    replaces = [
        ("feedback", "0001_initial"),
        ("feedback", "0010_telemetry"),
        ("feedback", "0011_masked"),
        ("feedback", "0012_telemetry_chunks"),
        ("feedback", "0013_finding"),
        ("feedback", "0014_arrival_in_one_statement"),
        ("feedback", "0015_typographic_signs"),
    ]
    initial = True
    dependencies = [("projects", "0001_squashed"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Interaction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("external_id", models.CharField(max_length=200)),
                ("session_id", models.CharField(blank=True, max_length=200)),
                ("end_user_id", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(help_text="When it happened, by the client's clock")),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "happened_at",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.functions.comparison.Least("created_at", "received_at"),
                        output_field=models.DateTimeField(),
                    ),
                ),
                ("feature", models.CharField(blank=True, max_length=200)),
                ("environment", models.CharField(blank=True, max_length=100)),
                ("release", models.CharField(blank=True, max_length=200)),
                ("variant", models.CharField(blank=True, max_length=100)),
                ("language", models.CharField(blank=True, max_length=20)),
                ("provider", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("prompt_name", models.CharField(blank=True, max_length=200)),
                ("prompt_version", models.CharField(blank=True, max_length=100)),
                ("prompt", models.JSONField(help_text="template and variables", null=True)),
                ("parameters", models.JSONField(null=True)),
                ("messages", models.JSONField()),
                ("output", models.TextField(blank=True)),
                ("output_messages", models.JSONField(null=True)),
                ("documents", models.JSONField(default=list)),
                ("tools", models.JSONField(null=True)),
                ("input_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                ("cached_input_tokens", models.BigIntegerField(null=True)),
                ("cost_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("latency_ms", models.FloatField(null=True)),
                ("time_to_first_token_ms", models.FloatField(null=True)),
                ("status", models.CharField(choices=[("ok", "OK"), ("error", "Error")], default="ok", max_length=5)),
                ("error_type", models.CharField(blank=True, max_length=200)),
                ("error_message", models.TextField(blank=True)),
                ("output_schema", models.JSONField(null=True)),
                ("outcome", models.JSONField(null=True)),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), default=list, size=None
                    ),
                ),
                ("metadata", models.JSONField(default=dict)),
                ("sanitized", models.BooleanField(default=False)),
                (
                    "masked",
                    models.JSONField(
                        help_text="How often each kind of personal data was masked; never what", null=True
                    ),
                ),
                ("fingerprint", models.BinaryField(help_text="SHA-256 of the body as sent", max_length=32)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="interactions",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project", "happened_at", "id"], name="interaction_newest"),
                    django.contrib.postgres.indexes.GinIndex(
                        feedback.facet_tokens.FacetTokens(
                            "project_id",
                            "tags",
                            "feature",
                            "model",
                            "prompt_name",
                            "prompt_version",
                            "release",
                            "environment",
                            "variant",
                            "language",
                            "status",
                            "end_user_id",
                        ),
                        gin_pending_list_limit=1024,
                        name="interaction_facets",
                    ),
                    models.Index(
                        condition=models.Q(("session_id", ""), _negated=True),
                        fields=["project", "session_id", "created_at"],
                        name="interaction_session",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "external_id"), name="interaction_id_once"),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["ok", "error"])), name="interaction_status_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("latency_ms__isnull", True), ("latency_ms__gte", 0), _connector="OR"),
                        name="interaction_latency_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("cost_usd__isnull", True), ("cost_usd__gte", 0), _connector="OR"),
                        name="interaction_cost_positive",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Inbox",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("analyse", "Analyse"),
                            ("triage", "Triage"),
                            ("measure", "Measure"),
                            ("curate", "Curate"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("interaction", "Interaction"),
                            ("feedback", "Feedback"),
                            ("score", "Score"),
                            ("label", "Label"),
                        ],
                        max_length=11,
                    ),
                ),
                ("project_id", models.BigIntegerField()),
                ("object_id", models.BigIntegerField()),
                ("arrived_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("failures", models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                "indexes": [models.Index(fields=["stage", "id"], name="inbox_oldest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("stage__in", ["analyse", "triage", "measure", "curate"])),
                        name="inbox_stage_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["interaction", "feedback", "score", "label"])),
                        name="inbox_kind_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Feedback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("interaction_external_id", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("thumbs", "Thumbs"),
                            ("rating", "Rating"),
                            ("category", "Category"),
                            ("comment", "Comment"),
                            ("correction", "Correction"),
                            ("report", "Report"),
                            ("implicit", "Behaviour"),
                        ],
                        max_length=10,
                    ),
                ),
                ("number", models.FloatField(null=True)),
                ("scale", models.FloatField(help_text="The best possible rating", null=True)),
                ("label", models.CharField(blank=True, max_length=200)),
                ("comment", models.TextField(blank=True)),
                ("correction", models.TextField(blank=True)),
                ("end_user_id", models.CharField(blank=True, max_length=200)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("server", "Server"),
                            ("browser", "Browser"),
                            ("derived", "Derived from behaviour"),
                            ("import", "Import"),
                            ("otlp", "OpenTelemetry"),
                        ],
                        default="server",
                        max_length=10,
                    ),
                ),
                (
                    "verified",
                    models.BooleanField(default=True, help_text="Vouched for by a secret key or a signed token"),
                ),
                ("key", models.CharField(max_length=200, null=True)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField()),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("superseded_at", models.DateTimeField(null=True)),
                ("sanitized", models.BooleanField(default=False)),
                ("metadata", models.JSONField(default=dict)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="feedback",
                        to="projects.project",
                    ),
                ),
                (
                    "interaction",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="feedback",
                        to="feedback.interaction",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project", "interaction_external_id"], name="feedback_of_interaction"),
                    models.Index(
                        condition=models.Q(("interaction", None)),
                        fields=["project", "received_at"],
                        name="feedback_unlinked",
                    ),
                    django.contrib.postgres.indexes.GinIndex(
                        django.contrib.postgres.search.SearchVector(
                            models.Func(
                                models.F("comment"),
                                models.Value(
                                    "([\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\u0e00-\\u0e7f])|[\\u00a0-\\u00a9\\u00ab-\\u00b4\\u00b6-\\u00b9\\u00bb-\\u00bf\\u00d7\\u00f7\\u2000-\\u206f\\u20a0-\\u20cf\\u2100-\\u2bff\\u3000-\\u3004\\u3008-\\u3020\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65]"
                                ),
                                models.Value(" \\1 "),
                                models.Value("g"),
                                function="regexp_replace",
                                output_field=models.TextField(),
                            ),
                            models.Func(
                                models.F("correction"),
                                models.Value(
                                    "([\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\u0e00-\\u0e7f])|[\\u00a0-\\u00a9\\u00ab-\\u00b4\\u00b6-\\u00b9\\u00bb-\\u00bf\\u00d7\\u00f7\\u2000-\\u206f\\u20a0-\\u20cf\\u2100-\\u2bff\\u3000-\\u3004\\u3008-\\u3020\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65]"
                                ),
                                models.Value(" \\1 "),
                                models.Value("g"),
                                function="regexp_replace",
                                output_field=models.TextField(),
                            ),
                            config="simple",
                        ),
                        condition=models.Q(
                            models.Q(("comment", ""), _negated=True),
                            models.Q(("correction", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="feedback_words",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "key"), name="feedback_key_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["thumbs", "rating"]), ("superseded_at__isnull", True)),
                        fields=("project", "interaction_external_id", "end_user_id", "kind"),
                        name="feedback_one_vote_counts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                ["thumbs", "rating", "category", "comment", "correction", "report", "implicit"],
                            )
                        ),
                        name="feedback_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "thumbs"), _negated=True),
                            ("number__isnull", True),
                            ("number__in", [-1, 0, 1]),
                            _connector="OR",
                        ),
                        name="feedback_thumbs_range",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=60)),
                ("query", models.TextField(blank=True)),
                ("shared", models.BooleanField(default=False, help_text="Whether the other members see it")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_views",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "owner", "name"),
                        name="view_name_once",
                        violation_error_message="You have a view of this name.",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="Score",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("interaction_external_id", models.CharField(max_length=200)),
                ("name", models.CharField(max_length=100)),
                ("version", models.CharField(blank=True, max_length=60)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("detector", "Detector"),
                            ("judge", "Judge"),
                            ("api", "Sent by API"),
                            ("import", "Import"),
                            ("otlp", "OpenTelemetry"),
                        ],
                        max_length=10,
                    ),
                ),
                ("value", models.FloatField(null=True)),
                ("label", models.CharField(blank=True, max_length=200)),
                ("flagged", models.BooleanField(null=True)),
                ("explanation", models.TextField(blank=True)),
                ("detail", models.JSONField(default=dict)),
                ("key", models.CharField(max_length=200, null=True)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "interaction",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="scores",
                        to="feedback.interaction",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="scores",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project", "interaction_external_id"], name="score_of_interaction"),
                    models.Index(fields=["project", "name", "-created_at"], name="score_by_name"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "key"), name="score_key_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("value__isnull", False),
                            models.Q(("label", ""), _negated=True),
                            ("flagged__isnull", False),
                            _connector="OR",
                        ),
                        name="score_says_something",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Span",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("external_id", models.CharField(max_length=200)),
                ("parent_external_id", models.CharField(blank=True, max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("llm", "Model call"),
                            ("retriever", "Retrieval"),
                            ("tool", "Tool"),
                            ("chain", "Chain"),
                            ("agent", "Agent"),
                            ("embedding", "Embedding"),
                            ("guardrail", "Guardrail"),
                            ("other", "Other"),
                        ],
                        default="other",
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(max_length=300)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("status", models.CharField(choices=[("ok", "OK"), ("error", "Error")], default="ok", max_length=5)),
                ("input", models.JSONField(null=True)),
                ("output", models.JSONField(null=True)),
                ("attributes", models.JSONField(default=dict)),
                (
                    "interaction",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="spans",
                        to="feedback.interaction",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("interaction", "external_id"), name="span_id_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                ["llm", "retriever", "tool", "chain", "agent", "embedding", "guardrail", "other"],
                            )
                        ),
                        name="span_kind_known",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="TelemetryTrace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("trace_id", models.CharField(max_length=32)),
                ("rooted", models.BooleanField(default=False, help_text="Whether a span without a parent has come")),
                ("waiting", models.BooleanField(default=True)),
                ("touched_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "forgotten",
                    models.BooleanField(default=False, help_text="Whether its spans, as they came, have been removed"),
                ),
                (
                    "problem",
                    models.CharField(blank=True, help_text="Why it is no interaction, in words", max_length=300),
                ),
                ("service", models.CharField(blank=True, max_length=200)),
                ("name", models.CharField(blank=True, help_text="Of its topmost span", max_length=200)),
                (
                    "interaction",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="feedback.interaction",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("waiting", True)), fields=["touched_at"], name="trace_waiting"),
                    models.Index(
                        condition=models.Q(("forgotten", False), ("waiting", False)),
                        fields=["touched_at"],
                        name="trace_kept",
                    ),
                    models.Index(
                        condition=models.Q(("problem", ""), _negated=True),
                        fields=["project", "-touched_at", "-id"],
                        name="trace_unread",
                    ),
                ],
                "constraints": [models.UniqueConstraint(fields=("project", "trace_id"), name="trace_once")],
            },
        ),
        migrations.CreateModel(
            name="TelemetryChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(help_text="SHA-256 of the body")),
                ("body", models.TextField()),
                (
                    "trace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="feedback.telemetrytrace",
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("trace", "digest"), name="telemetry_chunk_once")]},
        ),
        migrations.CreateModel(
            name="SearchText",
            fields=[
                (
                    "interaction",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="search_text",
                        serialize=False,
                        to="feedback.interaction",
                    ),
                ),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={"indexes": [django.contrib.postgres.indexes.GinIndex(fields=["words"], name="search_words")]},
        ),
    ]
