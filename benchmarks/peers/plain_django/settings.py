"""Django's defaults, with a longer timeout for SQLite's lock, and without middleware."""

import environ

env = environ.Env()

SECRET_KEY = "not-a-secret"  # noqa: S105 - nothing is signed with it
ALLOWED_HOSTS = ["127.0.0.1"]
# No middleware: this service needs none, and each one would add to its cost.
INSTALLED_APPS = ["benchmarks.peers.plain_django"]
ROOT_URLCONF = "benchmarks.peers.plain_django.urls"
DATABASES = {"default": env.db_url("DATABASE_URL")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {"timeout": 60}  # it waits for its turn, and does not answer 500
USE_TZ = True
