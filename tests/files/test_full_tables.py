"""Exit tables with classes, confidences and ids, read back."""

from pathlib import Path

import numpy as np

from offramp.core.exit_table import ExitTable
from offramp.files.tables import read_table, table_bytes


def test_a_full_table_reads_back(tmp_path: Path) -> None:
    label = np.array([0, 300, 2])
    predicted = np.array([[0, 300, 1], [0, 2, 2]])
    table = ExitTable(np.full((2, 3), 0.5), predicted == label, label, predicted, np.full((2, 3), 0.9), [7, 1, 4])  # type: ignore[arg-type]
    path = tmp_path / "exits.npz"
    path.write_bytes(table_bytes(table))
    again = read_table(path, blocks=2)
    for name, array in table.arrays().items():
        assert np.array_equal(getattr(again, name), array), name
    part = again.part(np.array([2, 0]))
    assert part.ids is not None
    assert part.ids.tolist() == [4, 7]
