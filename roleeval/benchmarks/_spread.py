"""Which rows of a split a limit keeps: rows spread over the whole file, always the same ones."""

import random
from itertools import pairwise


def spread(total: int, wanted: int) -> list[int]:
    """One position from each of `wanted` equal stretches of `total` rows, ascending."""
    draw = random.Random(0)
    ends = [i * total // wanted for i in range(wanted + 1)]
    return [draw.randrange(start, end) for start, end in pairwise(ends)]
