"""What is in a bundle's folder, for whom it is handed to."""

from offramp.bundle.manifest import Manifest
from offramp.view.text import percent, seconds


def readme(bundle: Manifest) -> str:
    """The README of a bundle: what was promised, and how to run it here and on real hosts."""
    topology, estimate = bundle.topology, bundle.estimate
    names = [tier.name for tier in topology.tiers]
    nexts = [f" --next {name}:7447" for name in names[1:]] + [""]
    destination = "" if topology.destination == topology.source else f" --destination {topology.destination}:7447"
    lines = [
        f"# {bundle.backbone} on {bundle.dataset}, bundle {bundle.deployment}",
        "",
        f"`{bundle.plans[0]}`",
        "",
        f"Accuracy {percent(estimate.accuracy)} on the validation split, mean latency {seconds(estimate.latency_s)} "
        "as the tiers and links were described.",
        "",
        "On one machine, every tier a process and every link emulated:",
        "",
        "    offramp run .",
        "",
        "On real hosts, each with its own folder and `pip install 'offramp[run]'`, in any order:",
        "",
        *(f"    offramp worker tiers/{name}{after}" for name, after in zip(names, nexts, strict=True)),
        "",
        "And wherever samples are:",
        "",
        f"    offramp infer . photos/ --source {topology.source}:7447{destination}",
        "",
        "`--next`, `--source` and `--destination` take the names by which those hosts are found.",
        "",
        "`offramp certs . --out ../certs` makes certificates, a folder for each tier and one for clients: with",
        "`--certs ../certs/NAME`, workers talk to their neighbors and to clients, and to nobody else. Keep them out",
        "of this folder, which another build replaces. `deploy/` is the same for Compose and Kubernetes.",
    ]
    return "\n".join(lines) + "\n"
