"""The vllm engine against a bare `LLM.chat` call, and against transformers + peft `generate`, on the same work.

600 RoleBench prompts of the embedded set over four adapters (the zoo's shared LoRA and three random ones of the same
shape), greedy, 64 new tokens at most, everyone in the same dtype. Each contestant runs in a process of its own and is
timed after loading and a short warm-up; ratios are of samples/s. transformers runs grouped by adapter, as published
evaluation scripts do, one sample at a time (on a part of the prompts) and in batches of 96.

    python -m bench.engines [--repeats N] [--dtype float32|bfloat16]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

PROMPTS = 600
MAX_TOKENS = 64
ONE_BY_ONE = 48  # prompts that transformers gets one at a time; its rate does not depend on how many


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares engines on the same prompts and adapters.")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each contestant (default 2); the best counts")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--contestant", choices=sorted(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--adapters", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        adapters = [Path(p) for p in arguments.adapters.split(",")]
        print(json.dumps(CONTESTANTS[arguments.contestant](adapters, arguments.dtype)))
        return
    with tempfile.TemporaryDirectory() as folder:
        adapters = make_adapters(Path(folder))
        rates: dict[str, float] = {}
        print(f"dtype {arguments.dtype}")
        print(f"{'contestant':<34}{'samples/s':>11}{'tokens/s':>10}{'load s':>8}")
        for name in ("ours", "ours_two", "bare", "hf_batch", "hf_single"):
            rows = [
                contest(name, adapters, arguments.dtype)
                for _ in range(1 if name.startswith("hf") else arguments.repeats)
            ]
            best = max(rows, key=lambda row: row["rate"])
            rates[name] = best["rate"]
            load = statistics.median(row["load_s"] for row in rows)
            print(f"{LABELS[name]:<34}{best['rate']:>11.1f}{best['tokens']:>10.0f}{load:>8.1f}", flush=True)
    for rival, goal in (("bare", 0.95), ("hf_batch", 5), ("hf_single", 20)):
        one, two = rates["ours"] / rates[rival], rates["ours_two"] / rates[rival]
        print(f"ours / {LABELS[rival]}: {one:.2f}, with two copies {two:.2f}   (goal {goal})")


def contest(name: str, adapters: list[Path], dtype: str) -> dict[str, float]:
    """Runs one contestant in a process of its own and returns its line."""
    command = [sys.executable, "-m", "bench.engines", "--contestant", name, "--dtype", dtype]
    command += ["--adapters", ",".join(map(str, adapters))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    # vLLM prints to stdout as well, also while it shuts down
    row: dict[str, float] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return row


def make_adapters(folder: Path) -> list[Path]:
    """The zoo's shared LoRA, and three like it with random weights."""
    import torch
    from safetensors.torch import load_file, save_file

    from roleeval.resources import zoo_path

    trained = zoo_path("shared_lora")
    made = [trained]
    for seed in range(3):
        target = folder / f"random{seed}"
        target.mkdir()
        weights = load_file(trained / "adapter_model.safetensors")
        generator = torch.Generator().manual_seed(seed)
        shuffled = {k: torch.randn(v.shape, generator=generator) * v.std() for k, v in weights.items()}
        save_file(shuffled, target / "adapter_model.safetensors", metadata={"format": "pt"})
        (target / "adapter_config.json").write_text((trained / "adapter_config.json").read_text())
        made.append(target)
    return made


def requests(adapters: list[Path]) -> list[Any]:
    """600 requests in benchmark order, adapters in turn."""
    from roleeval.benchmarks.rolebench import RoleBench
    from roleeval.engines import load_adapter
    from roleeval.types import Message, Request, Sampling

    bench = RoleBench()
    samples = list(bench.samples(limit=None))
    refs = [load_adapter(path, f"a{i}") for i, path in enumerate(adapters)]
    return [
        Request(
            messages=(Message("system", bench.system_prompt(s.persona)), Message("user", s.question)),
            sampling=Sampling(max_tokens=MAX_TOKENS),
            seed=i,
            adapter=refs[i % len(refs)],
        )
        for i, s in enumerate(islice(cycle(samples), PROMPTS))
    ]


def ours(adapters: list[Path], dtype: str, *, copies: int = 1) -> dict[str, float]:
    """The engine as a run uses it, at 256 in flight, with the store in front of it."""
    import asyncio

    from roleeval.engines import CompletionStore, LoraNeed, ModelSource, StoredEngine, load_adapter
    from roleeval.engines.vllm import VllmOptions
    from roleeval.resources import zoo_path

    work = requests(adapters)

    async def contest() -> dict[str, float]:
        options = VllmOptions(dtype=dtype, data_parallel_size=copies)
        on = frozenset(name for adapter in adapters for name in load_adapter(adapter).modules)
        engine = options.build(ModelSource(str(zoo_path("base"))), LoraNeed(len(adapters), 8, on))
        begin = time.perf_counter()
        await engine.start()
        load = time.perf_counter() - begin
        for request in work[:8]:
            await engine.generate(request)
        with tempfile.TemporaryDirectory() as folder:
            stored = StoredEngine(engine, CompletionStore(Path(folder, "s.sqlite")))
            pending = iter(work)
            tokens = 0

            async def worker() -> None:
                nonlocal tokens
                for request in pending:
                    completion = await stored.generate(request)
                    tokens += completion.output_tokens

            begin = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(256)))
            seconds = time.perf_counter() - begin
        await engine.close()
        return {"rate": len(work) / seconds, "tokens": tokens / seconds, "load_s": load}

    return asyncio.run(contest())


def bare(adapters: list[Path], dtype: str) -> dict[str, float]:
    """One LLM.chat call with everything in it."""
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    from bench._vllm import bare_llm
    from roleeval.resources import zoo_path

    work = requests(adapters)
    slots = {"max_loras": len(adapters), "max_cpu_loras": len(adapters), "max_lora_rank": 8}
    begin = time.perf_counter()
    llm = bare_llm(zoo_path("base"), dtype=dtype, enable_lora=True, **slots)
    load = time.perf_counter() - begin
    chats = [[{"role": m.role, "content": m.content} for m in r.messages] for r in work]
    loras = [LoRARequest(f"a{i % len(adapters)}", i % len(adapters) + 1, r.adapter.path) for i, r in enumerate(work)]
    params = SamplingParams(temperature=0, max_tokens=MAX_TOKENS)
    llm.chat(chats[:8], params, use_tqdm=False, lora_request=loras[:8])
    begin = time.perf_counter()
    outputs = llm.chat(chats, params, use_tqdm=False, lora_request=loras)
    seconds = time.perf_counter() - begin
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    return {"rate": len(work) / seconds, "tokens": tokens / seconds, "load_s": load}


def transformers(adapters: list[Path], dtype: str, *, batch: int, number: int) -> dict[str, float]:
    """peft `generate`, adapter after adapter, in fixed batches with left padding."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from roleeval.resources import zoo_path

    work = requests(adapters)[:number]
    begin = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(zoo_path("base"), padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(zoo_path("base"), dtype=getattr(torch, dtype))
    for i, path in enumerate(adapters):
        model = PeftModel.from_pretrained(model, path, "a0") if i == 0 else model
        if i:
            model.load_adapter(str(path), f"a{i}")
    model.eval()
    load = time.perf_counter() - begin
    texts = [
        tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in r.messages], tokenize=False, add_generation_prompt=True
        )
        for r in work
    ]

    def generate(chosen: list[str]) -> int:
        inputs = tokenizer(chosen, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_TOKENS)
        return int((out[:, inputs["input_ids"].shape[1] :] != tokenizer.pad_token_id).sum())

    generate(texts[:1])
    tokens = 0
    begin = time.perf_counter()
    for i in range(len(adapters)):
        model.set_adapter(f"a{i}")
        mine = [text for text, request in zip(texts, work, strict=True) if request.adapter.name == f"a{i}"]
        for start in range(0, len(mine), batch):
            tokens += generate(mine[start : start + batch])
    seconds = time.perf_counter() - begin
    return {"rate": len(work) / seconds, "tokens": tokens / seconds, "load_s": load}


LABELS = {
    "ours": "roleeval, vllm engine + store",
    "ours_two": "the same, two copies of one core",
    "bare": "bare vllm.LLM.chat",
    "hf_batch": "transformers + peft, batches of 96",
    "hf_single": "transformers + peft, one by one",
}
CONTESTANTS: dict[str, Callable[[list[Path], str], dict[str, float]]] = {
    "ours": ours,
    "ours_two": lambda adapters, dtype: ours(adapters, dtype, copies=2),
    "bare": bare,
    "hf_batch": lambda adapters, dtype: transformers(adapters, dtype, batch=96, number=PROMPTS),
    "hf_single": lambda adapters, dtype: transformers(adapters, dtype, batch=1, number=ONE_BY_ONE),
}

if __name__ == "__main__":
    main()
