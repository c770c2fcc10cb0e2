"""Indexes the words of sessions, messages and runs, and keeps the indexes by triggers."""

from django.db import migrations

from chat.searched import MESSAGES, RUNS, SESSIONS
from storage.search.migration import CreateTextIndex


class Migration(migrations.Migration):
    # Each batch of rows is a transaction of its own.
    atomic = False
    dependencies = [("chat", "0007_permissions_of_runs")]
    operations = [CreateTextIndex(SESSIONS), CreateTextIndex(MESSAGES), CreateTextIndex(RUNS)]
