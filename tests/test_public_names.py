"""What `offramp` exports is listed, sorted and there."""

import ast
from pathlib import Path

import pytest

import offramp

STUB = Path(offramp.__file__).with_suffix(".pyi")


def test_every_public_name_is_there_and_documented() -> None:
    for name in offramp.__all__:
        assert getattr(offramp, name).__doc__, name


def test_the_list_is_sorted_and_complete() -> None:
    tree = ast.parse(STUB.read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    (listed,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
    assert listed == sorted(imported)
    assert set(offramp.__all__) == imported


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="moonshot"):
        _ = offramp.moonshot
