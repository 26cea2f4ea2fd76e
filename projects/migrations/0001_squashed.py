"""The tables of the app. It replaces what led to them while nothing had been released."""

import uuid
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("projects", "0001_initial"),
        ("projects", "0002_audit_append_only"),
        ("projects", "0003_rate_counter"),
        ("projects", "0004_key_signing"),
        ("projects", "0005_masking"),
        ("projects", "0006_token_policy"),
        ("projects", "0007_keys_of_review"),
    ]
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("name", models.CharField(blank=True, max_length=120)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "theme",
                    models.CharField(
                        blank=True,
                        choices=[("", "As the system"), ("light", "Light"), ("dark", "Dark")],
                        default="",
                        max_length=5,
                    ),
                ),
                (
                    "single_keys",
                    models.BooleanField(default=True, help_text="Single-key shortcuts (WCAG 2.1.4: can be turned off)"),
                ),
                (
                    "keys",
                    models.JSONField(
                        blank=True, default=dict, help_text="Keys of review that this person has moved, by action"
                    ),
                ),
                ("daily_goal", models.PositiveSmallIntegerField(default=40)),
                ("date_joined", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("email", django.db.models.functions.text.Lower("email"))),
                        name="user_email_lower_case",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="Project",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(max_length=60, unique=True)),
                ("name", models.CharField(max_length=120)),
                ("is_sample", models.BooleanField(default=False)),
                (
                    "masking",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("email", "E-mail addresses"),
                                ("phone", "Phone numbers"),
                                ("card", "Card numbers"),
                                ("iban", "Bank accounts (IBAN)"),
                                ("ip", "IP addresses"),
                                ("ssn", "US social security numbers"),
                                ("tax_id", "German tax ids"),
                                ("secret", "Keys and tokens"),
                                ("name", "Names after a salutation (finds few, misses most)"),
                            ],
                            max_length=10,
                        ),
                        blank=True,
                        default=list,
                        help_text="Kinds of personal data that are masked before anything is stored",
                        size=None,
                    ),
                ),
                (
                    "token_policy",
                    models.CharField(
                        choices=[
                            ("require", "Require: feedback without a good token is refused"),
                            (
                                "prefer",
                                "Prefer: a good token makes feedback verified, the rest is kept as not verified",
                            ),
                            ("off", "Off: tokens are not looked at, all feedback of pages is not verified"),
                        ],
                        db_default="prefer",
                        default="prefer",
                        max_length=7,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        help_text="The expert whose label is authoritative",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="owned_projects",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("token_policy__in", ["require", "prefer", "off"])),
                        name="project_token_policy_known",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("viewer", "Viewer"),
                            ("reviewer", "Reviewer"),
                            ("lead", "Review lead"),
                            ("engineer", "Engineer"),
                            ("admin", "Admin"),
                        ],
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("project", "user"), name="membership_once_per_project"),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["viewer", "reviewer", "lead", "engineer", "admin"])),
                        name="membership_role_known",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor_name", models.CharField(max_length=254)),
                ("action", models.CharField(max_length=60)),
                ("target", models.CharField(blank=True, max_length=200)),
                ("detail", models.JSONField(default=dict)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "actor",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="projects.project",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["project", "-id"], name="audit_project_newest")]},
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("sk", "Secret key"), ("pk", "Publishable key"), ("pat", "Personal token")],
                        max_length=3,
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                ("public_id", models.CharField(max_length=10, unique=True)),
                ("digest", models.BinaryField(max_length=32)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=10), default=list, size=None
                    ),
                ),
                (
                    "origins",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), blank=True, default=list, size=None
                    ),
                ),
                (
                    "signing_sealed",
                    models.TextField(blank=True, help_text="Checks interaction tokens that this key has signed"),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="api_keys", to="projects.project"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["sk", "pk", "pat"])), name="apikey_kind_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "pat"), ("user__isnull", False)),
                            models.Q(models.Q(("kind", "pat"), _negated=True), ("user__isnull", True)),
                            _connector="OR",
                        ),
                        name="apikey_personal_iff_user",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(models.Q(("kind", "pk"), _negated=True), ("scopes", []), _connector="OR"),
                        name="apikey_publishable_without_scopes",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="ProviderConnection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                (
                    "kind",
                    models.CharField(
                        choices=[("openai", "OpenAI or compatible"), ("anthropic", "Anthropic or compatible")],
                        max_length=10,
                    ),
                ),
                ("base_url", models.URLField(max_length=300)),
                ("key_sealed", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="connections",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="connection_name_once"),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["openai", "anthropic"])), name="connection_kind_known"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="RateCounter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=200)),
                ("window", models.BigIntegerField(help_text="Epoch seconds divided by the length of the stretch")),
                ("count", models.PositiveIntegerField()),
                ("ends_at", models.DateTimeField()),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("key", "window"), name="ratecounter_once")]},
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("url", models.URLField(max_length=500)),
                ("secret_sealed", models.TextField()),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("disabled_reason", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="webhooks", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("leased_until", models.DateTimeField(editable=False, null=True)),
                ("fence", models.BigIntegerField(default=0, editable=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("event_id", models.UUIDField(default=uuid.uuid4)),
                ("event", models.CharField(max_length=40)),
                ("payload", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("next_attempt_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("delivered_at", models.DateTimeField(null=True)),
                ("dead_at", models.DateTimeField(null=True)),
                ("last_status", models.PositiveSmallIntegerField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=200)),
                (
                    "webhook",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="projects.webhook",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(("dead_at__isnull", True), ("delivered_at__isnull", True)),
                        name="delivery_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("webhook", "event_id"), name="delivery_event_once"),
                    models.CheckConstraint(
                        condition=models.Q(("delivered_at__isnull", True), ("dead_at__isnull", True), _connector="OR"),
                        name="delivery_ends_once",
                    ),
                ],
            },
        ),
    ]
