"""What the machine at hand is and can do."""

import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch

# The instructions that make bfloat16 faster than float32; elsewhere it is emulated, ten times slower.
_FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
_NOISE = re.compile(r"\((r|tm|c)\)|@.*|\b(cpu|processor|core|\d+-core|with)\b", re.IGNORECASE)


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def short_name(model: str) -> str:
    """A device name from a processor's: `AMD EPYC 7763 64-Core Processor` is `amd-epyc-7763`."""
    words = re.findall(r"[a-z0-9]+", _NOISE.sub(" ", model).lower())
    return "-".join(words[:4]) or "cpu"


def has_fast_bf16() -> bool:
    """Whether training in bfloat16 is faster than in float32 here."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not _FAST_BF16.isdisjoint((_cpuinfo("flags") or _cpuinfo("Features")).split())


def versions() -> dict[str, str]:
    """Versions of what the measured numbers depend on."""
    packages = {name: version(name) for name in ("offramp", "torch", "numpy")}
    return {"python": platform.python_version(), **packages}


def _cpuinfo(key: str) -> str:
    """The first value of `key` in /proc/cpuinfo; "" where there is none."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    match = re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""
