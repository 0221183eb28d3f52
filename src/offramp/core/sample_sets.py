"""Sets of samples as bits, 64 to a word, and what searches count in them.

These functions are search kernels: plain Python on arrays that `offramp.core.compiling` can compile. Axes: W words, C
classes.
"""

from typing import Any

import numpy as np

from offramp.core.checks import FloatArray, WordArray


def overlap(a: WordArray, b: WordArray) -> int:
    """How many samples are in both sets, each [W]."""
    return int(np.bitwise_count(a & b).sum())


def tally(remaining: WordArray, exiting: WordArray, right: WordArray, later: WordArray) -> tuple[int, int]:
    """Count, among the samples `remaining` [W], those in `exiting` and `right`; and those in `later` alone."""
    right_exits = np.bitwise_count(remaining & exiting & right).sum()
    return int(right_exits), int(np.bitwise_count(remaining & ~exiting & later).sum())


def population(word: Any) -> Any:
    """How many bits of a 64-bit word are set (Warren, Hacker's Delight, figure 5-2); compilers know it by its shape."""
    x = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    # The product wraps around, of which `*` warns where this runs uncompiled.
    return np.multiply(x, np.uint64(0x0101010101010101)) >> np.uint64(56)


def overlap_compiled(a: WordArray, b: WordArray) -> Any:
    """`overlap` without temporaries, and without `np.bitwise_count`, which numba lacks."""
    both = np.uint64(0)
    for w in range(len(a)):
        both += population(a[w] & b[w])
    return np.int64(both)


def tally_compiled(remaining: WordArray, exiting: WordArray, right: WordArray, later: WordArray) -> Any:
    """`tally` in the same way."""
    right_exits, hopeful = np.uint64(0), np.uint64(0)
    for w in range(len(remaining)):
        right_exits += population(remaining[w] & exiting[w] & right[w])
        hopeful += population(remaining[w] & ~exiting[w] & later[w])
    return np.int64(right_exits), np.int64(hopeful)


def too_few(
    good: WordArray, class_sets: WordArray, least_right: FloatArray, class_weight: FloatArray, least_weight: float
) -> bool:
    """Whether a set of samples answered right [W] holds too few of some class, or of all of them weighted.

    class_sets: [C, W] the samples of each class.
    least_right: [C] how many of each there must be.
    class_weight: [C] what each of them counts; least_weight: what they must come to.
    Of a larger set neither is true unless it is of `good`: so a set of all that can come right is a bound.
    """
    weight = 0.0
    for c in range(len(class_sets)):
        count = overlap(good, class_sets[c])
        if count < least_right[c]:
            return True
        weight += count * class_weight[c]
    return weight < least_weight
