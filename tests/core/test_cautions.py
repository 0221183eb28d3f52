"""What is said of accuracies that mislead."""

import numpy as np

from offramp.core.cautions import cautions, table_cautions, timing_cautions
from offramp.core.exit_table import ExitTable
from offramp.core.metrics import quality_of_exit
from offramp.core.timing import Timing


def table(counts: tuple[int, ...], right: tuple[int, ...], exits: int = 1) -> ExitTable:
    label = np.repeat(np.arange(len(counts)), counts)
    correct = np.concatenate([np.arange(count) < good for count, good in zip(counts, right, strict=True)])
    return ExitTable(np.ones((exits, len(label))), np.tile(correct, (exits, 1)), label)


def test_a_majority_class_is_no_accuracy() -> None:
    said = cautions(quality_of_exit(table((1068, 20, 5), (1068, 0, 1)), 1), "the plan")
    assert said == ["the plan has right only 0% of the 20 of class 1, 20% of the 5 of class 2"]
    useless = table_cautions(table((1068, 20, 5), (1068, 0, 0), exits=3))
    assert useless[0].startswith("the last exit has 97.71 % right, and always answering class 0 has 97.71 %")
    assert useless[-1].endswith("no more right than always answering class 0, 97.71 %: 1, 2")


def test_what_few_samples_can_show() -> None:
    # 0.05 ** (1 / 8) = 0.6877
    assert cautions(quality_of_exit(table((4, 4), (4, 4)), 1), "the plan") == [
        "8 samples: that the plan has 8 of 8 right only shows at least 68.8 % (confidence 0.95)"
    ]
    assert cautions(quality_of_exit(table((200, 200), (190, 190)), 1), "the plan") == []


def test_a_block_can_not_take_longer_than_more_blocks_do() -> None:
    partitions = np.array([[0.002, 0.003, 0.004], [np.nan, 0.001, 0.002], [np.nan, np.nan, 0.001]])
    times = {"branch_s": [1e-4] * 3, "partition_s": partitions, "serialize_s": [0] * 5, "deserialize_s": [0] * 5}
    quiet, busy = (Timing(block_s=[0.002, second, 0.001], **times) for second in (0.0015, 0.02))
    assert timing_cautions({"quiet": quiet}) == []
    [sentence] = timing_cautions({"quiet": quiet, "busy": busy})
    assert sentence.startswith("on busy, 1 of 3 blocks")
