"""Indexes the words of tool executions, and keeps the index by triggers."""

from django.db import migrations

from storage.search.migration import CreateTextIndex
from tools.execution.searched import EXECUTIONS


class Migration(migrations.Migration):
    # Each batch of rows is a transaction of its own.
    atomic = False
    dependencies = [("tools", "0004_client_tools")]
    operations = [CreateTextIndex(EXECUTIONS)]
