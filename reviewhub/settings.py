"""The one settings module. Every environment variable is parsed strictly and listed in the README."""

import secrets
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from reviewhub import env

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = "pytest" in sys.modules
HOME = Path(env.text("REVIEWHUB_HOME") or BASE_DIR / "var").expanduser().resolve()
try:
    VERSION = version("reviewhub")
except PackageNotFoundError:  # run from the source tree, where nothing is installed
    VERSION = "0.1.0"

DEBUG = False
PORT = env.integer("PORT", 8000, 1, 65535)


def _kept_secret(name: str) -> str:
    """A secret made at first start and kept in REVIEWHUB_HOME, readable by its owner alone."""
    path = HOME / "secrets" / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_urlsafe(48))
        partial.replace(path)
    return path.read_text().strip()


SECRET_KEY = env.text("SECRET_KEY") or ("test-only-" + "x" * 50 if TESTING else _kept_secret("secret_key"))
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY must have at least 32 characters")
# A keyring: "id:secret,id:secret". The first encrypts, all decrypt, so that keys can be changed while running.
SECRETS_KEYRING = env.text("REVIEWHUB_SECRETS_KEY") or (
    "test:" + "k" * 43 if TESTING else "local:" + _kept_secret("secrets_key")
)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]", ".localhost"]
OUTBOUND_ALLOW = env.words("REVIEWHUB_OUTBOUND_ALLOW")
# Proxies whose X-Forwarded-For is believed; see projects.addresses.
TRUSTED_PROXIES = env.networks("REVIEWHUB_TRUSTED_PROXIES")
# The site's own address in e-mails and webhooks.
PUBLIC_URL = (env.text("REVIEWHUB_URL") or f"http://127.0.0.1:{PORT}").rstrip("/")

OPENAI_API_KEY = env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = env.text("OPENAI_BASE_URL") or "https://api.openai.com/v1"
ANTHROPIC_API_KEY = env.text("ANTHROPIC_API_KEY")
ANTHROPIC_BASE_URL = env.text("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
# Whose batches cost half; servers that only speak the same dialect have none, or charge what they like.
BATCH_HOSTS = env.words("REVIEWHUB_BATCH_HOSTS") or [
    "api.openai.com",
    "eu.api.openai.com",
    "us.api.openai.com",
    "api.anthropic.com",
]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "projects",
    "feedback",
    "annotations",
    "evals",
    "monitoring",
    "reviewhub",
]

MIDDLEWARE = [
    "reviewhub.middleware.DatabaseAway",
    "reviewhub.middleware.Machines",  # addresses of programs end here; what follows is for pages
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "reviewhub.middleware.Headers",
    "csp.middleware.CSPMiddleware",
    "reviewhub.middleware.NoNul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "reviewhub.urls"
WSGI_APPLICATION = "reviewhub.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "projects.context.shell",
            ],
        },
    }
]

# Where DATABASE_URL is unset, `reviewhub run` starts an embedded server and its children find it here.
SOCKET_FILE = HOME / "run" / "sockets"
DATABASE_URL = env.text("DATABASE_URL")
EMBEDDED_DATABASE = not DATABASE_URL
if EMBEDDED_DATABASE:
    _sockets = SOCKET_FILE.read_text().strip() if SOCKET_FILE.exists() else str(HOME / "run")
    DATABASE_URL = f"postgresql://reviewhub@/reviewhub?host={_sockets}"
DATABASES = {
    "default": {
        **env.database(DATABASE_URL),
        "ENGINE": "reviewhub.postgresql",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": False,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
EMBEDDED_BROKER = not CELERY_BROKER_URL
if EMBEDDED_BROKER:
    _sockets = SOCKET_FILE.read_text().strip() if SOCKET_FILE.exists() else str(HOME / "run")
    CELERY_BROKER_URL = f"redis+socket://{_sockets}/broker.sock"
CELERY_TASK_ALWAYS_EAGER = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "reviewhub"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
if CELERY_BROKER_URL.startswith("amqp"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_WORKER_DETECT_QUORUM_QUEUES = True
    CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {"confirm_publish": True}
elif CELERY_BROKER_URL.startswith(("redis", "rediss")):
    CELERY_WORKER_DISABLE_PREFETCH = True
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 3600,  # longer than the longest task (CELERY_TASK_TIME_LIMIT)
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,  # kombu's defaults would return a killed worker's message after 100 s
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
    }
else:
    raise ImproperlyConfigured("CELERY_BROKER_URL must start with amqp://, redis:// or rediss://")

AUTH_USER_MODEL = "projects.User"
LOGIN_URL = "projects:sign-in"
LOGIN_REDIRECT_URL = "home"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher" if TESTING else "django.contrib.auth.hashers.PBKDF2PasswordHasher"
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 86_400  # addresses carry the version of their content, see VersionedStorage
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "reviewhub.staticfiles.VersionedStorage"},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["projects.auth.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["projects.auth.DenyAll"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "projects.negotiation.Negotiation",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["projects.strictjson.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "projects.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Review Hub",
    "DESCRIPTION": "Human review for LLM applications.",
    "VERSION": VERSION,
    "SERVE_PUBLIC": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "projects.openapi.add_refusals",
    ],
}

# Secure transport is the proxy's business; where it says so, cookies are bound to it.
_HTTPS = PUBLIC_URL.startswith("https://")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_NAME = "__Host-session" if _HTTPS else "reviewhub_session"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if _HTTPS else []
CSRF_FAILURE_VIEW = "reviewhub.views.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}
TELEMETRY_DAYS = env.integer("TELEMETRY_DAYS", 7, 0, 3650)
DATA_UPLOAD_MAX_MEMORY_SIZE = 17 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
# Django bounds fields, not files: without the first, any upload would be written to the disk before a view sees it.
FILE_UPLOAD_HANDLERS = [
    "projects.uploads.Bounded",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

EMAIL_URL = env.text("EMAIL_URL")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "reviewhub": {"level": "INFO"},
    },
}
SILENCED_SYSTEM_CHECKS: list[str] = []
# Tests call the services themselves; nothing listens there.
DOORBELL = not TESTING
