"""The explorer's web server: on this machine alone unless told otherwise, with nothing loaded from elsewhere."""

from __future__ import annotations

import socket

from nicegui import app, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request

from offramp.errors import fail
from offramp.explore.page import Page
from offramp.explore.view import Explorer

_LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(explorer: Explorer, *, host: str, port: int, show: bool) -> None:
    """Serve the page until interrupted.

    show: whether to open a browser. Raises `InputError` where the port can't be had.
    """
    _check(host, port)
    if host in _LOCAL:
        # Pages of other sites must not reach it by a name of theirs that leads here.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(_LOCAL))

    @ui.page("/", title=f"Offramp explorer: {explorer.profile.backbone.name}")
    def page(request: Request) -> None:
        Page(explorer, *explorer.from_query(request.url.query))

    ui.run(
        host=host,
        port=port,
        show=show,
        reload=False,
        dark=None,
        language="en-US",
        favicon="🛣️",
        tailwind=False,
        binding_refresh_interval=None,
        show_welcome_message=False,
        message_history_length=50,
        timeout_graceful_shutdown=1,
    )


def _check(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        fail("--port", f"{host}:{port} can't be had: {error}", "give another with --port, e.g. --port 8899")
