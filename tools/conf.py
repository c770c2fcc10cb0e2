"""The settings of the tools."""

from pathlib import Path
from typing import Final

import msgspec
from django.conf import settings

from retrieval.remote.service import EmbeddingService
from tools.commands import Profile
from tools.committing.identity import Identity
from tools.forges.allowed import AllowedRemotes
from tools.http_tools.services import HttpService
from tools.mcp_client.servers import McpServer
from tools.output.masking import Masker
from tools.plugins.spec import PluginTools
from tools.policy import Policy, parse
from tools.sandbox.protection.quarantine import LOCK
from tools.terminal.limits import Limits as TerminalLimits
from tools.web.settings import FetchLimits, WebSettings
from tools.workspace import SECRETS, Limits, SecretNames
from tools.workspace.quota import Quota
from tools.workspaces.scope import Scope

# A text from outside could otherwise make itself an instruction of later conversations.
INSTRUCTIONS: Final = parse(
    "ask write path=AGENTS.md when=tainted; ask write path=skills/*/SKILL.md when=tainted; "
    "ask write path=.agents/skills/*/SKILL.md when=tainted"
)


class CloudRunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The project of Google Cloud to which images are deployed, and its credentials."""

    project: str
    region: str
    credentials: str
    images: tuple[str, ...]
    max_seconds: float


def workspace_base() -> Path:
    return Path(settings.ALLOW_FS_BASE)


def workspace_scope() -> Scope:
    scope: Scope = msgspec.convert(settings.WORKSPACE_SCOPE, Scope)
    return scope


def workspaces_lock() -> Path:
    """Return the file that is locked while commands may write in the root workspace."""
    return output_folder() / "quarantine" / LOCK


def workspace_limits() -> Limits:
    return Limits(max_read_bytes=settings.FS_MAX_READ_BYTES, max_write_bytes=settings.FS_MAX_WRITE_BYTES)


def workspace_quota(folder: Path) -> Quota:
    """Return the quota of a workspace."""
    return Quota(folder, max_bytes=settings.WORKSPACE_MAX_BYTES, max_files=settings.WORKSPACE_MAX_FILES)


def secret_names() -> SecretNames:
    return SecretNames((*SECRETS, *settings.FS_SECRET_NAMES))


def result_bytes() -> int:
    return int(settings.TOOL_RESULT_MAX_BYTES)


def plugins() -> tuple[PluginTools, ...]:
    """Return the tools of the plug-ins that the operator allows."""
    found: tuple[PluginTools, ...] = settings.PLUGINS.tools
    return found


def http_services() -> tuple[HttpService, ...]:
    """Return the HTTP services whose operations are tools."""
    services: tuple[HttpService, ...] = settings.HTTP_SERVICES
    return services


def output_folder() -> Path:
    return Path(settings.TOOL_OUTPUT_DIR)


def max_output_bytes() -> int:
    return int(settings.TERMINAL_MAX_OUTPUT_BYTES)


def undo_max_bytes() -> int:
    return int(settings.UNDO_MAX_BYTES)


def git_enabled() -> bool:
    return bool(settings.ENABLE_GIT)


def retrieval_enabled() -> bool:
    return bool(settings.ENABLE_RETRIEVAL)


def embedding_service() -> EmbeddingService | None:
    """Return the service that makes the vectors of retrieval; None if the model of this machine makes them."""
    service: EmbeddingService | None = settings.RETRIEVAL_EMBEDDINGS
    return service


def is_stored() -> bool:
    """Return whether anything is stored in the database."""
    return bool(settings.ENABLE_PERSISTENCE)


def index_folder() -> Path:
    """Return the folder of the indexes of workspaces."""
    return Path(settings.INDEX_DIR)


def git_identity() -> Identity:
    return Identity(name=settings.GIT_AUTHOR_NAME, email=settings.GIT_AUTHOR_EMAIL)


def allowed_remotes() -> AllowedRemotes:
    return AllowedRemotes(settings.GIT_REMOTES_ALLOWED, settings.GIT_TOKENS)


def max_clone_bytes() -> int:
    return int(settings.GIT_CLONE_MAX_BYTES)


def git_folder() -> Path:
    """Return the folder of the service's own repositories."""
    return output_folder() / "git"


def terminal_enabled() -> bool:
    return bool(settings.ENABLE_TERMINAL)


def terminal_limits() -> TerminalLimits:
    return TerminalLimits(
        max_seconds=settings.TERMINAL_MAX_SECONDS,
        max_output_bytes=settings.TERMINAL_MAX_OUTPUT_BYTES,
        writable=settings.TERMINAL_WRITABLE,
        profile=msgspec.convert(settings.TERMINAL_PROFILE, Profile),
        quarantine=output_folder() / "quarantine",
        whitelist=settings.TERMINAL_WHITELIST,
        secret_globs=(*SECRETS, *settings.FS_SECRET_NAMES),
    )


def cloud_run() -> CloudRunSettings:
    return CloudRunSettings(
        project=settings.CLOUD_RUN_PROJECT,
        region=settings.CLOUD_RUN_REGION,
        credentials=settings.CLOUD_RUN_CREDENTIALS,
        images=settings.CLOUD_RUN_IMAGES,
        max_seconds=settings.CLOUD_RUN_MAX_SECONDS,
    )


def web() -> WebSettings:
    return WebSettings(
        fetch=settings.WEB_FETCH,
        hosts=settings.WEB_ALLOW_HOSTS,
        limits=FetchLimits(max_bytes=settings.WEB_MAX_BYTES, max_seconds=settings.WEB_MAX_SECONDS),
        provider=settings.WEB_SEARCH,
        search_url=settings.WEB_SEARCH_URL,
        search_key=settings.WEB_SEARCH_API_KEY,
    )


def heartbeat_seconds() -> float:
    """Return the seconds of silence after which a stream sends a ping."""
    return float(settings.HEARTBEAT_SECONDS)


def approval_seconds() -> float:
    return float(settings.APPROVAL_SECONDS)


def client_seconds() -> float:
    return float(settings.CLIENT_TOOL_SECONDS)


def mcp_servers() -> tuple[McpServer, ...]:
    """Return the MCP servers that the operator named."""
    servers: tuple[McpServer, ...] = settings.MCP_SERVERS
    return servers


def policy() -> Policy:
    """Return the rules of the operator, behind those that protect the instructions of workspaces."""
    rules: Policy = settings.TOOL_POLICY
    return Policy((*INSTRUCTIONS.rules, *rules.rules)) if settings.WORKSPACE_INSTRUCTIONS else rules


def masker() -> Masker:
    """Return the masker of the service's own secrets and of everything with a secret's shape."""
    return Masker(settings.KNOWN_SECRETS)
