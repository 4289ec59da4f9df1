"""Where the seconds of the vllm engine's start go on the CPU, and what settings save.

Every variant starts in a process of its own: imports in this process, then the engine's start (its own process imports
vLLM again, loads the weights and warms up) and the first answer.
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

VARIANTS = {
    "roleeval's settings": {},
    "worker in a process of its own (vLLM's default)": {"executor": "mp"},
    "with torch.compile (enforce_eager=False, no LoRA)": {"eager": False},
    "without LoRA": {"lora": 0},
    "KV cache 4 GiB instead of 1": {"cpu_kv_cache_gib": 4},
}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(start(json.loads(sys.argv[1])))))
        return
    print(f"{'variant':<52}{'import s':>9}{'start s':>9}{'first answer s':>16}")
    for name, variant in VARIANTS.items():
        command = [sys.executable, "-m", "bench.vllm_start", json.dumps(variant)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name:<52}  failed: {done.stderr.strip().splitlines()[-1][:80]}")
            continue
        row = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
        print(f"{name:<52}{row['import_s']:>9.1f}{row['start_s']:>9.1f}{row['answer_s']:>16.2f}", flush=True)


async def start(variant: dict[str, Any]) -> dict[str, float]:
    """Starts an engine and asks it once."""
    from roleeval.engines import LoraNeed, ModelSource
    from roleeval.engines.vllm import VllmOptions
    from roleeval.resources import zoo_path
    from roleeval.types import Message, Request, Sampling

    begin = time.perf_counter()
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: F401
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: F401

    imported = time.perf_counter()
    extra = {"distributed_executor_backend": variant["executor"]} if "executor" in variant else {}
    options = VllmOptions(
        dtype="float32",
        enforce_eager=variant.get("eager"),
        cpu_kv_cache_gib=variant.get("cpu_kv_cache_gib", 1),
        extra=extra,
    )
    lora = 0 if variant.get("eager") is False else variant.get("lora", 1)
    engine = options.build(ModelSource(str(zoo_path("base"))), LoraNeed(lora, 8 if lora else 0))
    await engine.start()
    started = time.perf_counter()
    await engine.generate(Request((Message("user", "What is courage?"),), Sampling(max_tokens=16), seed=1))
    answered = time.perf_counter()
    await engine.close()
    return {"import_s": imported - begin, "start_s": started - imported, "answer_s": answered - started}


if __name__ == "__main__":
    main()
