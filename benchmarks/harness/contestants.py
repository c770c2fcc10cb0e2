"""The contestants: the service in several forms, and the services that it is compared with."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.harness.load import AG_UI, NATIVE, OPENAI, RESPONSES, UI_MESSAGES, Dialect

PROJECT: Final = Path(__file__).resolve().parents[2]

# nginx has what costs least: one process, no log, kept connections to both sides, and no buffering, so that each token
# is passed on at once as the service does.
NGINX_CONF: Final = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream fake {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://fake;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a contestant: its folder, its port, the upstream's port, and its database.

    Without a `database` URL it has a SQLite file in the folder.
    """

    folder: Path
    port: int
    upstream: int
    database: str = ""

    @property
    def sqlite(self) -> Path:
        return self.folder / "orchestrator.db"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.sqlite}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every server."""
        # Nothing else is inherited: a variable of the caller could be a setting of the service.
        url = f"http://127.0.0.1:{self.upstream}/v1"
        return {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "fake"}


@dataclass(frozen=True, slots=True)
class Launch:
    """A command, its working directory, and its environment."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A server to measure; `launch` is None for the upstream, which runs anyway.

    Forms of one contestant may share a title, which names a column of the report.
    """

    title: str
    path: str
    dialect: Dialect
    body: Callable[[str], dict[str, object]]
    launch: Callable[[Place], Launch] | None
    missing: str = field(default="")
    key: Callable[["Place"], str] = lambda _: ""
    needs_postgres: bool = False


def native(message: str) -> dict[str, object]:
    return {"message": message}


def completion(message: str) -> dict[str, object]:
    messages = [{"role": "user", "content": message}]
    return {"model": "fake-1", "stream": True, "stream_options": {"include_usage": True}, "messages": messages}


def response(message: str) -> dict[str, object]:
    return {"model": "fake-1", "stream": True, "input": message}


def ui_chat(message: str) -> dict[str, object]:
    parts = [{"type": "text", "text": message}]
    return {"id": new_name(), "messages": [{"id": "m", "role": "user", "parts": parts}]}


def agent_input(message: str) -> dict[str, object]:
    messages = [{"id": "m", "role": "user", "content": message}]
    return {"threadId": new_name(), "runId": "r", "messages": messages, "tools": [], "context": []}


def new_name() -> str:
    """Return a name for a new conversation."""
    return uuid.uuid4().hex


def service_environment(place: Place, *, stored: bool) -> dict[str, str]:
    """Return the service's settings as in production, with all of its data in the place's folder."""
    settings = {
        "ENABLE_PERSISTENCE": "true" if stored else "false",
        "DATABASE_URL": place.database_url,
        "ALLOW_FS_BASE": str(place.folder / "workspaces"),
        "SECRET_KEY_PATH": str(place.folder / "secret_key"),
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
    }
    return place.environment | settings


def _service(place: Place) -> Launch:
    return _serve(place, stored=True)


def _serve(place: Place, *, stored: bool) -> Launch:
    command = [sys.executable, str(PROJECT / "manage.py"), "serve", "--port", str(place.port)]
    return Launch(command, place.folder, service_environment(place, stored=stored))


def _keyed_service(place: Place) -> Launch:
    """Return the service for a caller whose key has every kind of limit."""
    # The limits are far away: each request pays for its checks, and none is refused.
    launch = _service(place)
    settings = {"MODEL_PRICES": "*:1,1", "RATE_LIMIT": "100000000/minute", "BUDGETS": "1000000usd/month"}
    environment = {**launch.environment, **settings}
    limits = ["--rate", "100000000/minute", "--max-runs", "1000", "--budget", "1000000usd/day"]
    manage = [sys.executable, str(PROJECT / "manage.py")]
    for command in (["migrate", "--verbosity", "0"], ["create_api_key", "benchmark", *limits]):
        done = subprocess.run(
            [*manage, *command], cwd=place.folder, env=environment, stdout=subprocess.PIPE, check=True, text=True
        )
    _key_file(place).write_text(done.stdout.strip())
    return Launch(launch.command, launch.folder, environment)


def _key_file(place: Place) -> Path:
    return place.folder / "key"


def _variant(place: Place, *, name: str, settings: Mapping[str, str]) -> Launch:
    # The service runs in the place's folder, from where the package `benchmarks` is found by PYTHONPATH only.
    command = [sys.executable, "-m", "benchmarks.variants", name, "serve", "--port", str(place.port)]
    environment = service_environment(place, stored=True) | {"PYTHONPATH": str(PROJECT), **settings}
    return Launch(command, place.folder, environment)


def _fastapi(place: Place) -> Launch:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.peers.plain_fastapi:app", "--port", str(place.port)]
    # The fastest choices of uvicorn, which the service has too.
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return Launch(command, PROJECT, place.environment)


def _django(place: Place) -> Launch:
    command = [sys.executable, "-m", "benchmarks.peers.plain_django", "--port", str(place.port)]
    return Launch(command, PROJECT, place.environment | {"DATABASE_URL": place.database_url})


def _nginx(place: Place) -> Launch:
    configuration = place.folder / "nginx.conf"
    configuration.write_text(NGINX_CONF.format(folder=place.folder, port=place.port, upstream=place.upstream))
    # Without -e, nginx opens its compiled-in log file before it reads the configuration.
    return Launch(["nginx", "-e", "stderr", "-c", str(configuration)], place.folder, place.environment)


TASKS: Final = "/benchmarks/tasks"
COMPLETIONS: Final = "/v1/chat/completions"
CHAT: Final = "/chat/stream"

UPSTREAM: Final = Contestant(
    title="the upstream itself", path=COMPLETIONS, dialect=OPENAI, body=completion, launch=None
)
NGINX: Final = Contestant(
    title="nginx `proxy_pass`",
    path=COMPLETIONS,
    dialect=OPENAI,
    body=completion,
    launch=_nginx,
    missing="" if shutil.which("nginx") else "nginx is not on the PATH (Debian: apt install nginx-light)",
)
SERVICE: Final = Contestant(title="this service", path=CHAT, dialect=NATIVE, body=native, launch=_service)
UNJOURNALED: Final = Contestant(
    title="the same, no journal",
    path=CHAT,
    dialect=NATIVE,
    body=native,
    launch=partial(_variant, name="unjournaled", settings={}),
)
"""The service stores sessions, runs and messages, but not the streamed frames."""

UNAUDITED: Final = Contestant(
    title="the same, no audit chain",
    path=CHAT,
    dialect=NATIVE,
    body=native,
    launch=partial(_variant, name="unaudited", settings={}),
)
UNSTORED: Final = Contestant(
    title="`ENABLE_PERSISTENCE=false`", path=CHAT, dialect=NATIVE, body=native, launch=partial(_serve, stored=False)
)
FASTAPI: Final = Contestant(
    title="FastAPI + openai SDK",
    path=CHAT,
    dialect=NATIVE,
    body=native,
    launch=_fastapi,
    missing="" if find_spec("fastapi") else "FastAPI is not installed (uv run --group bench ...)",
)
DJANGO: Final = Contestant(title="Django's ORM + openai SDK", path=CHAT, dialect=NATIVE, body=native, launch=_django)


AS_NATIVE: Final = replace(SERVICE, title="native events")
AS_COMPLETIONS: Final = replace(SERVICE, title="Chat Completions", path=COMPLETIONS, dialect=OPENAI, body=completion)
AS_RESPONSES: Final = replace(SERVICE, title="Responses", path="/v1/responses", dialect=RESPONSES, body=response)
AS_UI_MESSAGES: Final = replace(SERVICE, title="AI SDK", path="/ai/chat", dialect=UI_MESSAGES, body=ui_chat)
AS_AG_UI: Final = replace(SERVICE, title="AG-UI", path="/ag-ui", dialect=AG_UI, body=agent_input)
PROJECTIONS: Final = (AS_NATIVE, AS_COMPLETIONS, AS_RESPONSES, AS_UI_MESSAGES, AS_AG_UI)

CONTESTANTS: Final = (UPSTREAM, NGINX, SERVICE, UNJOURNALED, UNSTORED, FASTAPI, DJANGO)

KEYED: Final = replace(SERVICE, launch=_keyed_service, key=lambda place: _key_file(place).read_text())
"""Each request has a key with a rate, a maximum of runs and a budget; the service has a rate and a budget too."""

# Without a grace period an unfollowed run stops at once, so that a storm measures the stop and not the wait before it.
COUNTED: Final = replace(SERVICE, launch=partial(_variant, name="counted", settings={"DISCONNECT_GRACE_SECONDS": "0"}))
"""The service reports at `TASKS` how many tasks it has."""

SERVICE_ON_POSTGRES: Final = replace(SERVICE, needs_postgres=True)
DJANGO_ON_POSTGRES: Final = replace(DJANGO, needs_postgres=True)
