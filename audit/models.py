"""The table of the hash chain."""

from typing import ClassVar

from django.db import models


class AuditEntry(models.Model):
    """One entry: a change of a record, and the hash of the entry before it. Entries are only ever added.

    `commitment` is the SHA-256 of the salt and the content. The content is in the record itself, or in `detail` if
    later changes replace it there. An erasure removes `salt` and `detail`, which no hash of the chain contains.
    """

    KIND_LENGTH: ClassVar = 32
    SUBJECT_LENGTH: ClassVar = 64
    OWNER_LENGTH: ClassVar = 64
    ACTOR_LENGTH: ClassVar = 150

    # Assigned by the writer, which holds the end of the chain: the numbers have no gaps.
    number = models.BigIntegerField(primary_key=True)
    time = models.DateTimeField()
    kind = models.CharField(max_length=KIND_LENGTH)
    subject = models.CharField(max_length=SUBJECT_LENGTH)
    owner = models.CharField(max_length=OWNER_LENGTH)
    actor = models.CharField(max_length=ACTOR_LENGTH)
    commitment = models.BinaryField()
    salt = models.BinaryField(null=True)
    detail = models.TextField(default="")
    previous = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        db_table = "audit_entries"
        ordering: ClassVar = ["number"]
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [models.Index(fields=["subject"], name="entries_of_a_subject")]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"
