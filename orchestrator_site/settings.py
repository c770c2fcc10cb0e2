"""The settings of the service, read once from the environment; `.env.example` explains each variable."""

import os
import tomllib
from functools import partial

from access.limits.budgets import budgets
from access.limits.rates import optional as optional_rate
from access.network import proxies
from chat.pricing import price_list
from chat.providers import SPECS, all_specs
from command_line.program import FOLDER
from orchestrator_site import channel_layer, secret_key
from orchestrator_site.environment import plugin_settings, provider_settings, tool_parsers
from orchestrator_site.environment.variables import Environment, origin, redis_url
from storage import engine_options
from tools import commands, policy

BASE_DIR = FOLDER
# The project is not installed as a package, so its metadata is the file itself.
PYPROJECT = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))
VERSION: str = PYPROJECT["project"]["version"]
CODE_FOLDERS = frozenset(
    {*(path.partition("/")[0] for path in PYPROJECT["tool"]["mypy"]["files"]), "bin", "docs", "sample_workspace"}
)
YEAR_SECONDS = 365 * 24 * 3_600

env = Environment.load(dict(os.environ))

# Who may call
PUBLIC_URL = env.parsed("PUBLIC_URL", origin)
API_KEY = env.token("API_KEY")
ALLOW_KEYLESS = env.flag("ALLOW_KEYLESS", default=False)
ALLOWED_HOSTS = list(env.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]"))
CORS_ALLOWED_ORIGINS = (*env.names("CORS_ALLOWED_ORIGINS"), *([PUBLIC_URL] if PUBLIC_URL else ()))
TRUSTED_PROXIES = env.parsed("TRUSTED_PROXIES", proxies.networks)
ROOT_PATH = env.parsed("ROOT_PATH", proxies.root_path)
RATE_LIMIT = env.parsed("RATE_LIMIT", optional_rate)
RATE_LIMIT_PER_KEY = env.parsed("RATE_LIMIT_PER_KEY", optional_rate)

# Limits of connections and requests
LOGIN_RATE = env.parsed("LOGIN_RATE", optional_rate) or "10/minute"
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", 16 * 2**20, least=1_024)
MAX_UNFINISHED_BYTES = env.integer("MAX_UNFINISHED_BYTES", 256 * 2**20, least=65_536)
MAX_CONNECTIONS = env.integer("MAX_CONNECTIONS", 4_000, least=1)
REQUEST_HEAD_SECONDS = env.seconds("REQUEST_HEAD_SECONDS", 10, least=0.1, most=3_600)
REQUEST_BODY_SECONDS = env.seconds("REQUEST_BODY_SECONDS", 30, least=0.1, most=3_600)
KEEP_ALIVE_SECONDS = env.seconds("KEEP_ALIVE_SECONDS", 75, least=0.1, most=3_600)

# Where things are kept
ENABLE_PERSISTENCE = env.flag("ENABLE_PERSISTENCE", default=True)
DATABASES = {"default": env.database("DATABASE_URL", "orchestrator.db")}
ALLOW_FS_BASE = env.path("ALLOW_FS_BASE", "workspaces")
WORKSPACE_SCOPE = env.choice("WORKSPACE_SCOPE", "owner", ("shared", "owner", "session"))
WORKSPACE_MAX_BYTES = env.integer("WORKSPACE_MAX_BYTES", 10 * 2**30, least=0)
WORKSPACE_MAX_FILES = env.integer("WORKSPACE_MAX_FILES", 200_000, least=0)
ENV_PATH = env.file
SECRET_KEY_PATH = env.path("SECRET_KEY_PATH", ".secret_key")
SECRET_KEY = env.secret("SECRET_KEY") or secret_key.kept(SECRET_KEY_PATH)

# Plug-ins: installed packages that add tools and providers
PLUGINS = plugin_settings.plugins(env, "PLUGINS")

# Providers of models: each provider's own variables (`chat.providers.SPECS`), then what all of them share
PROVIDER_SETTINGS = {each.name: provider_settings.setting(env, each) for spec in SPECS for each in spec.settings}
globals().update(PROVIDER_SETTINGS)
ENDPOINTS = provider_settings.endpoints(env, "PROVIDERS_FILE", [*(spec.name for spec in SPECS), *PLUGINS.names])
PROVIDER_SPECS = all_specs(ENDPOINTS, PLUGINS.providers)
DEFAULT_PROVIDER = env.choice("DEFAULT_PROVIDER", "", ("", *(spec.name for spec in PROVIDER_SPECS)))
DEFAULT_MODEL = env.text("DEFAULT_MODEL")
PROVIDER_FALLBACK = env.names("PROVIDER_FALLBACK")
SYSTEM_PROMPT = env.text("SYSTEM_PROMPT")
WORKSPACE_INSTRUCTIONS = env.flag("WORKSPACE_INSTRUCTIONS", default=False)
PROVIDER_CONNECT_TIMEOUT = env.seconds("PROVIDER_CONNECT_TIMEOUT", 10, least=0.01)
PROVIDER_FIRST_BYTE_TIMEOUT = env.seconds("PROVIDER_FIRST_BYTE_TIMEOUT", 120, least=0.01)
PROVIDER_IDLE_TIMEOUT = env.seconds("PROVIDER_IDLE_TIMEOUT", 60, least=0.01)
PROVIDER_MAX_RETRIES = env.integer("PROVIDER_MAX_RETRIES", 2, most=10)

# Money and tokens
MODEL_PRICES = env.parsed("MODEL_PRICES", price_list.price_list)
BUDGETS = env.parsed("BUDGETS", budgets)

# Limits of a run
MAX_ACTIVE_RUNS = env.integer("MAX_ACTIVE_RUNS", 2_000, least=1)
RUN_MAX_SECONDS = env.seconds("RUN_MAX_SECONDS", 1_800, least=1)
RUN_MAX_STEPS = env.integer("RUN_MAX_STEPS", 32, least=1)
RUN_MAX_TOOL_CALLS = env.integer("RUN_MAX_TOOL_CALLS", 128, least=1)
RUN_MAX_OUTPUT_TOKENS = env.integer("RUN_MAX_OUTPUT_TOKENS", 32_768, least=1)
RUN_MAX_OUTPUT_BYTES = env.integer("RUN_MAX_OUTPUT_BYTES", 2 * 2**20, least=1_024)

# Processes
CHANNEL_LAYER_URL = env.parsed("CHANNEL_LAYER_URL", redis_url)
LEASE_SECONDS = env.seconds("LEASE_SECONDS", 10, least=0.5, most=600)
DRAIN_SECONDS = env.seconds("DRAIN_SECONDS", 20, most=3_600)

# Pruning
EVENT_RETENTION_HOURS = env.integer("EVENT_RETENTION_HOURS", 168, least=1, most=10**6)

# The audit chain
AUDIT_HEAD_SECONDS = env.seconds("AUDIT_HEAD_SECONDS", 3_600, most=10**6)

# Streams
JOURNAL_SECONDS = env.seconds("JOURNAL_SECONDS", 0.05, least=0.001, most=5)
HEARTBEAT_SECONDS = env.seconds("HEARTBEAT_SECONDS", 10, least=0.05, most=300)
DISCONNECT_GRACE_SECONDS = env.seconds("DISCONNECT_GRACE_SECONDS", 10, most=3_600)
SLOW_READER_SECONDS = env.seconds("SLOW_READER_SECONDS", 60, least=1, most=3_600)

# Tools
ENABLE_TERMINAL = env.flag("ENABLE_TERMINAL", default=True)
ENABLE_GIT = env.flag("ENABLE_GIT", default=True)
ENABLE_RETRIEVAL = env.flag("ENABLE_RETRIEVAL", default=True)
vectors_from = partial(
    provider_settings.embedding_service, values=PROVIDER_SETTINGS, endpoints=ENDPOINTS, prices=MODEL_PRICES
)
RETRIEVAL_EMBEDDINGS = env.parsed("RETRIEVAL_EMBEDDINGS", vectors_from)
GIT_AUTHOR_NAME = env.parsed("GIT_AUTHOR_NAME", tool_parsers.name_template)
GIT_AUTHOR_EMAIL = env.parsed("GIT_AUTHOR_EMAIL", tool_parsers.email_template)
GIT_REMOTES_ALLOWED = env.parsed("GIT_REMOTES_ALLOWED", tool_parsers.remotes)
GIT_CLONE_MAX_BYTES = env.integer("GIT_CLONE_MAX_BYTES", 256 * 2**20, least=1_024, most=16 * 2**30)
GIT_TOKENS = {
    **({"github.com": token} if (token := env.token("GITHUB_TOKEN")) else {}),
    **({"gitlab.com": token} if (token := env.token("GITLAB_TOKEN")) else {}),
    **env.parsed_secret("GIT_TOKENS", tool_parsers.tokens),
}
CLOUD_RUN_PROJECT = env.text("CLOUD_RUN_PROJECT")
CLOUD_RUN_REGION = env.text("CLOUD_RUN_REGION")
CLOUD_RUN_CREDENTIALS = env.text("CLOUD_RUN_CREDENTIALS", "default")
if CLOUD_RUN_CREDENTIALS != "default":
    CLOUD_RUN_CREDENTIALS = str(env.path("CLOUD_RUN_CREDENTIALS", ""))
CLOUD_RUN_IMAGES = env.names("CLOUD_RUN_IMAGES")
CLOUD_RUN_MAX_SECONDS = env.seconds("CLOUD_RUN_MAX_SECONDS", 900, least=1, most=3_600)
WEB_FETCH = env.flag("WEB_FETCH", default=False)
WEB_ALLOW_HOSTS = env.parsed("WEB_ALLOW_HOSTS", tool_parsers.allowed_hosts)
WEB_MAX_BYTES = env.integer("WEB_MAX_BYTES", 4 * 2**20, least=1_024, most=32 * 2**20)
WEB_MAX_SECONDS = env.seconds("WEB_MAX_SECONDS", 30, least=1, most=300)
WEB_SEARCH = env.parsed("WEB_SEARCH", tool_parsers.search_provider)
WEB_SEARCH_URL = env.url("WEB_SEARCH_URL", query=True)
WEB_SEARCH_API_KEY = env.token("WEB_SEARCH_API_KEY")
FS_MAX_READ_BYTES = env.integer("FS_MAX_READ_BYTES", 2**20, least=1_024)
FS_MAX_WRITE_BYTES = env.integer("FS_MAX_WRITE_BYTES", 8 * 2**20, least=1)
FS_SECRET_NAMES = env.names("FS_SECRET_NAMES")
TOOL_RESULT_MAX_BYTES = env.integer("TOOL_RESULT_MAX_BYTES", 32_768, least=256)
TOOL_SEARCH_ABOVE = env.integer("TOOL_SEARCH_ABOVE", 40, least=0, most=10_000)
TOOL_SEARCH_TOKENS = env.integer("TOOL_SEARCH_TOKENS", 1_500, least=500, most=100_000)
TOOL_OUTPUT_DIR = env.path("TOOL_OUTPUT_DIR", "tool_outputs")
INDEX_DIR = env.path("INDEX_DIR", str(TOOL_OUTPUT_DIR / "indexes"))
UNDO_MAX_BYTES = env.integer("UNDO_MAX_BYTES", 64 * 2**20, least=0)
HTTP_SERVICES = provider_settings.http_services(env, "TOOLS_FILE")
MCP_SERVERS = provider_settings.mcp_servers(env, "MCP_SERVERS_FILE")
MCP_VARIABLES = provider_settings.mcp_variables(env, tool_parsers.ENTRY_VARIABLES)
TOOL_POLICY = env.parsed("TOOL_POLICY", policy.parse)
APPROVAL_SECONDS = env.seconds("APPROVAL_SECONDS", 3_600, least=1)
CLIENT_TOOL_SECONDS = env.seconds("CLIENT_TOOL_SECONDS", 3_600, least=1)
TERMINAL_PROFILE = env.choice("TERMINAL_PROFILE", "read", ("read", "develop", "shell"))
TERMINAL_WHITELIST = env.parsed("TERMINAL_WHITELIST", partial(commands.extended, commands.WHITELIST))
TERMINAL_WRITABLE = env.flag("TERMINAL_WRITABLE", default=False)
TERMINAL_MAX_SECONDS = env.seconds("TERMINAL_MAX_SECONDS", 60, least=0.1, most=3_600)
TERMINAL_MAX_OUTPUT_BYTES = env.integer("TERMINAL_MAX_OUTPUT_BYTES", 16 * 2**20, least=1_024)

# Speech
ENABLE_SPEECH = env.flag("ENABLE_SPEECH", default=True)
DEFAULT_SPEECH_PROVIDER = env.text("DEFAULT_SPEECH_PROVIDER", "openai")
OPENAI_SPEECH_API_KEY = env.token("OPENAI_SPEECH_API_KEY")
OPENAI_SPEECH_BASE_URL = env.url("OPENAI_SPEECH_BASE_URL", query=True)
DEFAULT_TTS_VOICE = env.text("DEFAULT_TTS_VOICE", "alloy")
DEFAULT_TTS_MODEL = env.text("DEFAULT_TTS_MODEL", "tts-1")
DEFAULT_STT_MODEL = env.text("DEFAULT_STT_MODEL", "gpt-transcribe")
GOOGLE_SPEECH_API_KEY = env.token("GOOGLE_SPEECH_API_KEY")
GOOGLE_SPEECH_CREDENTIALS = env.text("GOOGLE_SPEECH_CREDENTIALS")
if GOOGLE_SPEECH_CREDENTIALS not in {"", "default"}:
    GOOGLE_SPEECH_CREDENTIALS = str(env.path("GOOGLE_SPEECH_CREDENTIALS", ""))
GOOGLE_SPEECH_URL = env.url("GOOGLE_SPEECH_URL", "https://speech.googleapis.com/v1")
GOOGLE_TTS_URL = env.url("GOOGLE_TTS_URL", "https://texttospeech.googleapis.com/v1")
LOCAL_SPEECH_PARALLEL = env.integer("LOCAL_SPEECH_PARALLEL", 1, least=1, most=64)
LOCAL_SPEECH_THREADS = env.integer("LOCAL_SPEECH_THREADS", 1, least=1, most=64)
SPEECH_MAX_AUDIO_BYTES = env.integer("SPEECH_MAX_AUDIO_BYTES", 25 * 2**20, least=1_024, most=200 * 2**20)
SPEECH_MAX_AUDIO_SECONDS = env.seconds("SPEECH_MAX_AUDIO_SECONDS", 1_800, least=1, most=14_400)
SPEECH_MAX_CHARACTERS = env.integer("SPEECH_MAX_CHARACTERS", 20_000, least=1, most=1_000_000)
SPEECH_MAX_SECONDS = env.seconds("SPEECH_MAX_SECONDS", 300, least=0.1, most=3_600)
SPEECH_MAX_RESULT_BYTES = env.integer("SPEECH_MAX_RESULT_BYTES", 8 * 2**20, least=1_024, most=64 * 2**20)
SPEECH_KEEP_AUDIO = env.flag("SPEECH_KEEP_AUDIO", default=False)

# Secrets, which are masked in all output, rows and log lines
KNOWN_SECRETS = (
    API_KEY,
    SECRET_KEY,
    GOOGLE_SPEECH_API_KEY,
    OPENAI_SPEECH_API_KEY,
    *(PROVIDER_SETTINGS[setting.name] for spec in SPECS for setting in spec.settings if setting.kind == "secret"),
    *(secret for endpoint in ENDPOINTS for secret in endpoint.secrets()),
    *(secret for server in MCP_SERVERS for secret in server.secrets),
    *(secret for service in HTTP_SERVICES for secret in service.secrets()),
    *provider_settings.secrets_of(MCP_VARIABLES),
    *PLUGINS.secrets,
    DATABASES["default"].get("PASSWORD", ""),
    *GIT_TOKENS.values(),
    WEB_SEARCH_API_KEY,
)

# Traces
OTEL_EXPORTER_OTLP_ENDPOINT = env.url("OTEL_EXPORTER_OTLP_ENDPOINT")
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = env.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
OTEL_SERVICE_NAME = env.text("OTEL_SERVICE_NAME", "orchestrator-service")
OTEL_CAPTURES_CONTENT = env.flag("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", default=False)

# Logging
LOG_LEVEL = env.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error"))
LOG_FORMAT = env.choice("LOG_FORMAT", "json", ("json", "text"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "orchestrator_site.logging.JsonLines"},
        "text": {"()": "orchestrator_site.logging.TextLines"},
    },
    "filters": {
        "peers": {"()": "orchestrator_site.logging.WithoutPeerFaults"},
        "refusals": {"()": "orchestrator_site.logging.WithoutRefusalTracebacks"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["refusals"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL.upper()},
    "loggers": {
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "uvicorn": {"level": "WARNING"},
        "uvicorn.error": {"filters": ["peers"]},
        "websockets": {"level": "CRITICAL"},
        "httpx2": {"level": "WARNING"},
        "mcp": {"level": "CRITICAL"},  # it logs ids of sessions, and content of servers
        "client": {"level": "CRITICAL"},  # the same library under another name
        "daphne": {"level": "WARNING"},
        "opentelemetry": {"level": "CRITICAL"},
    },
}

# Django itself
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
ROOT_URLCONF = "orchestrator_site.urls"
ASGI_APPLICATION = "orchestrator_site.asgi.application"
STATIC_URL = "/static/"
STORAGES = {"staticfiles": {"BACKEND": "console.static_files.StaticFiles"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {"default": channel_layer.backend(CHANNEL_LAYER_URL)}
# Bodies are bounded before Django reads them (`http.request_body`).
DATA_UPLOAD_MAX_MEMORY_SIZE = None
INSTALLED_APPS = [
    "orchestrator_site",  # before staticfiles: its `runserver` is the one that counts
    "console.apps.ConsoleConfig",  # before admin: its `base_site.html` adds the styles to every page
    "console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "ninja",
    "telemetry",
    "audit",
    "access",
    "spending",
    "speech",
    "tools",
    "chat",
    "playground",
]
# Only for pages: API requests take the short path of `http.api_handler`, without middleware.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "console.malformed_input.MalformedInput",
    "access.users.acting.ActingUser",
]
# For pages: security headers, and when cookies may be sent.
IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = True
# Other services of the same host keep their own cookies of these names.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = ROOT_PATH or "/"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
CSRF_FAILURE_VIEW = "console.error_pages.form_refused"
SECURE_HSTS_SECONDS = YEAR_SECONDS if IS_HTTPS else 0
SECURE_SSL_REDIRECT = IS_HTTPS and bool(TRUSTED_PROXIES)
X_FRAME_OPTIONS = "DENY"
# HSTS for the neighbours of our name, and for browsers that have never been here: that is for its owner to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = engine_options.SQLITE
    DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"] + ".test"}
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"] = engine_options.postgresql(DATABASES["default"].get("OPTIONS", {}))
