"""The keys of callers."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models


class ApiKeys(models.Manager["ApiKey"]):
    """Questions about keys."""

    def live(self, name: str) -> "ApiKey | None":
        """The key of a name that was not revoked."""
        return self.filter(name=name, revoked=None).first()

    def any(self) -> bool:
        """Whether there is or was a key: then callers show one."""
        return self.exists()


class ApiKey(models.Model):
    """One key. What it opens is never changed: it is only revoked, and the row stays as the record that it was there.

    `user` is whose things its own are; without one they are the key's alone. `scopes`, `rate` and `budgets` are texts
    that `access.scopes`, `access.limits.rates` and `access.limits.budgets` read. `last_used` lags by a few seconds.
    """

    NAME_LENGTH: ClassVar = 64

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=NAME_LENGTH)
    prefix = models.CharField(max_length=16)
    sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="api_keys")
    scopes = models.JSONField()
    rate = models.CharField(max_length=64)
    max_runs = models.PositiveIntegerField(null=True)
    budgets = models.JSONField(default=list)
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
        indexes: ClassVar = [models.Index(fields=["-created"], name="api_keys_by_time")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], name="api_keys_named_once", condition=models.Q(revoked=None)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> str:
        """To whom belongs what is made with it."""
        return f"user:{self.user_id}" if self.user_id is not None else f"key:{self.id}"

    def revoke(self, now: datetime) -> bool:
        """Shuts the door on it, for ever. False where it was revoked before."""
        return bool(ApiKey.objects.filter(pk=self.pk, revoked=None).update(revoked=now))
