"""The ASGI application. API requests take a short path, pages and the admin the whole of Django."""

import os
import sys

import django
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
try:
    django.setup(set_prefix=False)
except ImproperlyConfigured as error:
    sys.exit(f"Error: {error}")

if faults := [message for message in run_checks() if message.is_serious()]:
    sys.exit("\n".join(f"Error: {fault.msg} {fault.hint or ''}" for fault in faults))

from orchestrator_site.http.app import Application

application = Application()
