"""The `offramp` command: parsing and printing, nothing else.

Modules here are imported for every command, `--help` included, so they import what is heavy inside the functions.
"""
