"""Token times of a real engine, for the simulated ones of bench/pool.py: `python -m bench._pool_tokens`.

A step of a batch of n sequences takes about `step_s + n * sequence_s`, and a prompt token that is not cached
`prompt_s`. The three are fitted to whole requests of the zoo's base model.
"""

import asyncio
import json
import time
from typing import Any

CONCURRENCY = (1, 8, 32)
NEW = 32


async def measure(engine: Any) -> dict[str, float]:
    """Asks a loaded engine with different numbers of requests at once."""
    import numpy as np

    from roleeval.types import Request, Sampling

    async def batch(count: int, words: int, new: int) -> tuple[float, int, int]:
        asked = [
            Request(None, Sampling(1.0, max_tokens=new), seed, prompt=f"{time.perf_counter_ns()} " + "sea " * words)
            for seed in range(count)
        ]
        begin = time.perf_counter()
        answers = await asyncio.gather(*map(engine.generate, asked))
        taken = time.perf_counter() - begin
        return taken, sum(each.prompt_tokens for each in answers), max(each.output_tokens for each in answers)

    await batch(8, 20, NEW)
    rows, times = [], []
    for _ in range(2):
        for count in CONCURRENCY:
            for words, new in ((20, NEW), (200, NEW), (200, 1)):
                taken, prompt, steps = await batch(count, words, new)
                rows.append((steps, steps * count, prompt))
                times.append(taken)
    # relative errors: short batches count as much as long ones
    weights = 1 / np.array(times)
    fitted, *_ = np.linalg.lstsq(np.array(rows) * weights[:, None], np.ones(len(times)), rcond=None)
    spread = np.abs(np.array(rows) @ fitted * weights - 1)
    return {
        "step_s": float(fitted[0]),
        "sequence_s": float(fitted[1]),
        "prompt_s": float(fitted[2]),
        "median_error": float(np.median(spread)),
    }


async def main() -> None:
    from roleeval.engines import LoraNeed, ModelSource
    from roleeval.engines.vllm import VllmOptions
    from roleeval.resources import zoo_path

    engine = VllmOptions().build(ModelSource(str(zoo_path("base"))), LoraNeed())
    await engine.start()
    print(json.dumps(await measure(engine)))
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
