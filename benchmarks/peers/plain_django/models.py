"""Conversations, as Django's tutorial would have them."""

import uuid

from django.db import models


class Session(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=200)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    def __str__(self):
        return self.title


class Run(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    session = models.ForeignKey(Session, models.CASCADE, related_name="runs")
    status = models.CharField(max_length=16, default="running")
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True)

    def __str__(self):
        return str(self.id)


class Message(models.Model):
    session = models.ForeignKey(Session, models.CASCADE, related_name="messages")
    run = models.ForeignKey(Run, models.CASCADE, related_name="messages")
    role = models.CharField(max_length=16)
    content = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "messages"

    def __str__(self):
        return f"{self.role}: {self.content[:60]}"
