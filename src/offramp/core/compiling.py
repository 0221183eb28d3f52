"""Search kernels, compiled when it pays.

A kernel is a plain Python function over arrays. Interpreted, it needs neither numba's import (a third of a second) nor
its compilation (seconds, once per machine, then cached on disk), which is what a command that plans one small network
wants. Compiled, it is hundreds of times faster, which is what everything else wants.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from types import FunctionType, MappingProxyType
from typing import Any


def compile_kernels(
    kernels: Sequence[Callable[..., Any]], stand_ins: Mapping[str, Callable[..., Any]] = MappingProxyType({})
) -> Any:
    """The last of `kernels`, compiled with numba; each may call those before it.

    stand_ins: by name, what is compiled instead of a kernel that uses something numba lacks.

    Every kernel is compiled from a copy of the function whose globals hold the compiled versions of the others, so the
    originals stay interpreted.
    """
    import numba

    sources = [stand_ins.get(kernel.__name__, kernel) for kernel in kernels]
    version = _version(sources)
    scope: dict[str, Any] = {}
    for kernel in kernels:
        scope |= kernel.__globals__
    for name, source in zip((kernel.__name__ for kernel in kernels), sources, strict=True):
        copy = FunctionType(source.__code__, scope, source.__name__)
        copy.__module__ = source.__module__
        # What is cached of a function goes by its name and file, and would outlive a change in what it calls.
        copy.__qualname__ = f"{name}_{version}"
        scope[name] = numba.njit(cache=True, nogil=True)(copy)
    return scope[kernels[-1].__name__]


def _version(kernels: Sequence[Callable[..., Any]]) -> str:
    """The same for the same code of all kernels together, and the same numbers that it names."""
    parts = []
    for kernel in kernels:
        code, known = kernel.__code__, kernel.__globals__
        numbers = [known[name] for name in code.co_names if isinstance(known.get(name), int | float)]
        parts.append((code.co_code, code.co_consts, code.co_names, numbers))
    return sha256(repr(parts).encode()).hexdigest()[:12]
