"""Takes the pictures of the README and of `docs/`: `python -m scripts.screenshots`.

It fills a database in a temporary folder with the demo's week, starts the service on it, and opens the pages in
Debian's Chromium. The pictures are in `docs/images/`.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import Page, async_playwright

from scripts.source import ROOT

IMAGES: Final = ROOT / "docs" / "images"
USER: Final = "ann"
PASSWORD: Final = "a-picture-of-the-console"  # noqa: S105 - of a database that exists for a minute
SIZE: Final = {"width": 1_400, "height": 900}
QUESTION: Final = "Show me what you can do."


def manage(settings: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=settings, check=True, stdout=subprocess.PIPE, text=True).stdout


async def take(page: Page, name: str, *, height: int = SIZE["height"]) -> None:
    await page.set_viewport_size({"width": SIZE["width"], "height": height})
    await page.screenshot(path=IMAGES / f"{name}.png")


async def pictures(address: str, key: str, browser: str) -> None:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = await chromium.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        await page.goto(f"{address}/admin/login/")
        await page.get_by_label("Username").fill(USER)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_text("Approvals waiting").first.wait_for()
        await take(page, "console", height=1_250)
        await page.goto(f"{address}/admin/tools/toolexecution/?tool=fs.apply_patch&status__exact=succeeded")
        await page.locator("#result_list td.field-run a").first.click()
        await page.locator("details.card").filter(has_text="fs.apply_patch").first.locator("summary").click()
        await take(page, "run", height=1_250)
        await page.set_viewport_size({"width": SIZE["width"], "height": SIZE["height"]})
        await page.goto(address)
        await page.locator("#key").fill(key)
        await page.keyboard.press("Enter")
        await page.get_by_label("Message").fill(QUESTION)
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Approve").wait_for(timeout=60_000)
        await take(page, "playground")
        await chromium.close()


def main() -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        sys.exit("Needs a browser: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        places = {
            "DATABASE_URL": "o.db",
            "SECRET_KEY_PATH": "key",
            "ALLOW_FS_BASE": "files",
            "TOOL_OUTPUT_DIR": "outputs",
        }
        own = {name: str(Path(folder, place)) for name, place in places.items()}
        settings = {
            **os.environ,
            **own,
            "DEFAULT_PROVIDER": "demo",
            # The sample is in the root of the workspaces, which the key of the pictures would not see.
            "WORKSPACE_SCOPE": "shared",
            # The tour then waits for a decision, which the picture shows.
            "TOOL_POLICY": "ask fs.write",
            "ENV_FILE": os.devnull,
        }
        manage(settings, "migrate", "--verbosity", "0")
        manage(settings, "demo", "--only", "week")
        user = {**settings, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        manage(user, "createsuperuser", "--noinput", "--username", USER, "--email", "ann@example.org")
        key = re.search(r"osk_\S+", manage(settings, "create_api_key", "pictures"))
        command = [sys.executable, "manage.py", "serve", "--port", "0"]
        service = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True)
        try:
            found = None
            while found is None and service.stdout is not None and (line := service.stdout.readline()):
                found = re.search(r"(http://[^ /]+)/admin/", line)
            if found is None or key is None:
                sys.exit("The service did not start.")
            asyncio.run(pictures(found[1], key[0], browser))
        finally:
            service.terminate()
            service.wait()


if __name__ == "__main__":
    main()
