"""What can go wrong, and how it is said.

::

    OfframpError                      catch this to catch everything Offramp raises on purpose
    ├── InputError                    what the user states or feeds in is wrong; lists every fault
    ├── MissingExtraError             a command needs packages that are not installed
    └── nn.training.runner.JobsError  networks could not be trained; lists what became of each
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NoReturn


class OfframpError(Exception):
    """Base of every error Offramp raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    place: where, as a path in the user's document or argument (`links[2].bandwidth`).
    problem: what is wrong there, with the value.
    remedy: what to write instead.
    """

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.remedy}"

    def under(self, parent: str) -> "Fault":
        """The same fault as seen from a document in which it lies below `parent`."""
        joint = "" if self.place.startswith("[") else "."
        return replace(self, place=f"{parent}{joint}{self.place}" if self.place else parent)


class InputError(OfframpError, ValueError):
    """What the user states or feeds in is wrong.

    faults: every fault found, each with its place and its remedy.
    source: the file or argument the places refer to; "" when it is a call of the library.
    """

    def __init__(self, faults: Iterable[Fault], *, source: str = "") -> None:
        self.faults = tuple(faults)
        self.source = source
        lines = [str(fault) for fault in self.faults]
        if source:
            lines = [f"{source} can't be used:", *(f"  {line}" for line in lines)]
        # Names of files and escapes in JSON may hold halves of characters, which no file or terminal takes.
        super().__init__("\n".join(lines).encode(errors="backslashreplace").decode())


class MissingExtraError(OfframpError):
    """A command needs packages that are not installed; the message says how to install them."""


def refuse(faults: Iterable[Fault], *, source: str = "") -> None:
    """Raise `InputError` if there is any fault."""
    found = tuple(faults)
    if found:
        raise InputError(found, source=source)


def fail(place: str, problem: str, remedy: str) -> NoReturn:
    """Raise `InputError` with one fault."""
    raise InputError([Fault(place, problem, remedy)])
