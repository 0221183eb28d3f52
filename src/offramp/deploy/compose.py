"""compose.yaml: the whole line on one machine, each link a network of its own."""

from typing import Any

from offramp.bundle.manifest import Manifest
from offramp.deploy.line import CERTS_FOLDER, PORT, SCRATCH_FOLDER, USER, Station, deployment_name, image_name, stations
from offramp.deploy.text import yaml_text

_HEAD = """\
# Every tier a container, every link a network that only its two ends are on. Beside the bundle's folder:
#   offramp certs BUNDLE --out certs
#   docker compose --file BUNDLE/deploy/compose.yaml up --build
# OFFRAMP_CERTS: another folder of certificates.  OFFRAMP_ARCH: amd64 or arm64.
# OFFRAMP_USER: who owns the certificates, as UID:GID.
"""


def compose(bundle: Manifest) -> str:
    """The file for `docker compose`."""
    line = stations(bundle)
    ports = {station.label: PORT + i for i, station in enumerate(station for station in line if station.open)}
    document: dict[str, Any] = {
        "name": deployment_name(bundle),
        "services": {
            station.label: _service(bundle, station, _links(j, len(line)), ports.get(station.label))
            for j, station in enumerate(line)
        },
    }
    if len(line) > 1:
        document["networks"] = {_link(j): {} for j in range(1, len(line))}
    addresses = ", ".join(f"{name} at localhost:{port}" for name, port in ports.items())
    return f"{_HEAD}# Clients find {addresses}.\n" + yaml_text([document])


def _service(bundle: Manifest, station: Station, links: list[str], published: int | None) -> dict[str, Any]:
    least, most = station.memory_mib
    # A dollar sign would begin a variable.
    folder = station.tier.replace("$", "$$")
    service: dict[str, Any] = {
        "image": image_name(bundle, station),
        "build": {
            "context": f"../tiers/{folder}",
            "dockerfile": "../../deploy/Dockerfile.${OFFRAMP_ARCH:-amd64}",
        },
        "command": station.arguments,
        "user": f"${{OFFRAMP_USER:-{USER}:{USER}}}",
        "restart": "unless-stopped",
        "read_only": True,
        "tmpfs": [SCRATCH_FOLDER],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "deploy": {
            "resources": {"limits": {"cpus": "2", "memory": f"{most}M"}, "reservations": {"memory": f"{least}M"}}
        },
        "volumes": [
            {
                "type": "bind",
                "source": f"${{OFFRAMP_CERTS:-../../certs}}/{folder}",
                "target": CERTS_FOLDER,
                "read_only": True,
                "bind": {"create_host_path": False},
            }
        ],
    }
    if published is not None:
        service["ports"] = [{"target": PORT, "published": str(published)}]
    if links:
        service["networks"] = links
    return service


def _links(place: int, tiers: int) -> list[str]:
    """Those of the tier at `place`, toward the device and toward the cloud."""
    return [_link(j) for j in (place, place + 1) if 1 <= j < tiers]


def _link(j: int) -> str:
    """The name of the link between tiers j and j + 1, counted from 1."""
    return f"link-{j}"
