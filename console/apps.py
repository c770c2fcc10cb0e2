from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AppConfig):
    """The parts that every app's admin pages are built from: templates, styles, columns, filters."""

    name = "console"


class ConsoleAdminConfig(AdminConfig):
    """Django's admin, with the console's site as its default."""

    default_site = "console.site.ConsoleSite"
