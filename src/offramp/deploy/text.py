"""YAML as people write it."""

from collections.abc import Iterable
from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    """Writes a value that occurs twice out twice, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_text(documents: Iterable[Any]) -> str:
    """The documents, in the order of their entries."""
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
