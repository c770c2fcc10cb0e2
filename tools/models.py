"""The table of tool executions."""

from typing import ClassVar

from django.db import models


class ToolExecution(models.Model):
    """An execution of a tool: the request, the decision, and the outcome. Its status only moves forward.

    `params` and `data` are masked; `params_sha256` is the hash of the exact params. `output` is the printed text, or
    its head and tail if it is long. The full text of `output_size` bytes is then in the output store, and so is a
    result that is too long for `data`. `result_sha256` is the hash of the exact result that a client gave. `taint` has
    the sources of the texts from outside that a model had read before its call waited, each with its tool. `process`
    runs a call outside of a run; if it dies, the execution becomes `interrupted`.
    """

    # A row outlives its session and its run, so it names them by plain ids and not by foreign keys.

    CALL_ID_LENGTH: ClassVar = 255
    NAME_LENGTH: ClassVar = 128

    class Status(models.TextChoices):
        AWAITING_APPROVAL = "awaiting_approval"
        AWAITING_CLIENT = "awaiting_client"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        DENIED = "denied"
        TIMED_OUT = "timed_out"
        CANCELLED = "cancelled"
        INTERRUPTED = "interrupted"

    WAITING: ClassVar = (Status.AWAITING_APPROVAL, Status.AWAITING_CLIENT)
    OPEN: ClassVar = (Status.RUNNING, *WAITING)

    class Decision(models.TextChoices):
        APPROVED = "approved"
        DENIED = "denied"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True)
    owner = models.CharField(max_length=64)
    session_id = models.UUIDField(null=True, db_index=True)
    run_id = models.UUIDField(null=True, db_index=True)
    call_id = models.CharField(max_length=CALL_ID_LENGTH)
    tool = models.CharField(max_length=NAME_LENGTH)
    source = models.CharField(max_length=16)
    params = models.JSONField()
    params_sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=32, choices=Status)
    confinement = models.CharField(max_length=64, default="")
    data = models.JSONField(null=True)
    output = models.TextField(default="")
    output_size = models.PositiveBigIntegerField(null=True)
    output_sha256 = models.CharField(max_length=64, default="")
    truncated = models.BooleanField(default=False)
    error = models.TextField()
    code = models.CharField(max_length=32)
    created = models.DateTimeField()
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    duration_ms = models.FloatField(null=True)
    expires = models.DateTimeField(null=True)
    decision = models.CharField(max_length=16, choices=Decision, default="")
    decided = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=150, default="")
    note = models.TextField(default="")
    result_sha256 = models.CharField(max_length=64, default="", db_default="")
    taint = models.JSONField(null=True)
    process = models.CharField(max_length=200, null=True)  # noqa: DJ001 - SQLite adds it without a copy

    class Meta:
        db_table = "tool_executions"
        ordering: ClassVar = ["-created"]
        permissions: ClassVar = [("decide_toolexecution", "Can decide executions that wait for an approval")]
        indexes: ClassVar = [
            models.Index(fields=["-created"], name="executions_by_time"),
            models.Index(fields=["owner", "-created", "status"], name="executions_of_an_owner"),
            models.Index(fields=["tool", "-created"], name="executions_of_a_tool"),
            models.Index(fields=["status", "-created"], name="executions_of_a_status"),
            models.Index(
                fields=["process"],
                name="executions_of_a_process",
                condition=models.Q(status="running", process__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.id}"

    @property
    def awaits_decision(self) -> bool:
        return self.status == self.Status.AWAITING_APPROVAL and not self.decision


class McpToolSet(models.Model):
    """A set of tools that an MCP server listed. It waits until an operator accepts it; one set of a server is accepted.

    `tools` is canonical JSON, and `sha256` its hash. A set that another one replaced is `removed`, and stays.
    """

    SERVER_LENGTH: ClassVar = 32

    server = models.CharField(max_length=SERVER_LENGTH)
    tools = models.TextField()
    sha256 = models.CharField(max_length=64)
    found = models.DateTimeField()
    accepted = models.DateTimeField(null=True)
    accepted_by = models.CharField(max_length=150, default="")
    removed = models.DateTimeField(null=True)

    class Meta:
        db_table = "mcp_tool_sets"
        ordering: ClassVar = ["server", "-found"]
        verbose_name = "MCP tool set"
        permissions: ClassVar = [("accept_mcptoolset", "Can accept the tools of an MCP server")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["server"],
                condition=models.Q(accepted__isnull=False, removed__isnull=True),
                name="mcp_one_accepted_set",
            ),
            models.UniqueConstraint(
                fields=["server", "sha256"],
                condition=models.Q(accepted__isnull=True, removed__isnull=True),
                name="mcp_waiting_set_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.server} {self.sha256[:12]}"


class McpServerEntry(models.Model):
    """An MCP server that a superuser has named in the console. `text` has the fields of a table of MCP_SERVERS_FILE."""

    MAX_TEXT: ClassVar = 8_192

    name = models.CharField(primary_key=True, max_length=McpToolSet.SERVER_LENGTH)
    text = models.TextField()
    added = models.DateTimeField()
    added_by = models.CharField(max_length=150)

    class Meta:
        db_table = "mcp_servers"
        default_permissions: ClassVar = ()
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class McpAuthorization(models.Model):
    """An authorization that an owner is asked for, so that the service may use an MCP server with their account.

    The link for it has a ticket, and the answer of the authorization server a state, of which only hashes are stored.
    `sealed` is encrypted. If it `decides`, the authorization approves the execution.
    """

    ticket_sha256 = models.CharField(primary_key=True, max_length=64)
    server = models.CharField(max_length=McpToolSet.SERVER_LENGTH)
    owner = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    execution_id = models.UUIDField(null=True)
    decides = models.BooleanField(default=False)
    expires = models.DateTimeField()
    state_sha256 = models.CharField(max_length=64, default="")
    browser_sha256 = models.CharField(max_length=64, default="")
    sealed = models.TextField(default="")

    class Meta:
        db_table = "mcp_authorizations"
        default_permissions: ClassVar = ()
        indexes: ClassVar = [
            models.Index(fields=["owner", "server"], name="mcp_authorizations_of_an_owner"),
            models.Index(fields=["state_sha256"], name="mcp_authorizations_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.server} {self.owner}"


class McpToken(models.Model):
    """The tokens of an owner for an MCP server, encrypted, and the key with which they were asked for.

    Those that are `withdrawn` are not used any more, and stay until the authorization server knows.
    """

    server = models.CharField(max_length=McpToolSet.SERVER_LENGTH)
    owner = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    sealed = models.TextField()
    granted = models.DateTimeField()
    withdrawn = models.DateTimeField(null=True)

    class Meta:
        db_table = "mcp_tokens"
        default_permissions: ClassVar = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["server", "owner"],
                condition=models.Q(withdrawn__isnull=True),
                name="mcp_one_token_of_an_owner",
            )
        ]

    def __str__(self) -> str:
        return f"{self.server} {self.owner}"
