"""Backbones as lines of blocks: one module per family, each with a function that gives a `Spec`."""
