"""What is compiled is what is written, also where only a callee in another file has changed since it was cached."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEP = "SIZE = {size}\n\n\ndef step(x):\n    return x {sign} SIZE\n"
TWICE = "from step import step\n\n\ndef twice(x):\n    return step(step(x))\n"
RUN = """
from offramp.core.compiling import compile_kernels
from step import step
from twice import twice
print(compile_kernels((step, twice))(10))
"""


def printed(folder: Path, *, size: int, sign: str) -> int:
    (folder / "step.py").write_text(STEP.format(size=size, sign=sign))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=folder,
        timeout=120,
    )
    return int(done.stdout)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_changed_callee_is_compiled_again(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(TWICE)
    assert printed(tmp_path, size=1, sign="+") == 12
    assert printed(tmp_path, size=2, sign="+") == 14
    assert printed(tmp_path, size=2, sign="-") == 6
