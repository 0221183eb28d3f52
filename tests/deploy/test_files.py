"""The files beside a bundle, held against published schemas, and against each other."""

import functools
import json
import re
import socket
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml

from offramp.bundle import Manifest
from offramp.deploy import deployment_files
from offramp.deploy.names import label
from tests.deploy.bundles import bundle, written

LINES = {
    "mobile": bundle("smartwatch", "smartphone", "base-station", "cloud"),
    "alone": bundle("laptop"),
    "strange": bundle("$HOME", "Küche/*", "x" * 63, "10.0.0.1-ish", "localhost", source="$HOME", destination="Küche/*"),
}
line = pytest.mark.parametrize("manifest", LINES.values(), ids=LINES.keys())
# The oldest and the newest whose schemas are there.
VERSIONS = (kubernetes_validate.utils.all_versions()[0], kubernetes_validate.latest_version())


def interpolated(text: str, variables: dict[str, str]) -> str:
    """As the Compose Specification has it: `$$` a dollar sign, `$NAME`, `${NAME}`, `${NAME:-otherwise}`."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match["braced"] or match["bare"]) or match["otherwise"] or ""

    return re.sub(r"\$(?:\$|\{(?P<braced>\w+)(?::-(?P<otherwise>[^}]*))?\}|(?P<bare>\w+))", value, text)


def parsed(manifest: Manifest, place: str) -> Any:
    return yaml.safe_load(deployment_files(manifest)[place])


def objects(manifest: Manifest, kind: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(deployment_files(manifest)["deploy/kubernetes.yaml"])
    return [document for document in documents if document["kind"] == kind]


@functools.cache
def compose_schema() -> Any:
    """The Compose Specification's own, as check-jsonschema ships it."""
    return json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())


@line
def test_compose_is_what_its_schema_says(manifest: Manifest) -> None:
    document = parsed(manifest, "deploy/compose.yaml")
    jsonschema.validate(document, compose_schema())
    document["services"][label(manifest.topology.source)]["comand"] = []
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate(document, compose_schema())


@line
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_objects_are_what_their_schemas_say(manifest: Manifest, version: str) -> None:
    for kind, count in (("Namespace", 1), ("Deployment", len(manifest.topology.tiers))):
        found = objects(manifest, kind)
        assert len(found) == count
        for each in found:
            kubernetes_validate.validate(each, version, strict=True)
    for each in objects(manifest, "Service"):
        kubernetes_validate.validate(each, version, strict=True)
        each["spec"]["port"] = 7447
        with pytest.raises(kubernetes_validate.ValidationError, match="port"):
            kubernetes_validate.validate(each, version, strict=True)


@line
def test_no_file_has_an_address(manifest: Manifest) -> None:
    for text in deployment_files(manifest).values():
        text = text.replace("10.0.0.1-ish", "")
        assert not re.search(r"\d+\.\d+\.\d+\.\d+", text)
        assert not re.search(r"\[[0-9a-f:]*::[0-9a-f:]*\]", text)


def calls(manifest: Manifest) -> dict[str, list[list[str]]]:
    """What `offramp` is called with at each tier, by the file that says so."""
    services = parsed(manifest, "deploy/compose.yaml")["services"].values()
    containers = [each["spec"]["template"]["spec"]["containers"][0] for each in objects(manifest, "Deployment")]
    return {"compose": [each["command"] for each in services], "kubernetes": [each["args"] for each in containers]}


@line
def test_workers_take_their_arguments(manifest: Manifest) -> None:
    """As the command itself reads them, but for folders that only containers have."""
    from offramp.cli.serving import worker

    app = typer.Typer()
    app.command("worker")(worker)
    app.callback()(lambda: None)
    command = typer.main.get_command(app).commands["worker"]  # type: ignore[attr-defined]
    labels = [label(tier.name) for tier in manifest.topology.tiers]
    for arguments in calls(manifest).values():
        assert len(arguments) == len(labels)
        for j, (name, *rest) in enumerate(arguments):
            assert name == "worker"
            options = command.make_context("worker", rest).params
            assert (options["port"], str(options["certs"]), str(options["tier"])) == (7447, "/certs", "/tier")
            assert options["toward_cloud"] == (f"{labels[j + 1]}:7447" if j + 1 < len(labels) else None)


@line
def test_compose_joins_neighbors_only(manifest: Manifest) -> None:
    document = parsed(manifest, "deploy/compose.yaml")
    networks = [{*service.get("networks", ())} for service in document["services"].values()]
    assert set().union(*networks) == {*document.get("networks", {})}
    for i, one in enumerate(networks):
        for j, other in enumerate(networks[:i]):
            assert len(one & other) == (i - j == 1)


@line
def test_compose_publishes_where_clients_come(manifest: Manifest) -> None:
    services = parsed(manifest, "deploy/compose.yaml")["services"]
    published = {name: service["ports"][0]["published"] for name, service in services.items() if "ports" in service}
    topology = manifest.topology
    assert {*published} == {label(topology.source), label(topology.destination)}
    assert len({*published.values()}) == len(published)
    head = deployment_files(manifest)["deploy/compose.yaml"].split("\nname:")[0]
    assert all(f"{name} at localhost:{port}" in head for name, port in published.items())


def test_compose_finds_what_it_mounts_and_builds(tmp_path: Path) -> None:
    manifest = bundle("$HOME", "phone")
    folder = written(manifest, tmp_path / "bundle", extra=deployment_files(manifest))
    for tier, service in zip(
        manifest.topology.tiers, parsed(manifest, "deploy/compose.yaml")["services"].values(), strict=True
    ):
        context = folder / "deploy" / interpolated(service["build"]["context"], {})
        assert context.resolve() == (folder / "tiers" / tier.name).resolve()
        for variables, architecture in (({}, "amd64"), ({"OFFRAMP_ARCH": "arm64"}, "arm64")):
            file = context / interpolated(service["build"]["dockerfile"], variables)
            assert file.resolve() == (folder / "deploy" / f"Dockerfile.{architecture}").resolve()
            assert file.is_file()
        certs = service["volumes"][0]["source"]
        assert (folder / "deploy" / interpolated(certs, {})).resolve() == tmp_path / "certs" / tier.name
        assert interpolated(certs, {"OFFRAMP_CERTS": "/keys"}) == f"/keys/{tier.name}"
        assert interpolated(service["user"], {}) == "1000:1000"


@line
def test_kubernetes_services_lead_to_their_pods(manifest: Manifest) -> None:
    deployments, services = objects(manifest, "Deployment"), objects(manifest, "Service")
    (namespace,) = objects(manifest, "Namespace")
    for each in (*deployments, *services):
        assert each["metadata"]["namespace"] == namespace["metadata"]["name"]
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    for deployment, pod in zip(deployments, pods, strict=True):
        assert [each for each in pods if deployment["spec"]["selector"]["matchLabels"].items() <= each.items()] == [pod]
    for service in services:
        wanted = service["spec"]["selector"].items()
        (found,) = [each for each, labels in zip(deployments, pods, strict=True) if wanted <= labels.items()]
        (port,) = service["spec"]["ports"]
        (listening,) = found["spec"]["template"]["spec"]["containers"][0]["ports"]
        assert (port["targetPort"], port["port"]) == (listening["name"], listening["containerPort"])
    reached = {(each["metadata"]["name"], each["spec"]["ports"][0]["port"]) for each in services}
    for arguments in calls(manifest)["kubernetes"]:
        if "--next" in arguments:
            host, port = arguments[arguments.index("--next") + 1].split(":")
            assert (host, int(port)) in reached


@line
def test_kubernetes_pods_are_told_apart_and_kept_small(manifest: Manifest) -> None:
    pods = [each["spec"]["template"]["spec"] for each in objects(manifest, "Deployment")]
    nodes = {pod["nodeSelector"]["offramp.io/tier"] for pod in pods}
    assert nodes == {label(tier.name) for tier in manifest.topology.tiers}
    assert len({pod["containers"][0]["image"] for pod in pods}) == len(pods)
    secrets = {volume["secret"]["secretName"] for pod in pods for volume in pod["volumes"] if "secret" in volume}
    assert len(secrets) == len(pods)
    head = deployment_files(manifest)["deploy/kubernetes.yaml"].split("\napiVersion")[0]
    assert all(secret in head for secret in secrets)
    for pod in pods:
        (container,) = pod["containers"]
        assert {"readinessProbe", "livenessProbe", "startupProbe"} <= {*container}
        assert {"cpu", "memory"} == {*container["resources"]["limits"]} == {*container["resources"]["requests"]}
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted == {"/certs", "/tmp"}


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_an_image_runs_as_nobody_in_particular_and_tells_its_health(architecture: str) -> None:
    text = deployment_files(LINES["mobile"])[f"deploy/Dockerfile.{architecture}"]
    steps = [line.split(" ", 1) for line in text.splitlines() if line[:1].isupper()]
    assert steps[0][0] == "FROM"
    assert "-slim" in steps[0][1]
    said = dict(steps)
    assert re.fullmatch(r'OFFRAMP="offramp\[run\]==\d+\.\d+\.\d+"', said["ARG"])
    assert said["USER"] == "1000:1000"
    names = [name for name, _ in steps]
    assert names.index("RUN") < names.index("COPY") < names.index("USER")
    assert json.loads(said["ENTRYPOINT"]) == ["offramp"]
    assert json.loads(said["CMD"])[:2] == ["worker", "/tier"]


def test_the_health_check_tells_who_listens_from_who_does_not() -> None:
    text = deployment_files(LINES["mobile"])["deploy/Dockerfile.amd64"]
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    python, *arguments = json.loads(check)
    assert python == "python"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        here = [sys.executable, *(each.replace("7447", str(listening.getsockname()[1])) for each in arguments)]
        assert subprocess.run(here, capture_output=True).returncode != 0
        listening.listen()
        assert subprocess.run(here, capture_output=True).returncode == 0
