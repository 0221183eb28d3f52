"""Opening Zenoh sessions: a tier's, connected to its neighbors only, and a client's, connected to one tier.

Every tier's session is a router and forwards what is for others, so that tier 1 reaches tier 3 through tier 2. A
client's forwards nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import zenoh

# Small against the slowest links, so that a batch never blocks one for seconds (8 kB take 0.13 s at 500 kb/s).
_BATCH_BYTES = 8192
# Priorities and keep-alives have no effect on what the system has already buffered.
_SEND_BUFFER_BYTES = 32768
# The longest message where no bundle is known; and, beyond a bundle's largest object, room for headers and for Zenoh's
# own messages to its neighbors.
_MOST_MESSAGE_BYTES = 1 << 28
_BESIDE_OBJECT_BYTES = 1 << 20
# How long Zenoh waits for room in a link's buffers before it closes the link; a message that takes longer is lost.
_LEAST_WAIT_S = 5.0
# Zenoh does not flush what its TLS library holds back while a socket is full: the end of a message stays there until
# something else is sent. On an idle link that is the next keep-alive, by default after 2.5 s. (A hundred a lease of
# 10 s are some 6 kb/s.)
_TLS_KEEP_ALIVES = 100

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
    """Open a tier's session; it keeps trying to connect to its neighbor, and reconnects when the link is lost.

    port: where to listen for the neighbor toward the device and for clients.
    toward_cloud: `host:port` of the next tier; None for the last.
    host: the address to listen on; None for all addresses of this machine.
    security: the part of the configuration that `tls.tls_config` makes; None for plain TCP.
    longest_send_s: how long the link needs for everything that may be in flight to a neighbor at once.
    largest_bits: the largest object of the bundle; Zenoh drops messages that are far longer before they fill the
        memory. None where that is not known.
    Raises `zenoh.ZError` where it can't listen.
    """
    protocol = "tcp" if security is None else "tls"
    # A stalled link must be closed at some time: only then does Zenoh reconnect.
    wait_us = round(1e6 * max(_LEAST_WAIT_S, 2 * longest_send_s))
    listen = [f"{protocol}/{host}:{port}"] if host else [f"{protocol}/[::]:{port}"]
    connect = [] if toward_cloud is None else [f"{protocol}/{toward_cloud}"]
    waiting = {"transport/link/tx/queue/congestion_control/block/wait_before_close": wait_us}
    return _open("router", listen, connect, {**waiting, **_longest(largest_bits), **(security or {})})


def client(*, tier: str, security: Mapping[str, Any] | None = None, largest_bits: int | None = None) -> zenoh.Session:
    """Open a client's session, connected to the tier at `host:port`. Raises `zenoh.ZError` where none listens there.

    security, largest_bits: as for `router`.
    """
    protocol = "tcp" if security is None else "tls"
    return _open("client", [], [f"{protocol}/{tier}"], {**_longest(largest_bits), **(security or {})})


def _longest(largest_bits: int | None) -> dict[str, Any]:
    most = _MOST_MESSAGE_BYTES if largest_bits is None else largest_bits // 8 + _BESIDE_OBJECT_BYTES
    return {"transport/link/rx/max_message_size": most}


def _open(mode: str, listen: Sequence[str], connect: Sequence[str], more: Mapping[str, Any]) -> zenoh.Session:
    settings: dict[str, Any] = {
        "mode": mode,
        "listen/endpoints": listen,
        "connect/endpoints": connect,
        "scouting/multicast/enabled": False,
        # Tiers on one machine would otherwise bypass the emulated link between them.
        "transport/shared_memory/enabled": False,
        "transport/link/tx/batch_size": _BATCH_BYTES,
        "transport/link/tcp/so_sndbuf": _SEND_BUFFER_BYTES,
        "transport/link/tls/so_sndbuf": _SEND_BUFFER_BYTES,
        **more,
    }
    if any(endpoint.startswith("tls/") for endpoint in (*listen, *connect)):
        settings["transport/link/tx/keep_alive"] = _TLS_KEEP_ALIVES
    if mode == "router":
        settings["connect/timeout_ms"] = -1
        settings["connect/exit_on_failure"] = False
    config = zenoh.Config()
    for key, value in settings.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)
