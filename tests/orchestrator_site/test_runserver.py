"""`manage.py runserver` as a real process: daphne serves, and no other process loads daphne.

Covers `orchestrator_site.management.commands.runserver`.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.faults.upstream import upstream
from tests.managing import migrated
from tests.orchestrator_site.test_serve import ROOT, environment, wait_for
from tests.servers import free_port

pytestmark = pytest.mark.slow


async def test_daphne_streams_and_serves_the_styles_of_the_admin(tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{free_port()}"
    migrated(tmp_path)
    async with upstream() as models:
        models.tokens, models.pause = 10_000, 0.01
        process = subprocess.Popen(  # noqa: ASYNC220 - it is only started here
            [sys.executable, "manage.py", "runserver", "--noreload", base.removeprefix("http://")],
            cwd=ROOT,
            env=environment(tmp_path, OPENAI_BASE_URL=models.url, OPENAI_API_KEY="x"),
            stdout=subprocess.PIPE,
        )
        try:
            await asyncio.to_thread(wait_for, base, process)
            async with aiohttp.ClientSession() as client:
                async with client.get(f"{base}/static/admin/css/base.css") as styles:
                    assert (styles.status, styles.content_type) == (200, "text/css")
                async with client.post(f"{base}/chat/stream", json={"message": "Hi"}) as answer:
                    await answer.content.readuntil(b"t3 ")
                    assert models.open == 1
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=15)
    assert b"Starting ASGI/Daphne" in output


LOADED = """
import django, sys
django.setup()
import orchestrator_site.http.app, tools.assembly
tools.assembly.registry()
print(*sorted({"aiohttp", "google.genai", "openai", "twisted"} & set(sys.modules)))
"""


def test_other_processes_load_neither_daphne_nor_vendor_packages(tmp_path: Path) -> None:
    variables = environment(tmp_path, DJANGO_SETTINGS_MODULE="orchestrator_site.settings")
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"
