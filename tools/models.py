"""The record of every tool execution."""

from typing import ClassVar

from django.db import models


class ToolExecution(models.Model):
    """One execution of a tool: what was asked, who asked, and what came of it.

    It outlives its session and run, which are named by plain ids. Its status only moves forward.
    """

    class Status(models.TextChoices):
        AWAITING_APPROVAL = "awaiting_approval"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        DENIED = "denied"
        TIMED_OUT = "timed_out"
        CANCELLED = "cancelled"
        INTERRUPTED = "interrupted"

    id = models.UUIDField(primary_key=True)
    owner = models.CharField(max_length=64)
    session_id = models.UUIDField(null=True, db_index=True)
    run_id = models.UUIDField(null=True, db_index=True)
    call_id = models.CharField(max_length=255)
    tool = models.CharField(max_length=128)
    source = models.CharField(max_length=16)
    params = models.JSONField()
    params_sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=32, choices=Status)
    data = models.JSONField(null=True)
    error = models.TextField()
    code = models.CharField(max_length=32)
    created = models.DateTimeField()
    ended = models.DateTimeField(null=True)
    duration_ms = models.FloatField(null=True)

    class Meta:
        db_table = "tool_executions"
        ordering: ClassVar = ["-created"]
        indexes: ClassVar = [
            models.Index(fields=["-created"], name="executions_by_time"),
            models.Index(fields=["tool", "-created"], name="executions_of_a_tool"),
            models.Index(fields=["status", "-created"], name="executions_of_a_status"),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.id}"
