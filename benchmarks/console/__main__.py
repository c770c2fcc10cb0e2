"""Fills the service's database, requests each page of the console, and prints times and numbers of queries as JSON.

`python -m benchmarks.console --sessions 10000 --executions 1000000`, in the service's own environment.
"""

import argparse
import json
import os
import sys
import time
from statistics import median

import django
from django.test.utils import CaptureQueriesContext

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
django.setup()

# Models can be imported only after the setup.
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from benchmarks.console.pages import pages
from benchmarks.console.rows import Rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    settings.ALLOWED_HOSTS = ["testserver"]
    now = timezone.now()
    rows = Rows(options.sessions, options.executions, now)
    began = time.perf_counter()
    rows.write()
    print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    for name, path in pages(rows, now, options.sessions, options.executions):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
            # The next request empties the log.
            count = len(connection.queries) - queries.initial_queries
        assert answer.status_code == 200, (path, answer.status_code)
        times = []
        for _ in range(options.rounds):
            began = time.perf_counter()
            client.get(path)
            times.append((time.perf_counter() - began) * 1_000)
        figures = {"median_ms": median(times), "max_ms": max(times), "queries": count}
        print(json.dumps({"page": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
