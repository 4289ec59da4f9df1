"""One rule for every seed: it depends on what is requested, never on when."""

import hashlib


def derive_seed(run_seed: int, sample_id: str, *, turn: int = 0, speaker: str = "", attempt: int = 0) -> int:
    """The seed of one call, in [0, 2**31): independent of scheduling and of Python's hash seed."""
    text = f"{run_seed}\x1f{sample_id}\x1f{turn}\x1f{speaker}\x1f{attempt}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) >> 1
