"""Every setting of the service, read from the environment.

A value that means nothing is refused here, when the process starts, with the
variable's name. Combinations that are allowed but dangerous are reported by the
system checks in `config.checks`. The README's table lists each variable, and a
test compares the two.
"""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env, validate
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from config import embedded
from rest.rates import parse_rates

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# What the servers that `make run` started are reached by, if they run.
_running = embedded.running() or {}

# --- Who and where -----------------------------------------------------------

DEBUG = env.bool("DEBUG", False)
DEFAULT_SECRET_KEY = "insecure: set SECRET_KEY before anybody relies on this service"  # noqa: S105  (not a secret, on purpose)
SECRET_KEY = env.str("SECRET_KEY", "") or embedded.secret_key() or DEFAULT_SECRET_KEY
HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000, validate=validate.Range(min=1, max=65535))
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS",
    sorted({"localhost", "127.0.0.1", "[::1]", embedded.bracketed(HOST)}),
    validate=validate.Length(min=1),
)
PUBLIC_URL = env.str(
    "PUBLIC_URL",
    "",
    validate=validate.Regexp(r"(https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?)?$"),
).rstrip("/")
if PUBLIC_URL:
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, embedded.bracketed(urlsplit(PUBLIC_URL).hostname or "")]
    CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# Whose X-Forwarded-For and X-Forwarded-Proto count.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", [], subcast=ipaddress.ip_network)

# --- PostgreSQL --------------------------------------------------------------

STATEMENT_TIMEOUT = env.int("STATEMENT_TIMEOUT", 15, validate=validate.Range(min=0, max=3600))
DATABASES: dict[str, Any] = {
    "default": env.dj_db_url(
        "DATABASE_URL",
        _running.get("DATABASE_URL", "postgresql://127.0.0.1:5432/conversations"),
        conn_max_age=None,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ValueError("DATABASE_URL must name a PostgreSQL database (postgresql://…)")
# The same, with an end to waiting for a server that hangs.
DATABASES["default"]["ENGINE"] = "rest.postgresql"
DATABASES["default"].setdefault("OPTIONS", {}).update(
    connect_timeout=3,
    # A network or a machine that is gone answers nothing; the system would wait for a quarter
    # of an hour, or two hours where nothing was sent.
    tcp_user_timeout=10_000,
    keepalives_idle=10,
    keepalives_interval=3,
    keepalives_count=3,
    # A transaction that its client forgot would hold back every reader of events
    # and every vacuum, so the server ends it.
    options=(
        f"-c statement_timeout={STATEMENT_TIMEOUT}s -c lock_timeout={STATEMENT_TIMEOUT}s"
        " -c idle_in_transaction_session_timeout=60s"
    ),
)
# The worker listens there for new jobs, which PgBouncer in transaction mode can not pass on.
DATABASE_DIRECT: dict[str, Any] = (
    env.dj_db_url("DATABASE_DIRECT_URL") if env.str("DATABASE_DIRECT_URL", "") else {}
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis -------------------------------------------------------------------

REDIS_URL = env.str(
    "REDIS_URL",
    _running.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    validate=validate.Regexp(
        r"rediss?://([^/@\s]*@)?([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[0-9]*)?(\?\S*)?$"
        r"|unix://\S+$"
    ),
)
REDIS_TIMEOUT = env.float("REDIS_TIMEOUT", 0.25, validate=validate.Range(min=0.01, max=10))
CACHE_KEY_PREFIX = env.str("CACHE_KEY_PREFIX", "conversations")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": CACHE_KEY_PREFIX,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT,
            "SOCKET_TIMEOUT": REDIS_TIMEOUT,
            "CONNECTION_POOL_KWARGS": {
                # The library's own limit is 100, and a process may have 256 threads.
                "max_connections": 1000,
                # One more try, on a new connection, covers a server that was restarted.
                # A timeout is not tried again: the caller has waited long enough.
                "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            },
        },
    }
}

# --- The web server ----------------------------------------------------------

# Where links lead that are made outside of a request.
SERVICE_URL = PUBLIC_URL or _running.get("url") or embedded.local_url(HOST, PORT)
WEB_WORKERS = env.int("WEB_WORKERS", 2, validate=validate.Range(min=1, max=64))
WEB_THREADS = env.int("WEB_THREADS", 4, validate=validate.Range(min=1, max=256))

# --- The stream process ------------------------------------------------------

STREAM_HOST = env.str("STREAM_HOST", HOST)
STREAM_PORT = env.int("STREAM_PORT", 8001, validate=validate.Range(min=1, max=65535))
# Seconds between two comments; the contract says 15, and proxies wait for 60.
STREAM_KEEPALIVE = env.float("STREAM_KEEPALIVE", 15, validate=validate.Range(min=0.05, max=300))
# How many streams of one process an API key or an agent can have open at once.
STREAMS_PER_CALLER = env.int("STREAMS_PER_CALLER", 100, validate=validate.Range(min=1))

# --- The worker --------------------------------------------------------------

WORKER_THREADS = env.int("WORKER_THREADS", 4, validate=validate.Range(min=1, max=256))

# --- The application ---------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "procrastinate.contrib.django",
    "corsheaders",
    "rest",
    "projects",
    "conversations",
]
MIDDLEWARE = [
    "rest.proxies.TrustedProxiesMiddleware",
    "rest.request_id.RequestIDMiddleware",
    "rest.operation.OperationMiddleware",
    # Before all that may refuse a request: a page can read an error only with these headers.
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "rest.page_policy.PagePolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "rest.paths.CanonicalPathMiddleware",
    # Refuses foreign hosts, and gives answers their length.
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "conversations.widget.posthog_js.Finder",
]
# What posthog-js loads from the folder of its own version never changes there.
WHITENOISE_IMMUTABLE_FILE_TEST = rf"^{STATIC_URL}\d+\.\d+\.\d+/"

# --- The demo ----------------------------------------------------------------

# The project whose customers use the invented shop at /demo.
DEMO_PROJECT = env.int("DEMO_PROJECT", None)

# --- Events ------------------------------------------------------------------

# Days.
EVENT_RETENTION = env.int("EVENT_RETENTION", 90, validate=validate.Range(min=1, max=3650))

# --- Webhooks ----------------------------------------------------------------

# Whether they may go to addresses that are not on the public internet, this machine's included.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", False)

# --- Agents' sessions --------------------------------------------------------

AUTH_USER_MODEL = "projects.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login"
# A new API key is shown through a message, which must not be kept on the server.
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "config.urls.csrf_failure"
SECURE_COOKIES = env.bool("SECURE_COOKIES", PUBLIC_URL.startswith("https://"))
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
# Browsers that once got it never speak http to this host again, so it waits until
# somebody is sure of https.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 0, validate=validate.Range(min=0))
CONTENT_SECURITY_POLICY = env.bool("CONTENT_SECURITY_POLICY", True)
PASSWORD_RESET_TIMEOUT = int(timedelta(days=3).total_seconds())
X_FRAME_OPTIONS = "DENY"

# --- The API -----------------------------------------------------------------

# A body larger than this is a 413 (contract, section 1).
MAX_BODY_BYTES = 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# --- The widget --------------------------------------------------------------

# Pages of any origin may call what the widget calls, and nothing else (contract, section 9).
CORS_URLS_REGEX = r"^/(api/conversations/v1/widget/|array/|e/?$|i/v0/e/?$|flags/?$|static/)"
CORS_ALLOW_ALL_ORIGINS = True
CORS_ALLOW_METHODS = ["GET", "POST"]
CORS_ALLOW_HEADERS = ["content-type", "x-conversations-token", "idempotency-key"]
CORS_EXPOSE_HEADERS = ["Retry-After", "X-Request-ID"]
CORS_PREFLIGHT_MAX_AGE = 7200

# --- Mail --------------------------------------------------------------------

_mail = env.dj_email_url("EMAIL_URL", "console:")
if "EMAIL_BACKEND" not in _mail:
    raise ValueError("EMAIL_URL must be smtp://…, submission://…, console: or file:///…")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"] or "localhost", _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER = _mail["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail["EMAIL_USE_TLS"], _mail["EMAIL_USE_SSL"]
EMAIL_FILE_PATH = "/" + _mail["EMAIL_FILE_PATH"].lstrip("/")
# A server that hangs must not keep a job for ever.
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "Support <support@localhost>")

# How often an API key may call that has no limits of its own.
try:
    RATE_LIMIT = parse_rates(env.list("RATE_LIMIT", ["1200/minute", "36000/hour"]))
except ValueError as exc:
    raise ValueError(f"RATE_LIMIT is not understood: {exc}") from exc

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["projects.permissions.MayActOnProject"],
    "DEFAULT_PARSER_CLASSES": ["rest.media.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest.media.FastJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "rest.media.AlwaysJSON",
    "DEFAULT_SCHEMA_CLASS": "rest.schema.Schema",
    "EXCEPTION_HANDLER": "rest.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NON_FIELD_ERRORS_KEY": "non_field_errors",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Conversations API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": (
        "Support tickets, their messages, and how many of them are unread.\n\n"
        "A request may have 64 KiB of path, query and headers (414 or 431 beyond 128), 100 headers,"
        " 1,000 parameters (400), and a body of 1 MiB (413) with 32 levels (400), in UTF-8 and"
        " neither compressed nor otherwise encoded (415). No text holds NUL or lone surrogates,"
        " and no number is beyond 64-bit integers and doubles. Free JSON has `x-max-bytes`, as"
        " it is written without spaces. A name twice in one object, or a parameter given twice"
        " that is no list, is a 400."
    ),
    "SCHEMA_PATH_PREFIX": r"/api/projects/\{project_id\}(/conversations)?",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "TicketStatus": "conversations.models.Status",
        "TicketPriority": "conversations.models.Priority",
        "ChannelSource": "conversations.models.ChannelSource",
        "AuthorType": "conversations.models.AuthorType",
        "EventType": "conversations.events.models.EventType",
        "ActorType": "conversations.events.actors.ActorType",
        "DeliveryStatus": "conversations.webhooks.models.DeliveryStatus",
        "TicketPriorityOrNone": "conversations.models.PRIORITY_OR_NONE",
        "AssigneeType": "conversations.models.ASSIGNEE_TYPES",
        "ErrorType": "rest.schema.ERROR_TYPES",
        "SlaUnit": "conversations.sla.Unit",
        "Weekday": "conversations.sla.Weekday",
        "TagsAction": "conversations.tickets.serializers.TagsAction",
        "SlaState": "conversations.tickets.filters.DEADLINES",
        "SortColumn": "conversations.saved_views.serializers.SORT_COLUMNS",
        "SortDirection": "conversations.saved_views.serializers.DIRECTIONS",
        "TagsMatch": "conversations.saved_views.serializers.TAGS_MATCH",
        "WidgetRestoreStatus": "conversations.widget.serializers.RESTORE_STATUSES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "rest.schema.finish",
    ],
}

# --- Metrics ---------------------------------------------------------------

METRICS_TOKEN = env.str("METRICS_TOKEN", "")

# --- Logs --------------------------------------------------------------------

LOG_LEVEL = env.str(
    "LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
)
LOG_FORMAT = env.str("LOG_FORMAT", "json", validate=validate.OneOf(["json", "text"]))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "rest.request_id.RequestIDFilter"},
        "path": {"()": "rest.request_id.PathFilter"},
    },
    "formatters": {
        "json": {
            "()": "rest.logs.JSONWithoutRows",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        },
        "text": {
            "()": "rest.logs.WithoutRows",
            "fmt": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        },
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["request_id", "path"],
            "formatter": LOG_FORMAT,
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # Django's own line for each refused request repeats the access log.
    "loggers": {
        "django.request": {"level": "ERROR"},
        # This one with the path of the page, which may be a link to choose a password.
        "django.security.csrf": {"level": "ERROR"},
        # Anybody can send a foreign Host: a line in the access log is enough.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Procrastinate has four for each job that does what it should.
        "procrastinate": {"level": "WARNING"},
    },
}
