"""Makes the tables, and serves: `python -m benchmarks.peers.plain_django --port 8012`."""

import argparse
import os

import django
import uvicorn
from django.core.asgi import get_asgi_application
from django.core.management import call_command

parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.plain_django", description=__doc__)
parser.add_argument("--port", type=int, default=8_012)
options = parser.parse_args()
os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.plain_django.settings"
django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)
uvicorn.run(
    get_asgi_application(), port=options.port, loop="uvloop", http="httptools", access_log=False, lifespan="off"
)
