"""Numbers with units, as they stand in a topology: rates, times, sizes, powers and energies, to and from SI."""

import math
from dataclasses import dataclass

from quantiphy import QuantiPhyError, Quantity

from offramp.errors import fail


@dataclass(frozen=True, slots=True)
class Dimension:
    """A kind of quantity.

    kind: what it is called, after "not a".
    example: one as it may be written.
    factors: unit -> what it is in the first unit.
    scales: prefixes and their factors for writing in the first unit, largest first.
    """

    kind: str
    example: str
    factors: dict[str, int]
    scales: tuple[tuple[str, float], ...]

    def parse(self, written: object) -> float:
        """The quantity in the first unit, for example 10 Mb/s -> 1e7. Raises `InputError`."""
        remedy = f"write a number and a unit, e.g. {self.example}"
        try:
            quantity = Quantity(written) if isinstance(written, str) else None
        except QuantiPhyError:
            quantity = None
        if quantity is None or not math.isfinite(quantity):
            missing = isinstance(written, int | float) and not isinstance(written, bool)
            fail("", f"{written!r} {'has no unit' if missing else f'is not a {self.kind}'}", remedy)
        if not quantity.units:
            fail("", f"{written!r} has no unit", remedy)
        if quantity.units not in self.factors:
            fail("", f"{written!r} is not a {self.kind}: its unit is {quantity.units!r}", remedy)
        return float(quantity) * self.factors[quantity.units]

    def write(self, value: float) -> str:
        """Text that `parse` reads as exactly `value`, in the largest unit that shows it whole."""
        unit = next(iter(self.factors))
        for prefix, scale in self.scales:
            text = f"{value / scale:.12g} {prefix}{unit}"
            # A prefix and an exponent don't go together, nor do they with infinity.
            if value >= scale and text[0].isdigit() and "e" not in text and self.parse(text) == value:
                return text
        return f"{float(value)!r} {unit}"


RATE = Dimension("rate", "10 Mb/s", {"b/s": 1, "B/s": 8}, (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1)))
TIME = Dimension("time", "40 ms", {"s": 1}, (("", 1), ("m", 1e-3), ("u", 1e-6)))
SIZE = Dimension("size", "9000 B", {"b": 1, "B": 8}, (("", 1),))
POWER = Dimension("power", "2.1 W", {"W": 1}, (("", 1), ("m", 1e-3), ("u", 1e-6)))
ENERGY = Dimension("quantity of energy", "5 mJ", {"J": 1}, (("", 1), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9)))
ENERGY_PER_BIT = Dimension("cost of a bit in energy", "438 nJ/b", {"J/b": 1}, (("u", 1e-6), ("n", 1e-9), ("p", 1e-12)))


def write_size(bits: float) -> str:
    """A size that `SIZE.parse` reads as exactly `bits`, in bytes where it is whole bytes."""
    return f"{bits / 8:.0f} B" if bits % 8 == 0 and bits < 2**53 else SIZE.write(bits)
