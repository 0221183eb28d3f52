"""`offramp topology` and `offramp schema`, as a user runs them."""

import json

import typer
from typer.testing import CliRunner

from offramp.cli import inspecting
from offramp.errors import InputError
from offramp.files import schema, shipped

app = typer.Typer()
app.command()(inspecting.topology)
app.command()(inspecting.schema)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_shipped_topologies_are_listed() -> None:
    assert run("topology").split() == list(shipped("topologies"))
    assert json.loads(run("topology", "--json")) == list(shipped("topologies"))


def test_a_topology_is_drawn() -> None:
    lines = [line.rstrip() for line in run("topology", "mobile").splitlines()]
    assert lines[0] == "mobile (store-and-forward)"
    assert [line.split() for line in lines[1:4]] == [
        ["smartwatch", "slowdown", "500", "source", "and", "destination"],
        ["│", "500", "kb/s,", "6", "ms"],
        ["smartphone", "slowdown", "10"],
    ]


def test_a_topology_for_other_programs() -> None:
    shown = json.loads(run("topology", "iot", "--json"))
    figures = {"send_j_per_bit": 0.0, "receive_j_per_bit": 0.0, "radio_w": 0.0, "tail_s": 0.0}
    assert shown["links"][0] == {"bandwidth_bits_per_s": 1e7, "latency_s": 0.01, **figures}
    assert shown["mtu_bits"] is None


def test_a_schema_is_printed() -> None:
    assert json.loads(run("schema", "profile")) == schema("profile")
    assert CliRunner().invoke(app, ["schema", "network"]).exit_code == 2


def test_an_unknown_topology() -> None:
    result = CliRunner().invoke(app, ["topology", "mobil"])
    assert isinstance(result.exception, InputError)
