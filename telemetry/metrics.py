"""The instruments of the service, and the functions that record on them.

Each label has a bounded number of values: a caller cannot create new ones.
"""

from typing import Final

from telemetry import process_figures
from telemetry.instruments import OTHER, Counter, Gauge, Histogram, Instrument, Names

SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds in seconds, for short operations."""

LONG: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
"""Bounds in seconds, for operations that wait for a model."""

# The method of a request is the client's text, so only known ones become a label.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_MODELS: Final = 100

requests = Counter("orchestrator_requests_total", "Answered requests.", ("method", "route", "status"))
request_seconds = Histogram(
    "orchestrator_request_seconds", "From a request to the start of its answer.", ("method", "route"), bounds=SHORT
)
refusals = Counter("orchestrator_refusals_total", "Requests and messages that were rejected.", ("code",))
runs_started = Counter("orchestrator_runs_started_total", "Runs started.")
runs_ended = Counter("orchestrator_runs_ended_total", "Runs ended.", ("status", "reason"))
runs_active = Gauge("orchestrator_runs_active", "Runs in progress.")
run_seconds = Histogram("orchestrator_run_seconds", "From the start or continuation of a run to its end.", bounds=LONG)
first_token_seconds = Histogram(
    "orchestrator_first_token_seconds", "From the start or continuation of a run to its first token.", bounds=LONG
)
tokens = Counter("orchestrator_tokens_total", "Tokens of models.", ("provider", "model", "kind"))
cost_usd = Counter("orchestrator_cost_usd_total", "Known cost of model calls in USD.", ("provider", "model"))
provider_errors = Counter("orchestrator_provider_errors_total", "Calls of a model that failed.", ("provider", "code"))
tool_executions = Counter("orchestrator_tool_executions_total", "Executions that have ended.", ("tool", "outcome"))
tool_seconds = Histogram("orchestrator_tool_seconds", "An execution at work.", ("tool",), bounds=LONG)
followers = Gauge("orchestrator_followers", "Open streams of runs, over HTTP and WebSockets.")
commits = Counter("orchestrator_commits_total", "Transactions of the writer.")
commit_seconds = Histogram("orchestrator_commit_seconds", "One transaction of the writer.", bounds=SHORT)
writes_waiting = Gauge("orchestrator_writes_waiting", "Writes that wait for the writer.")
workers = Gauge("orchestrator_workers", "Processes that serve requests.")
cpu_seconds = Counter("process_cpu_seconds_total", "Processor time of the service's processes.")
memory_bytes = Gauge("process_resident_memory_bytes", "Resident memory of the service's processes.")
open_files = Gauge("process_open_fds", "Open file descriptors of the service's processes.")
# The same in all processes: the endpoint sets them, instead of adding up what each process has.
build_info = Gauge("orchestrator_build_info", "1, with the version of the service.", ("version",))
approvals_waiting = Gauge("orchestrator_approvals_waiting", "Executions that wait for an approval.")
client_calls_waiting = Gauge("orchestrator_client_calls_waiting", "Calls of client tools that wait for a result.")

workers.read = lambda: 1.0
cpu_seconds.read = process_figures.cpu_seconds
memory_bytes.read = process_figures.memory_bytes
open_files.read = process_figures.open_files

INSTRUMENTS: Final[tuple[Instrument, ...]] = (
    requests,
    request_seconds,
    refusals,
    runs_started,
    runs_ended,
    runs_active,
    run_seconds,
    first_token_seconds,
    tokens,
    cost_usd,
    provider_errors,
    tool_executions,
    tool_seconds,
    followers,
    commits,
    commit_seconds,
    writes_waiting,
    workers,
    cpu_seconds,
    memory_bytes,
    open_files,
    build_info,
    approvals_waiting,
    client_calls_waiting,
)

_models: Final = Names(MAX_MODELS)


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Record a response that begins. `route` is a pattern of the service's URLs, or `other`."""
    method = method if method in METHODS else OTHER
    requests.add(method, route, str(status))
    request_seconds.add(seconds, method, route)


def rejected(method: str, status: int) -> None:
    """Record a request that was rejected before its route was known."""
    requests.add(method if method in METHODS else OTHER, OTHER, str(status))


def run_ended(status: str, reason: str, seconds: float) -> None:
    runs_ended.add(status, reason)
    run_seconds.add(seconds)


def used(provider: str, model: str, *, answered: bool, cost: float | None, **kinds: int) -> None:
    """Record the tokens of a model call, by kind."""
    # A caller may name any model. One that never answered may not exist, and counts as `other`.
    model = _models.label(model, is_real=answered)
    for kind, count in kinds.items():
        if count:
            tokens.add(provider, model, kind, amount=count)
    if cost:
        cost_usd.add(provider, model, amount=cost)


def tool_ended(tool: str, outcome: str, seconds: float) -> None:
    """Record an execution. `tool` is a registered name, `client` or `unknown`.

    `outcome` is `succeeded` or an error code. An execution that never ran is recorded with 0 seconds.
    """
    tool_executions.add(tool, outcome)
    if seconds:
        tool_seconds.add(seconds, tool)


def committed(seconds: float) -> None:
    """Record a commit. Only the writer's thread calls this."""
    commits.add()
    commit_seconds.add(seconds)
