"""The plan of a deployment: the service as it is, as it will be, and the difference. Services are plain values.

A revision gets its name from what it runs. The same request has the same revision, so a repeated one deploys nothing.

Source: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services
"""

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

LATEST: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
BY_REVISION: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
ALL: Final = 100
HASH_DIGITS: Final = 10
MAX_REVISION_CHARS: Final = 63
REFERENCE: Final = "secret:"
"""The beginning of a variable's value that names a secret of the project, and maybe its version."""

HIDDEN: Final = "(hidden)"
SECRET_NAME: Final = re.compile(
    r"PASS(WORD|WD|PHRASE)?|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|(^|_)KEY($|_)", re.IGNORECASE
)
CHANGEABLE: Final = (
    "name", "description", "labels", "annotations", "client", "client_version", "ingress", "launch_stage",
    "binary_authorization", "template", "traffic", "scaling", "invoker_iam_disabled", "default_uri_disabled",
    "iap_enabled", "custom_audiences", "etag",
)  # fmt: skip
"""The fields of a service that an update sends. The others are the vendor's own."""

Service = dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request to deploy an image: at first without traffic, then with `traffic` percent of it."""

    name: str
    service: str
    image: str
    env: Mapping[str, str] = {}
    traffic: int = ALL
    public: bool = False


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A planned deployment: the service with the new revision, without traffic, and then with it.

    `changes` are lines of a difference. `exists` is true if the revision is deployed already.
    """

    revision: str
    tag: str
    before: Service | None
    without_traffic: Service
    with_traffic: Service
    changes: tuple[str, ...]
    exists: bool


def is_secret(name: str) -> bool:
    """Return whether a variable has the name of a secret, whose value must not be in a request."""
    return SECRET_NAME.search(name) is not None


def planned(current: Service | None, wanted: Wanted) -> Deployment:
    """Return the deployment of an image to a service; without a current one, the service is created."""
    template = _template(current, wanted)
    digest = hashlib.sha256(json.dumps(template, sort_keys=True, default=str).encode()).hexdigest()[:HASH_DIGITS]
    revision = f"{wanted.service[: MAX_REVISION_CHARS - HASH_DIGITS - 1]}-{digest}"
    tag = f"r{revision.rpartition('-')[2]}"
    template["revision"] = revision
    service: Service = {name: copy.deepcopy(current[name]) for name in CHANGEABLE if current and name in current}
    service.update(name=wanted.name, template=template)
    serving = _serving(current, revision)
    # A new service has no other revision that could serve.
    whole = not serving
    first = {"type_": BY_REVISION, "revision": revision, "percent": ALL if whole else 0, "tag": tag}
    tagged = [target for target in _tags(current) if target["tag"] != tag]
    without = {**service, "traffic": [*serving, first, *tagged]}
    percent = ALL if whole else wanted.traffic
    shared = _scaled(serving, ALL - percent)
    after = {**service, "traffic": [*shared, {**first, "percent": percent}, *tagged]}
    return Deployment(
        revision=revision,
        tag=tag,
        before=current,
        without_traffic=without,
        with_traffic=after,
        changes=_changes(current, after, wanted),
        exists=current is not None and current["template"].get("revision") == revision,
    )


def _template(current: Service | None, wanted: Wanted) -> dict[str, Any]:
    template: dict[str, Any] = copy.deepcopy(current["template"]) if current else {"containers": [{}]}
    template.pop("revision", None)
    # The first container takes the requests; the others are beside it.
    container = template["containers"][0]
    container["image"] = wanted.image
    env = {one["name"]: one for one in container.get("env", [])}
    env.update({name: _variable(name, value) for name, value in wanted.env.items()})
    if env:
        container["env"] = list(env.values())
    return template


def _variable(name: str, value: str) -> dict[str, Any]:
    """Return a variable with a value, or with a reference to a secret of the project."""
    if not value.startswith(REFERENCE):
        return {"name": name, "value": value}
    secret, _, version = value.removeprefix(REFERENCE).partition(":")
    return {"name": name, "value_source": {"secret_key_ref": {"secret": secret, "version": version or "latest"}}}


def _serving(current: Service | None, revision: str) -> list[dict[str, Any]]:
    """Return the revisions that serve now, by their names, so that a newer one does not replace them by itself."""
    if current is None:
        return []
    targets = current.get("traffic") or [{"type_": LATEST, "percent": ALL}]
    percents: dict[str, int] = {}
    for target in targets:
        name = target.get("revision") or current.get("latest_ready_revision", "").rpartition("/")[2]
        if target.get("percent") and name and name != revision:
            percents[name] = percents.get(name, 0) + target["percent"]
    total = sum(percents.values())
    found = [{"type_": BY_REVISION, "revision": name, "percent": percent} for name, percent in percents.items()]
    return _scaled(found, ALL) if total not in {0, ALL} else found


def _scaled(targets: list[dict[str, Any]], total: int) -> list[dict[str, Any]]:
    """Return targets whose percents have this sum, in the same ratio."""
    before = sum(target["percent"] for target in targets)
    scaled = [{**target, "percent": target["percent"] * total // before} for target in targets]
    if scaled:
        scaled[0]["percent"] += total - sum(target["percent"] for target in scaled)
    return [target for target in scaled if target["percent"]]


def _tags(current: Service | None) -> list[dict[str, Any]]:
    targets = (current or {}).get("traffic") or []
    return [
        {"type_": target.get("type_", BY_REVISION), "revision": target.get("revision", ""), "tag": target["tag"]}
        for target in targets
        if target.get("tag")
    ]


def _changes(current: Service | None, after: Service, wanted: Wanted) -> tuple[str, ...]:
    """Return the difference as lines: `- ` before, `+ ` after."""
    old, new = _described(current), _described(after)
    lines = [f"  service {wanted.service}" if current else f"+ service {wanted.service} (new)"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            lines += [f"- {name}: {old[name]}"] if name in old else []
            lines += [f"+ {name}: {new[name]}"] if name in new else []
    if wanted.public:
        lines.append("+ public access: everyone may call the service (allUsers, roles/run.invoker)")
    return tuple(lines)


def _described(service: Service | None) -> dict[str, str]:
    if service is None:
        return {}
    container = service["template"]["containers"][0]
    found = {"image": container.get("image", "")}
    for one in container.get("env", []):
        source = one.get("value_source", {}).get("secret_key_ref")
        value = f"{REFERENCE}{source['secret']}:{source['version']}" if source else one.get("value", "")
        # What others put there in plain text is not repeated.
        found[f"env {one['name']}"] = HIDDEN if is_secret(one["name"]) and not source else value
    for target in service.get("traffic") or [{"type_": LATEST, "percent": ALL}]:
        if target.get("percent"):
            found[f"traffic {target.get('revision') or 'latest'}"] = f"{target['percent']} %"
    return found
