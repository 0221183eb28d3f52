"""`offramp explore` where what serves the page is not installed."""

import sys

import pytest
from typer.testing import CliRunner

from offramp.cli.app import app
from offramp.errors import MissingExtraError


def test_without_the_web_server_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "offramp.explore.serving", raising=False)
    monkeypatch.setitem(sys.modules, "nicegui", None)
    with pytest.raises(MissingExtraError, match=r"the explorer needs nicegui: pip install 'offramp\[explore\]'"):
        CliRunner().invoke(app, ["explore", "resnet20-digits"], catch_exceptions=False)
