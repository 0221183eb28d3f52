"""A tier's place in the network: one Zenoh session, linked to its neighbors only.

Every tier runs a router: it passes on what is not its own, so that tier 1 reaches tier 3 through tier 2. Clients link
to one tier and pass nothing on.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import zenoh

# Small against the slowest links, so that a batch never blocks one for seconds (8 kB take 0.13 s at 500 kb/s).
_BATCH_BYTES = 8192
# What the system buffers is beyond the reach of priorities and keep-alives.
_SEND_BUFFER_BYTES = 32768
# The longest message where nothing is known of a bundle, and beyond its largest object: headers, and what Zenoh itself
# tells its neighbors.
_MOST_MESSAGE_BYTES = 1 << 28
_BESIDE_OBJECT_BYTES = 1 << 20
# How long Zenoh waits for room on a link before it drops a message; a message that needs longer never arrives.
_LEAST_WAIT_S = 5.0

PORT = 7447


def router(
    *,
    port: int,
    toward_cloud: str | None,
    host: str | None = None,
    security: Mapping[str, Any] | None = None,
    longest_send_s: float = 0.0,
    largest_bits: int | None = None,
) -> zenoh.Session:
    """Open a tier's session; it goes on trying to reach its neighbor, now and whenever the link was lost.

    port: where the neighbor toward the device and clients find this tier.
    toward_cloud: `host:port` of the next tier; None for the last.
    host: the address to listen on; None for every one of this machine.
    security: the part of the configuration that `security.tls_config` makes; None for plain TCP.
    longest_send_s: what all that may be on the way to a neighbor at once takes.
    largest_bits: the largest object of the bundle; Zenoh drops messages that are far longer before they fill the
        memory. None where that is not known.
    """
    protocol = "tcp" if security is None else "tls"
    # A stalled link must still be given up at some time: that is how it heals.
    wait_us = round(1e6 * max(_LEAST_WAIT_S, 2 * longest_send_s))
    listen = [f"{protocol}/{host}:{port}"] if host else [f"{protocol}/[::]:{port}"]
    connect = [] if toward_cloud is None else [f"{protocol}/{toward_cloud}"]
    waiting = {"transport/link/tx/queue/congestion_control/block/wait_before_close": wait_us}
    return _open("router", listen, connect, {**waiting, **_longest(largest_bits), **(security or {})})


def client(*, tier: str, security: Mapping[str, Any] | None = None, largest_bits: int | None = None) -> zenoh.Session:
    """Open a client's session, linked to the tier at `tier`, `host:port`. Raises `zenoh.ZError` where none is.

    security, largest_bits: as for `router`.
    """
    protocol = "tcp" if security is None else "tls"
    return _open("client", [], [f"{protocol}/{tier}"], {**_longest(largest_bits), **(security or {})})


def work_key(tier: int) -> str:
    """Where the tier at that place on the line takes tasks."""
    return f"offramp/{tier}/work"


def result_key(tier: int) -> str:
    """Where the tier at that place takes outcomes, being the destination."""
    return f"offramp/{tier}/result"


def plan_key(tier: int) -> str:
    """Where the tier at that place takes a new plan, being the source."""
    return f"offramp/{tier}/plan"


def alive_key(tier: int | str) -> str:
    """The token that is there as long as the tier is."""
    return f"offramp/{tier}/alive"


def client_key(client_id: str) -> str:
    """Where a client takes its answers."""
    return f"offramp/client/{client_id}"


def _longest(largest_bits: int | None) -> dict[str, Any]:
    most = _MOST_MESSAGE_BYTES if largest_bits is None else largest_bits // 8 + _BESIDE_OBJECT_BYTES
    return {"transport/link/rx/max_message_size": most}


def _open(mode: str, listen: Sequence[str], connect: Sequence[str], more: Mapping[str, Any]) -> zenoh.Session:
    settings: dict[str, Any] = {
        "mode": mode,
        "listen/endpoints": listen,
        "connect/endpoints": connect,
        "scouting/multicast/enabled": False,
        # Two tiers on one machine would else bypass the link between them.
        "transport/shared_memory/enabled": False,
        "transport/link/tx/batch_size": _BATCH_BYTES,
        "transport/link/tcp/so_sndbuf": _SEND_BUFFER_BYTES,
        "transport/link/tls/so_sndbuf": _SEND_BUFFER_BYTES,
        **more,
    }
    if mode == "router":
        settings["connect/timeout_ms"] = -1
        settings["connect/exit_on_failure"] = False
    config = zenoh.Config()
    for key, value in settings.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)
