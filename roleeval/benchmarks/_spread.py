"""Which rows of a split a limit keeps: rows spread over the whole file, always the same ones."""

import random
from collections.abc import Sequence
from itertools import pairwise


def spread(total: int, wanted: int) -> Sequence[int]:
    """One position from each of `wanted` equal stretches of `total` rows, ascending."""
    if wanted == total:
        return range(total)
    draw = random.Random(0)
    ends = [i * total // wanted for i in range(wanted + 1)]
    return [draw.randrange(start, end) for start, end in pairwise(ends)]
