"""Hosts that answer with what they were sent, or lead elsewhere: the token stays with them."""

import base64
import logging
from collections.abc import Callable

import pytest
from aiohttp import web

from tests.tools.forges.conftest import Publish
from tests.tools.forges.hosts import TOKEN, Host, Trap
from tools.base import ToolError
from tools.forges.access import ForgeAccess

ENCODED = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


def credentials(request: web.Request) -> str:
    """Return the token as it was sent, and as it is known."""
    return f"{request.headers.get('Authorization', request.headers.get('Private-Token', ''))} {TOKEN}"


def pkt(text: str) -> bytes:
    return f"{len(text.encode()) + 4:04x}{text}".encode()


def advertised(request: web.Request, line: str) -> bytes:
    return pkt(f"# service={request.query.get('service')}\n") + b"0000" + pkt(line) + b"0000"


Make = Callable[[web.Request], web.StreamResponse]
SITE = {"full_name": "acme/site"}
PULL = {"number": 1, "head": {"ref": "fix", "repo": SITE}, "base": {"ref": "main", "repo": SITE}}

ANSWERS: dict[str, tuple[str, Make]] = {
    "error of git with the header": ("info/refs", lambda r: web.Response(status=500, text=credentials(r))),
    "error of the protocol": (
        "info/refs",
        lambda r: web.Response(body=advertised(r, f"ERR {credentials(r)}\n")),
    ),
    "name of a branch": (
        "info/refs",
        lambda r: web.Response(body=advertised(r, f"{'1' * 40} refs/heads/{TOKEN}\0report-status\n")),
    ),
    "reason of a refused push": (
        "POST /acme/site.git/git-receive-pack",
        lambda r: web.Response(body=pkt("unpack ok\n") + pkt(f"ng refs/heads/fix {credentials(r)}\n") + b"0000"),
    ),
    "challenge": (
        "info/refs",
        lambda r: web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="{credentials(r)}"'}),
    ),
    "message of the API": ("GET /api", lambda r: web.json_response({"message": credentials(r)}, status=403)),
    "message about a new request": ("POST /api", lambda r: web.json_response({"message": credentials(r)}, status=422)),
    "no JSON": ("GET /api", lambda r: web.Response(text=f"<p>{credentials(r)}")),
    "page of a pull request": (
        "GET /api",
        lambda r: web.json_response([{**PULL, "html_url": f"http://127.0.0.1/?{credentials(r)}"}]),
    ),
    "cookie": ("GET /api", lambda r: web.json_response([], headers={"Set-Cookie": f"token={TOKEN}"})),
}
REDIRECTED = ["info/refs", "git-upload-pack", "git-receive-pack", "GET /api", "POST /api"]


def check_clean(access: ForgeAccess, shown: str, log: str) -> None:
    folders = (access.runner.workspace.base, access.private)
    kept = b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())
    for secret in (TOKEN, ENCODED):
        assert secret not in shown + log
        assert secret.encode() not in kept


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_that_repeats_the_token_is_not_passed_on(
    publish: Publish, access: ForgeAccess, host: Host, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    part, make = ANSWERS[name]
    host.answers[part] = make
    try:
        shown = str(await publish())
    except ToolError as error:
        shown = f"{error} {error.__cause__!r}"

    assert any(part in line for line in host.requests)
    check_clean(access, shown, caplog.text)


@pytest.mark.usefixtures("repository")
async def test_redirect_is_not_followed(
    publish: Publish, access: ForgeAccess, trap: Trap, caplog: pytest.LogCaptureFixture
) -> None:
    for part in REDIRECTED:
        trap.host.answers = {
            part: lambda _: web.Response(status=307, headers={"Location": f"{trap.url}/{TOKEN}"}),
        }
        with pytest.raises(ToolError, match="redirects to another address") as error:
            await publish()
        check_clean(access, str(error.value), caplog.text)
    assert trap.connections == 0
