"""How commands print for machines."""

from __future__ import annotations

import json
from typing import Any


def print_json(document: Any) -> None:
    """Print `document` for a machine: nothing else goes to standard output."""
    print(json.dumps(document, indent=1, allow_nan=False))
