"""Lets the groups of the console see the tool sets of MCP servers, and operators accept them.

A group whose permissions an administrator has changed keeps them.
"""

from importlib import import_module

from django.contrib.auth.management import create_permissions
from django.db import migrations

BEFORE = import_module("access.migrations.0003_groups")
VIEW, ACCEPT = "tools.view_mcptoolset", "tools.accept_mcptoolset"
ADDED = {"viewer": (VIEW,), "approver": (VIEW,), "operator": (VIEW, ACCEPT)}


def add(apps, schema_editor):
    connection = schema_editor.connection
    # Django makes permissions after all migrations, which is too late for their groups.
    config = apps.get_app_config("tools")
    config.models_module = getattr(config, "models_module", None) or True
    create_permissions(config, verbosity=0, using=connection.alias, apps=apps)
    groups = apps.get_model("auth", "Group").objects.using(connection.alias)
    permissions = apps.get_model("auth", "Permission").objects.using(connection.alias)
    for group in groups.filter(name__in=ADDED):
        rows = group.permissions.values_list("content_type__app_label", "codename")
        if {f"{app}.{codename}" for app, codename in rows} != {*BEFORE.GROUPS[group.name]}:
            continue
        for code in ADDED[group.name]:
            app, _, codename = code.partition(".")
            group.permissions.add(permissions.get(content_type__app_label=app, codename=codename))
        codes = (*BEFORE.GROUPS[group.name], *ADDED[group.name])
        BEFORE.record(apps, connection, group, codes, "group.changed")


class Migration(migrations.Migration):
    dependencies = [("access", "0003_groups"), ("tools", "0008_accepting")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
