"""Records how many rows there are whose changes the chain has not seen."""

import secrets

from django.conf import settings
from django.db import migrations
from django.utils import timezone

from audit import hashing

COVERED = {
    "execution": ("tools", "ToolExecution"),
    "key": ("access", "ApiKey"),
    "user": ("auth", "User"),
    "group": ("auth", "Group"),
}


def begin(apps, schema_editor):
    alias = schema_editor.connection.alias
    rows = {name: apps.get_model(*model).objects.using(alias).count() for name, model in COVERED.items()}
    if not settings.ENABLE_PERSISTENCE or not any(rows.values()):
        return
    content = hashing.encoded(rows)
    now, salt = timezone.now(), secrets.token_bytes(16)
    committed = hashing.commitment(salt, content)
    texts = ("chain.began", "", "", "")
    apps.get_model("audit", "AuditEntry").objects.using(alias).create(
        number=1,
        time=now,
        kind=texts[0],
        commitment=committed,
        salt=salt,
        detail=content.decode(),
        previous=hashing.FIRST,
        hash=hashing.entry_hash(1, now, texts, committed, hashing.FIRST),
    )


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_entries"),
        ("access", "0002_made_by"),
        ("tools", "0004_client_tools"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
