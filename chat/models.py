"""The tables of conversations: sessions with their messages, and runs with their event logs."""

from typing import ClassVar

from django.db import models

from web.plurals import noun_for


class Session(models.Model):
    """One conversation, which only its owner can see. `user` is the caller's own label, and authorises nothing.

    `taint` has the sources of the texts from outside that it holds, each with the tool that brought the first.
    """

    id = models.UUIDField(primary_key=True)
    owner = models.CharField(max_length=64)
    user = models.CharField(max_length=255)
    title = models.CharField(max_length=200)
    metadata = models.JSONField(default=dict)
    active_run = models.UUIDField(null=True)
    archived = models.BooleanField(default=False, db_default=False)
    taint = models.JSONField(null=True)
    created = models.DateTimeField()
    updated = models.DateTimeField()

    class Meta:
        db_table = "sessions"
        ordering: ClassVar = ["-updated"]
        indexes: ClassVar = [
            models.Index(fields=["owner", "-updated"], name="sessions_of_an_owner"),
            models.Index(fields=["-updated"], name="sessions_by_time"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)


class Process(models.Model):
    """A process that owns runs for as long as it renews its row in time."""

    name = models.CharField(max_length=200, primary_key=True)
    # By the database's clock, because the clocks of two machines differ.
    renewed = models.DateTimeField()
    lease_seconds = models.FloatField()

    class Meta:
        db_table = "processes"

    def __str__(self) -> str:
        return self.name


class TokenCounts(models.Model):
    """Tokens and their cost in USD, null if unknown. They are `estimated` if no service reported them."""

    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    reasoning_tokens = models.PositiveIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    estimated = models.BooleanField(default=False)

    class Meta:
        abstract = True


class Run(TokenCounts):
    """One turn of a conversation, from the caller's message to the end of the answer.

    `key` is the id of the API key that started it. A run that waits for an approval has no `process`, and its state is
    in `suspended`. `taint` is that of its session when the run last changed it.
    """

    class Status(models.TextChoices):
        RUNNING = "running"
        WAITING = "waiting"
        COMPLETED = "completed"
        CANCELLED = "cancelled"
        FAILED = "failed"
        INTERRUPTED = "interrupted"

    id = models.UUIDField(primary_key=True)
    session = models.ForeignKey(Session, models.CASCADE, related_name="runs")
    key = models.UUIDField(null=True)
    status = models.CharField(max_length=16, choices=Status)
    reason = models.CharField(max_length=32)
    error = models.TextField()
    retryable = models.BooleanField(default=False, db_default=False)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=255)
    process = models.CharField(max_length=200)
    # Indexed by the constraint below.
    resumed_from = models.ForeignKey("self", models.SET_NULL, null=True, related_name="resumed_as", db_index=False)
    followed_until = models.DateTimeField(null=True)
    options = models.JSONField(default=dict)
    suspended = models.TextField(default="", db_default="")
    waits_until = models.DateTimeField(null=True)
    metadata = models.JSONField(default=dict)
    taint = models.JSONField(null=True)
    created = models.DateTimeField()
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)

    class Meta:
        db_table = "runs"
        ordering: ClassVar = ["-created"]
        permissions: ClassVar = [
            ("cancel_run", "Can cancel runs"),
            ("undo_run", "Can undo what runs changed"),
        ]
        # Few runs are open at a time, so partial indexes keep the queries for open runs fast among many ended ones.
        indexes: ClassVar = [
            models.Index(fields=["-created"], name="runs_by_time"),
            models.Index(fields=["process"], name="runs_of_a_process", condition=models.Q(status="running")),
            models.Index(fields=["waits_until"], name="runs_that_wait", condition=models.Q(status="waiting")),
            models.Index(fields=["key"], name="runs_of_a_key", condition=models.Q(status="running", key__isnull=False)),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["resumed_from"], name="runs_resumed_once", condition=models.Q(resumed_from__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class RunKey(models.Model):
    """An `Idempotency-Key` of an owner, the run that it began, and the hash of the request's body."""

    owner = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    body_sha256 = models.CharField(max_length=64)
    run = models.ForeignKey(Run, models.CASCADE, related_name="keys")

    class Meta:
        db_table = "run_keys"
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "key"], name="keys_of_an_owner_once")]

    def __str__(self) -> str:
        return self.key


class Order(models.Model):
    """A command from one process to another about a run that the other owns."""

    class Kind(models.TextChoices):
        CANCEL = "cancel"

    process = models.CharField(max_length=200)
    run = models.ForeignKey(Run, models.CASCADE, related_name="orders")
    kind = models.CharField(max_length=16, choices=Kind)
    created = models.DateTimeField()

    class Meta:
        db_table = "orders"
        indexes: ClassVar = [models.Index(fields=["process"], name="orders_of_a_process")]

    def __str__(self) -> str:
        return f"{self.kind} {self.run_id}"


class Message(TokenCounts):
    """A message of the user, the assistant or a tool. It is never changed, and its id gives the order.

    A summary is a model's record of earlier messages: `summarizes` has their ids, as ranges with both ends. The newest
    one stands for them in the conversation from then on. The provider needs `provider_parts` back verbatim. A tool's
    message answers the assistant's call with the same `call_id`, or no call if the caller ran the tool.
    """

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"
        TOOL = "tool"
        SUMMARY = "summary"

    # Covered by the index below.
    session = models.ForeignKey(Session, models.CASCADE, related_name="messages", db_index=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="messages")
    role = models.CharField(max_length=16, choices=Role)
    content = models.TextField()
    attachments = models.PositiveSmallIntegerField(default=0)
    tool_calls = models.JSONField(null=True)
    call_id = models.CharField(max_length=255)
    tool = models.CharField(max_length=128)
    is_error = models.BooleanField(default=False)
    provider_parts = models.JSONField(null=True)
    summarizes = models.JSONField(null=True)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=255)
    created = models.DateTimeField()

    class Meta:
        db_table = "messages"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["session", "id"], name="messages_of_a_session")]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:60]}"


class Attachment(models.Model):
    """A picture in a user message."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="pictures")
    media_type = models.CharField(max_length=64)
    data = models.BinaryField()

    class Meta:
        db_table = "attachments"

    def __str__(self) -> str:
        return f"{self.media_type}, {len(self.data)} {noun_for(len(self.data), 'byte')}"


class RunEvent(models.Model):
    """Consecutive frames of a run's event log, exactly as they were streamed."""

    # Covered by the constraint below.
    run = models.ForeignKey(Run, models.CASCADE, related_name="events", db_index=False)
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    frames = models.BinaryField()
    created = models.DateTimeField()

    class Meta:
        db_table = "run_events"
        ordering: ClassVar = ["first"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "first"], name="frames_of_a_run_once")]

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
