"""Where the seconds of the vllm engine's start go on the CPU, and what settings save.

Every variant starts in a process of its own: to the loaded engine, imports in this process and in the engine's
included, then the first answer.
"""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import nullcontext
from typing import Any

VARIANTS = {
    "roleeval's settings": {},
    "engine process spawned (vLLM's default)": {"spawn": True},
    "worker in a process of its own (vLLM's default)": {"executor": "mp"},
    "with torch.compile (enforce_eager=False, no LoRA)": {"eager": False},
    "without LoRA": {"lora": 0},
    "KV cache 4 GiB instead of 1": {"cpu_kv_cache_gib": 4},
}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(start(json.loads(sys.argv[1])))))
        return
    print(f"{'imports of one process':<52}{imports():>9.1f} s")
    print(f"{'variant':<52}{'start s':>9}{'first answer s':>16}")
    for name, variant in VARIANTS.items():
        command = [sys.executable, "-m", "bench.vllm_start", json.dumps(variant)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name:<52}  failed: {done.stderr.strip().splitlines()[-1][:80]}")
            continue
        row = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
        print(f"{name:<52}{row['start_s']:>9.1f}{row['answer_s']:>16.2f}", flush=True)


def imports() -> float:
    """Seconds that a process needs to import what the engine's process runs."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", "import vllm.v1.engine.async_llm, vllm.v1.worker.cpu_worker"]
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - begin


async def start(variant: dict[str, Any]) -> dict[str, float]:
    """Starts an engine and asks it once."""
    from roleeval.engines import LoraNeed, ModelSource
    from roleeval.engines.vllm import VllmOptions
    from roleeval.engines.vllm.cpu import start as cpu_start
    from roleeval.resources import zoo_path
    from roleeval.types import Message, Request, Sampling

    if variant.get("spawn") or "executor" in variant:  # vLLM's default has both
        cpu_start.import_ahead = lambda: None
        cpu_start.forked = nullcontext
    extra = {"distributed_executor_backend": variant["executor"]} if "executor" in variant else {}
    options = VllmOptions(
        dtype="float32",
        enforce_eager=variant.get("eager"),
        cpu_kv_cache_gib=variant.get("cpu_kv_cache_gib", 1),
        extra=extra,
    )
    lora = 0 if variant.get("eager") is False else variant.get("lora", 1)
    engine = options.build(ModelSource(str(zoo_path("base"))), LoraNeed(lora, 8 if lora else 0))
    begin = time.perf_counter()
    await engine.start()
    started = time.perf_counter()
    await engine.generate(Request((Message("user", "What is courage?"),), Sampling(max_tokens=16), seed=1))
    answered = time.perf_counter()
    await engine.close()
    return {"start_s": started - begin, "answer_s": answered - started}


if __name__ == "__main__":
    main()
