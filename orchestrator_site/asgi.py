"""The ASGI application, and where its ways part: the API's requests go lean, pages and the admin through all of Django.

Both are behind the same guard.
"""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
try:
    django.setup(set_prefix=False)
except ImproperlyConfigured as error:
    sys.exit(f"Error: {error}")

from orchestrator_site.application import Application

application = Application()
