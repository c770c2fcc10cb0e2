"""Staff of the console, logged in with a browser or a socket."""

from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.async_api import Page

from tests.conftest import Api


def staff(name: str = "op", *permissions: str) -> User:
    """Make a user of the console: with these permissions (`chat.view_run`), or a superuser."""
    # Without permissions of their own, the user has all.
    user = User.objects.create(username=name, is_staff=True, is_superuser=not permissions)
    if permissions and not Permission.objects.exists():
        # They are gone after a test with a server.
        for config in apps.get_app_configs():
            create_permissions(config, verbosity=0)
    for permission in permissions:
        app, code = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=code))
    return user


async def session_of(user: User) -> str:
    """Log a user in, and return the key of the session."""
    client = Client()
    await sync_to_async(client.force_login)(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def log_in(page: Page, api: Api, user: User) -> None:
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": await session_of(user), "url": api.base_url}
    await page.context.add_cookies([cookie])
