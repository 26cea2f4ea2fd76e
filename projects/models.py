"""Users, projects, memberships, keys, provider connections, audit and webhooks."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from projects.leases import Leased


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        """A person who may sign in; ``password=None`` makes an account that cannot sign in yet."""
        user = self.model(email=email.strip().lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=(username or "").strip())


class User(AbstractBaseUser):
    """A person. Rights come from memberships alone; there are no superusers."""

    class Theme(models.TextChoices):
        SYSTEM = "", "As the system"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    theme = models.CharField(max_length=5, choices=Theme, default=Theme.SYSTEM, blank=True)
    single_keys = models.BooleanField(default=True, help_text="Single-key shortcuts (WCAG 2.1.4: can be turned off)")
    keys = models.JSONField(default=dict, blank=True, help_text="Keys of review that this person has moved, by action")
    daily_goal = models.PositiveSmallIntegerField(default=40)
    date_joined = models.DateTimeField(db_default=Now())

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower_case")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def initials(self) -> str:
        words = (self.name or self.email.split("@")[0]).replace(".", " ").split()
        return "".join(word[0] for word in words[:2]).upper()


class Masking(models.TextChoices):
    """What a project may have masked at intake; feedback.masking knows how each is recognised."""

    EMAIL = "email", "E-mail addresses"
    PHONE = "phone", "Phone numbers"
    CARD = "card", "Card numbers"
    IBAN = "iban", "Bank accounts (IBAN)"
    IP = "ip", "IP addresses"
    SSN = "ssn", "US social security numbers"
    TAX_ID = "tax_id", "German tax ids"
    SECRET = "secret", "Keys and tokens"
    NAME = "name", "Names after a salutation (finds few, misses most)"


class TokenPolicy(models.TextChoices):
    """What interaction tokens are worth to a project, for the feedback that pages send."""

    REQUIRE = "require", "Require: feedback without a good token is refused"
    PREFER = "prefer", "Prefer: a good token makes feedback verified, the rest is kept as not verified"
    OFF = "off", "Off: tokens are not looked at, all feedback of pages is not verified"


class Project(models.Model):
    """One application under review: its interactions, queues, labels and golden sets."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    owner = models.ForeignKey(
        User,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="owned_projects",
        help_text="The expert whose label is authoritative",
    )
    is_sample = models.BooleanField(default=False)
    masking = ArrayField(
        models.CharField(max_length=10, choices=Masking),
        default=list,
        blank=True,
        help_text="Kinds of personal data that are masked before anything is stored",
    )
    token_policy = models.CharField(
        max_length=7, choices=TokenPolicy, default=TokenPolicy.PREFER, db_default=TokenPolicy.PREFER
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(token_policy__in=["require", "prefer", "off"]), name="project_token_policy_known"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    REVIEWER = "reviewer", "Reviewer"
    LEAD = "lead", "Review lead"
    ENGINEER = "engineer", "Engineer"
    ADMIN = "admin", "Admin"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_per_project"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]


class ApiKey(models.Model):
    """A bearer key. Only the SHA-256 of its 256 random bits is kept: a fast hash is right for high entropy."""

    class Kind(models.TextChoices):
        SECRET = "sk", "Secret key"
        PUBLISHABLE = "pk", "Publishable key"
        PERSONAL = "pat", "Personal token"

    class Scope(models.TextChoices):
        INGEST = "ingest", "Send interactions, feedback and scores"
        READ = "read", "Read"
        WRITE = "write", "Change datasets and rules"
        RUNS = "runs", "Run regressions"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    kind = models.CharField(max_length=3, choices=Kind)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    public_id = models.CharField(max_length=10, unique=True)
    digest = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=10), default=list)
    origins = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    signing_sealed = models.TextField(blank=True, help_text="Checks interaction tokens that this key has signed")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=["sk", "pk", "pat"]), name="apikey_kind_known"),
            models.CheckConstraint(
                condition=Q(kind="pat", user__isnull=False) | (~Q(kind="pat") & Q(user__isnull=True)),
                name="apikey_personal_iff_user",
            ),
            models.CheckConstraint(condition=~Q(kind="pk") | Q(scopes=[]), name="apikey_publishable_without_scopes"),
        ]

    def __str__(self) -> str:
        return f"rh_{self.kind}_{self.public_id}…"


class ProviderConnection(models.Model):
    """Where a model provider is reached, and its key, encrypted and bound to the address (see projects.secrets)."""

    class Kind(models.TextChoices):
        OPENAI = "openai", "OpenAI or compatible"
        ANTHROPIC = "anthropic", "Anthropic or compatible"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="connections", db_index=False)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=Kind)
    base_url = models.URLField(max_length=300)
    key_sealed = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="connection_name_once"),
            models.CheckConstraint(condition=Q(kind__in=["openai", "anthropic"]), name="connection_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """Who did what. Append-only: a trigger refuses UPDATE and DELETE."""

    project = models.ForeignKey(
        Project, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    actor = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    actor_name = models.CharField(max_length=254)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        # The audit page: newest first within a project.
        indexes = [models.Index(fields=["project", "-id"], name="audit_project_newest")]


class Webhook(models.Model):
    """A receiver of events; payloads are thin and signed as Standard Webhooks 1.0 says."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(max_length=500)
    secret_sealed = models.TextField()
    events = ArrayField(models.CharField(max_length=40))
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())


class Delivery(Leased):
    """One event on its way to one webhook: at least once, the same event id on every try."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event_id = models.UUIDField(default=uuid.uuid4)
    event = models.CharField(max_length=40)
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event_id"], name="delivery_event_once"),
            models.CheckConstraint(
                condition=Q(delivered_at__isnull=True) | Q(dead_at__isnull=True), name="delivery_ends_once"
            ),
        ]
        indexes = [
            # services.deliver_due: what is to be sent next.
            models.Index(
                F("next_attempt_at"),
                name="delivery_due",
                condition=Q(delivered_at__isnull=True, dead_at__isnull=True),
            ),
        ]


class RateCounter(models.Model):
    """How often something happened within one stretch of time; see projects.ratelimit."""

    key = models.CharField(max_length=200)
    window = models.BigIntegerField(help_text="Epoch seconds divided by the length of the stretch")
    count = models.PositiveIntegerField()
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "window"], name="ratecounter_once")]
