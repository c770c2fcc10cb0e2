"""The log table of the calls of `/speech/`."""

from typing import ClassVar

from django.db import models


class SpeechRequest(models.Model):
    """One call: the caller, the request, the provider that served it, and the cost."""

    class Operation(models.TextChoices):
        TRANSCRIPTION = "transcription"
        SYNTHESIS = "synthesis"

    class Status(models.TextChoices):
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        INTERRUPTED = "interrupted"

    NAME_LENGTH: ClassVar = 80
    ERROR_LENGTH: ClassVar = 2_000

    id = models.UUIDField(primary_key=True)
    owner = models.CharField(max_length=64)
    operation = models.CharField(max_length=16, choices=Operation)
    status = models.CharField(max_length=16, choices=Status)
    # The process that serves the call, if it holds a lease. If it dies, the call becomes `interrupted` without a cost.
    process = models.CharField(max_length=200, null=True)  # noqa: DJ001 - SQLite adds it without a copy
    provider = models.CharField(max_length=NAME_LENGTH, default="")
    model = models.CharField(max_length=NAME_LENGTH, default="")
    voice = models.CharField(max_length=NAME_LENGTH, default="")
    format = models.CharField(max_length=NAME_LENGTH, default="")
    language = models.CharField(max_length=NAME_LENGTH, default="")
    # Hashes and sizes identify audio and text without storing them. The audio is stored only if `SPEECH_KEEP_AUDIO` is
    # on.
    audio_sha256 = models.CharField(max_length=64, default="")
    audio_bytes = models.PositiveBigIntegerField(null=True)
    audio = models.BinaryField(null=True)
    text_sha256 = models.CharField(max_length=64, default="")
    characters = models.PositiveIntegerField(null=True)
    # The length of the audio, if it is known.
    seconds = models.FloatField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    note = models.TextField(default="")
    error = models.TextField(default="")
    code = models.CharField(max_length=32, default="")
    created = models.DateTimeField()
    ended = models.DateTimeField(null=True)
    duration_ms = models.FloatField(null=True)

    class Meta:
        db_table = "speech_requests"
        ordering: ClassVar = ["-created"]
        indexes: ClassVar = [
            models.Index(fields=["-created"], name="speech_requests_by_time"),
            models.Index(fields=["process"], name="speech_requests_of_a_process", condition=models.Q(status="running")),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.id}"
