"""The files that a repository and a deployment are configured with: they parse, and they agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from orchestrator_site.http.app import PROBES
from tests.deploy.image import ROOT, instruction

DEPLOY: Final = ROOT / "docs" / "deploy"
KUBERNETES: Final = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
YAML: Final = [
    ROOT / "compose.yaml",
    ROOT / ".pre-commit-config.yaml",
    *KUBERNETES,
    *sorted((ROOT / ".github").rglob("*.yml")),
]
SETTINGS: Final = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def manifest(kind: str) -> Any:
    """Return the one Kubernetes manifest of this kind."""
    (found,) = [document for document in map(load, KUBERNETES) if document["kind"] == kind]
    return found


COMPOSE: Final = load(ROOT / "compose.yaml")
WORKFLOW: Final = load(ROOT / ".github" / "workflows" / "ci.yml")


def unknown(names: set[str]) -> set[str]:
    """Return the names that are not settings. A secret `X` may also come as `X_FILE`."""
    return {name for name in names if name.removesuffix("_FILE") not in SETTINGS and name != "ENV_FILE"}


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_file_parses(path: Path) -> None:
    assert load(path)


def test_editorconfig_agrees_with_the_formatter() -> None:
    text = (ROOT / ".editorconfig").read_text()
    assert f"max_line_length = {PROJECT['tool']['ruff']['line-length']}\n" in text


def test_every_variable_of_compose_is_a_setting() -> None:
    names = set(COMPOSE["services"]["orchestrator"]["environment"])
    taken = set(re.findall(r"\$\{([A-Z_]+)", str(COMPOSE["services"]["orchestrator"])))
    assert unknown(names) == set()
    assert taken - SETTINGS == {"POSTGRES_PASSWORD"}


def test_every_variable_of_kubernetes_is_a_setting() -> None:
    assert unknown(set(manifest("ConfigMap")["data"]) | set(manifest("Secret")["stringData"])) == set()


def test_every_variable_of_the_unit_is_a_setting() -> None:
    unit = (DEPLOY / "orchestrator.service").read_text()
    assert unknown(set(re.findall(r"^Environment=([A-Z_]+)=", unit, re.MULTILINE))) == set()


def test_deployments_name_the_version_of_the_project() -> None:
    version = PROJECT["project"]["version"]
    texts = "".join(path.read_text() for path in [ROOT / "compose.yaml", *KUBERNETES, DEPLOY / "README.md"])
    assert set(re.findall(r"orchestrator-service:([0-9.]+)", texts)) == {version}


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_container_of_compose_is_hardened(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"]


def test_compose_publishes_nginx_only() -> None:
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == ["nginx"]


def test_compose_gives_every_secret_that_it_reads_a_file() -> None:
    services = COMPOSE["services"].values()
    used = {secret for service in services for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    paths = set(re.findall(r"/run/secrets/([a-z_.]+)", str(COMPOSE) + (DEPLOY / "nginx.conf").read_text()))
    assert paths == used


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pod_meets_the_restricted_standard(kind: str) -> None:
    pod = manifest(kind)["spec"]["template"]["spec"]
    user, group = map(int, instruction("USER").split(":"))
    assert (
        pod["securityContext"] | {"runAsUser": user, "runAsGroup": group, "runAsNonRoot": True}
        == pod["securityContext"]
    )
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"/var/lib/orchestrator", "/tmp"}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_kubernetes_objects_refer_to_each_other() -> None:
    deployment, service, claim = manifest("Deployment"), manifest("Service"), manifest("PersistentVolumeClaim")
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == pod["spec"]["containers"][0]["ports"][0]["name"]
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == [claim["metadata"]["name"]]
    assert {document["metadata"].get("namespace", "orchestrator") for document in map(load, KUBERNETES)} == {
        "orchestrator"
    }


def test_probes_ask_paths_that_answer_under_every_name() -> None:
    (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    paths = {kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    assert set(paths.values()) <= PROBES


def test_every_deployment_stops_later_than_it_drains() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    unit = (DEPLOY / "orchestrator.service").read_text()
    compose = COMPOSE["services"]["orchestrator"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + int(manifest("ConfigMap")["data"]["DRAIN_SECONDS"])
    assert int(compose["stop_grace_period"].removesuffix("s")) > int(compose["environment"]["DRAIN_SECONDS"])
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > 20


def test_workflow_runs_the_gate_on_every_supported_python() -> None:
    gate = WORKFLOW["jobs"]["gate"]
    versions = gate["strategy"]["matrix"]["python"]
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if "Python :: 3." in line]
    assert versions == named
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    assert gate["strategy"]["matrix"]["database"] == ["sqlite", "postgresql"]
    assert gate["steps"][-1] == {"run": ".ci/run"}


def test_workflow_pins_actions_by_major_version() -> None:
    used = re.findall(r"uses: (\S+)", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name)] == []


def test_hooks_run_in_the_environment_of_the_project() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert all(hook["entry"].startswith("uv ") and hook["language"] == "system" for hook in repository["hooks"])


def test_docker_ignores_what_git_ignores() -> None:
    git = {line.strip() for line in (ROOT / ".gitignore").read_text().splitlines() if line.strip()}
    docker = {line.strip().removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert git <= docker


def test_urls_of_the_project_are_reserved_names() -> None:
    texts = [
        ROOT / "pyproject.toml",
        ROOT / "SECURITY.md",
        ROOT / "CODE_OF_CONDUCT.md",
        *(ROOT / ".github").rglob("*.yml"),
    ]
    found = {host for path in texts for host in re.findall(r"(?:https?://|@)([\w-]+\.[\w.-]*\w)", path.read_text())}
    assert {host for host in found if not host.endswith((".example", "127.0.0.1"))} == set()
