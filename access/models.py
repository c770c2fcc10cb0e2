"""The keys of callers."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.dispatch import Signal

key_revoked = Signal()
"""Is sent with the ID of a `key` in the transaction that revokes it."""


class ApiKeys(models.Manager["ApiKey"]):
    """Queries about keys."""

    def live(self, name: str) -> "ApiKey | None":
        """Return the unrevoked key with this name."""
        return self.filter(name=name, revoked=None).first()

    def any(self) -> bool:
        """Return whether a key exists or existed: from then on, callers need one."""
        return self.exists()


class ApiKey(models.Model):
    """One key. Its permissions never change: it can only be revoked, and its row stays as a record.

    With a `user`, everything that the key makes belongs to that user, otherwise to the key.
    `last_used` lags by seconds.
    `made_by` is the key that made this one over the API: it is revoked with that key.
    `scopes`, `rate` and `budgets` are texts for `access.scopes`, `access.limits.rates` and `access.limits.budgets`.
    """

    NAME_LENGTH: ClassVar = 64
    SHOWN: ClassVar = (
        "id", "name", "prefix", "owner", "scopes", "rate", "max_runs", "budgets", "made_by",
        "created", "expires", "revoked", "last_used",
    )  # fmt: skip

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=NAME_LENGTH)
    prefix = models.CharField(max_length=16)
    sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="api_keys")
    scopes = models.JSONField()
    rate = models.CharField(max_length=64)
    max_runs = models.PositiveIntegerField(null=True)
    budgets = models.JSONField(default=list)
    made_by = models.UUIDField(null=True)
    created = models.DateTimeField()
    expires = models.DateTimeField(null=True)
    revoked = models.DateTimeField(null=True)
    last_used = models.DateTimeField(null=True)

    objects = ApiKeys()

    class Meta:
        db_table = "api_keys"
        ordering: ClassVar = ["-created"]
        verbose_name = "API key"
        permissions: ClassVar = [("revoke_apikey", "Can revoke API keys")]
        indexes: ClassVar = [
            models.Index(fields=["-created"], name="api_keys_by_time"),
            models.Index(fields=["made_by"], name="api_keys_by_maker", condition=models.Q(made_by__isnull=False)),
        ]
        constraints: ClassVar = [
            # A revoked key's name can be given to its successor.
            models.UniqueConstraint(fields=["name"], name="api_keys_named_once", condition=models.Q(revoked=None)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> str:
        """The owner of everything that is made with the key."""
        return f"user:{self.user_id}" if self.user_id is not None else f"key:{self.id}"

    def as_dict(self) -> dict[str, Any]:
        """Return the key as the API shows it."""
        return {name: getattr(self, name) for name in self.SHOWN}

    def revoke(self, now: datetime) -> bool:
        """Revoke the key permanently. Return False if it was revoked before."""
        # The condition is part of the update, so of two revocations at the same time only one is reported.
        is_new = bool(ApiKey.objects.filter(pk=self.pk, revoked=None).update(revoked=now))
        if is_new:
            key_revoked.send(ApiKey, key=self.pk)
        return is_new
