"""`python -m offramp` is the `offramp` command."""

from offramp.cli.app import main

main()
