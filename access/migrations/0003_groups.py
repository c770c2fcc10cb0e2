"""Makes the groups of the console's users: viewer, approver and operator, each with the rights of the one before it.

A group of the same name that is there already keeps its own permissions. Later changes of an administrator stay.
"""

import secrets

from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.utils import timezone

from audit import hashing
from audit.chain import LOCK

VIEWER = (
    "access.view_apikey",
    "audit.view_auditentry",
    "chat.view_message",
    "chat.view_run",
    "chat.view_session",
    "speech.view_speechrequest",
    "spending.view_account",
    "spending.view_use",
    "tools.view_toolexecution",
)
APPROVER = (*VIEWER, "tools.decide_toolexecution")
OPERATOR = (
    *APPROVER,
    "access.add_apikey",
    "access.revoke_apikey",
    "chat.cancel_run",
    "chat.change_session",
    "chat.undo_run",
)
GROUPS = {"viewer": VIEWER, "approver": APPROVER, "operator": OPERATOR}


def make(apps, schema_editor):
    connection = schema_editor.connection
    for label in sorted({name.partition(".")[0] for name in OPERATOR}):
        # Django makes permissions after all migrations, which is too late for their groups.
        config = apps.get_app_config(label)
        config.models_module = getattr(config, "models_module", None) or True
        create_permissions(config, verbosity=0, using=connection.alias, apps=apps)
    groups = apps.get_model("auth", "Group").objects.using(connection.alias)
    permissions = apps.get_model("auth", "Permission").objects.using(connection.alias)
    for name, codes in GROUPS.items():
        group, is_new = groups.get_or_create(name=name)
        if not is_new:
            continue
        for code in codes:
            app, _, codename = code.partition(".")
            group.permissions.add(permissions.get(content_type__app_label=app, codename=codename))
        record(apps, connection, group, codes)


def record(apps, connection, group, codes, kind="group.created"):
    """Append the group's entry to the audit chain: without it, the verification would report the group."""
    if not settings.ENABLE_PERSISTENCE:
        return
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    entries = apps.get_model("audit", "AuditEntry").objects.using(connection.alias)
    last = entries.order_by("-number").first()
    number, previous = (last.number + 1, bytes(last.hash)) if last else (1, hashing.FIRST)
    content = hashing.encoded([group.name, sorted(codes)])
    now, salt = timezone.now(), secrets.token_bytes(16)
    committed = hashing.commitment(salt, content)
    texts = (kind, str(group.pk), "", "migrate")
    entries.create(
        number=number,
        time=now,
        kind=texts[0],
        subject=texts[1],
        owner=texts[2],
        actor=texts[3],
        commitment=committed,
        salt=salt,
        detail=content.decode(),
        previous=previous,
        hash=hashing.entry_hash(number, now, texts, committed, previous),
    )


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0002_made_by"),
        ("audit", "0002_began"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("chat", "0007_permissions_of_runs"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("speech", "0002_processes"),
        ("spending", "0001_initial"),
        ("tools", "0004_client_tools"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
