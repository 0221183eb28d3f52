"""Search kernels, compiled when it pays.

A kernel is a plain Python function over arrays. Interpreted, it needs neither numba's import (a third of a second) nor
its compilation (seconds, once per machine, then cached on disk), which is what a command that plans one small network
wants. Compiled, it is hundreds of times faster, which is what everything else wants.
"""

from collections.abc import Callable, Mapping, Sequence
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

    scope: dict[str, Any] = {}
    for kernel in kernels:
        scope |= kernel.__globals__
    for kernel in kernels:
        name = kernel.__name__
        source = stand_ins.get(name, kernel)
        copy = FunctionType(source.__code__, scope, source.__name__)
        copy.__module__ = source.__module__
        scope[name] = numba.njit(cache=True, nogil=True)(copy)
    return scope[kernels[-1].__name__]
