"""How numbers and objects are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offramp.core.planner import Requirement


def seconds(value: float) -> str:
    """A time as people read it: `299.9 ms`."""
    return _si(value, "s")


def bits(value: float) -> str:
    """A size as people read it: `524.3 kb`."""
    return _si(value, "b")


def rate(value: float) -> str:
    """A bandwidth as people read it: `10 Mb/s`."""
    return _si(value, "b/s")


def percent(value: float) -> str:
    """A share as people read it: `93.42 %`."""
    return f"{100 * value:.2f} %"


def requirement_words(requirement: Requirement, *, latency: str) -> str:
    """What is asked, in words: `accuracy of at least 92.00 % and latency of at most 300 ms`.

    latency: what to call the latency that is meant.
    """
    asked = []
    if requirement.min_accuracy is not None:
        asked.append(f"accuracy of at least {percent(requirement.min_accuracy)}")
    if requirement.max_latency_s is not None:
        asked.append(f"{latency} of at most {seconds(requirement.max_latency_s)}")
    return " and ".join(asked)


def print_json(document: Any) -> None:
    """Print `document` for a machine: nothing else goes to standard output."""
    print(json.dumps(document, indent=1, allow_nan=False))


def _si(value: float, unit: str) -> str:
    from quantiphy import Quantity

    return str(Quantity(value, unit).render(prec=3))
