"""The commands put together, and how an error leaves the program."""

import sys
from typing import Annotated

import typer

from offramp.cli.auto import auto
from offramp.cli.building import build
from offramp.cli.certifying import certs
from offramp.cli.comparing import compare
from offramp.cli.exploring import explore
from offramp.cli.inspecting import schema, topology
from offramp.cli.planning import estimate, plan
from offramp.cli.reporting import report
from offramp.cli.running import run
from offramp.cli.serving import infer, switch, worker
from offramp.cli.sweeping import sweep
from offramp.cli.training import profile, train
from offramp.cli.validating import validate
from offramp.errors import OfframpError

app = typer.Typer(
    name="offramp",
    help="Plan, train and run deep networks with early exits across a device, an edge and a cloud.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes a quarter of a second sooner
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    auto,
    train,
    profile,
    plan,
    compare,
    explore,
    sweep,
    estimate,
    build,
    run,
    certs,
    worker,
    infer,
    switch,
    validate,
    report,
    topology,
    schema,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"offramp {version('offramp')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 no plan meets the requirement, 2 bad input, 130 interrupted."""
    try:
        app()
    except OfframpError as error:
        print(f"offramp: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("offramp: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
