"""Spent amounts, reservations for calls under way, and usage by day."""

from typing import ClassVar

from django.db import models


class Account(models.Model):
    """The amount that one budget's subject has spent in one period, in billionths of a dollar or tokens."""

    name = models.CharField(max_length=160, primary_key=True)
    spent = models.BigIntegerField()
    reserved = models.BigIntegerField()
    updated = models.DateTimeField()

    class Meta:
        db_table = "spending_accounts"
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Reservation(models.Model):
    """The maximum cost of a model call under way: `amounts` are `[account, unit, amount]`. Deleted when settled."""

    run = models.UUIDField(primary_key=True)
    amounts = models.JSONField()
    created = models.DateTimeField()

    class Meta:
        db_table = "spending_reservations"

    def __str__(self) -> str:
        return str(self.run)


class Use(models.Model):
    """The usage of one model or tool by a caller on one UTC day: a sum that outlives the pruned rows.

    `key` is the key's id, or `operator`. `unpriced` counts calls with an unknown cost. `estimated` counts calls whose
    tokens the service did not report. `cost` is in billionths of a dollar. `run_milliseconds` is the time of `runs`
    without the time that they waited for answers of people or clients.
    """

    KEY = ("day", "owner", "key", "provider", "model", "tool")
    SUMS = (
        "calls",
        "failed",
        "estimated",
        "unpriced",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cost",
        "milliseconds",
        "runs",
        "run_milliseconds",
        "first_tokens",
        "first_token_milliseconds",
    )

    # Every column of the key is NOT NULL with "" for none: a unique constraint treats NULLs as different.
    day = models.DateField()
    owner = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=255)
    tool = models.CharField(max_length=128)
    calls = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    estimated = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost = models.BigIntegerField(default=0)
    milliseconds = models.BigIntegerField(default=0)
    runs = models.BigIntegerField(default=0)
    run_milliseconds = models.BigIntegerField(default=0)
    first_tokens = models.BigIntegerField(default=0)
    first_token_milliseconds = models.BigIntegerField(default=0)

    class Meta:
        db_table = "usage"
        verbose_name_plural = "usage"
        ordering: ClassVar = ["-day"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["day", "owner", "key", "provider", "model", "tool"], name="usage_of_a_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.tool or self.model}"
