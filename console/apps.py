from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The parts that every app's admin pages are built from: templates, styles, columns, filters."""

    name = "console"
