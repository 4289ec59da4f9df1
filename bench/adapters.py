"""R roles with an adapter each: one engine with mixed batches, against one engine run per role and merged weights.

One run per role is what lm-eval's vLLM model with its one `lora_local_path` makes people do; merged weights are the
other way, one model folder per role. Both load an engine per role: a few roles are run and their mean is taken for all.
Adapters are random and small, so that every contestant writes about the same texts. Each runs in processes of its own.

    python -m bench.adapters [--roles 8 64]                                     the zoo's base, all contestants
    python -m bench.adapters --shape llama2-7b --roles 95 --contestants ours base    on a GPU, random weights

With --shape other than zoo the weights are vLLM's dummy ones: right for speed, and nothing is downloaded.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._vllm import SHAPES, make_base

MAX_TOKENS = 64
RUN_ROLES = 3  # roles that the contestants with an engine per role really run
RANK = 8
LABELS = {
    "ours": "one engine, mixed batches",
    "base": "base alone, no adapters",
    "per_role": "one engine run per role",
    "merged": "merged weights per role",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Many adapters in one engine, against one engine run per role.")
    parser.add_argument("--roles", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--shape", choices=["zoo", *SHAPES], default="zoo")
    parser.add_argument("--contestants", nargs="+", choices=sorted(LABELS), default=list(LABELS))
    parser.add_argument("--questions", type=int, default=100, help="of each role")
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(asyncio.run(serve(**json.loads(options.child)))))
        return
    for roles in options.roles:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), roles, options)


def compare(folder: Path, roles: int, options: argparse.Namespace) -> None:
    """Prints one table for one number of roles."""
    shape = options.shape
    base = make_base(folder, shape)
    begin = time.perf_counter()
    adapters = make_adapters(folder, base, roles)
    size = sum(file.stat().st_size for file in adapters[0].iterdir()) / 1e6
    print(f"\n{roles} roles, {options.questions} questions each, {shape}; an adapter is {size:.1f} MB", flush=True)
    print(f"(writing the adapters took {time.perf_counter() - begin:.0f} s)")
    print(f"{'contestant':<28}{'total s':>9}{'load s':>8}{'samples/s':>11}{'tokens/s':>10}{'peak GB':>9}", flush=True)
    rows = {}
    shared = {
        "base": str(base),
        "dummy": shape != "zoo",
        "in_flight": options.in_flight,
        "questions": options.questions,
    }
    for name in options.contestants:
        if name in ("ours", "base"):
            used = [str(path) for path in adapters] if name == "ours" else []
            row = child({**shared, "adapters": used, "roles": roles})
        else:
            row = each_role(name, folder, base, adapters, shared)
        rows[name] = row
        print(
            f"{LABELS[name]:<28}{row['total_s']:>9.1f}{row['load_s']:>8.1f}{row['samples_s']:>11.1f}"
            f"{row['tokens_s']:>10.0f}{row['peak_gb']:>9.1f}",
            flush=True,
        )
    for name in ("per_role", "merged"):
        if {"ours", name} <= set(rows):
            total = rows[name]["total_s"] / rows["ours"]["total_s"]
            alone = rows["ours"]["samples_s"] / rows[name]["samples_s"]
            print(f"ours / {LABELS[name]}: {total:.1f} with loads, {alone:.2f} without")
    if {"ours", "base"} <= set(rows):
        print(f"tokens/s of ours / base alone: {rows['ours']['tokens_s'] / rows['base']['tokens_s']:.2f}")


def each_role(name: str, folder: Path, base: Path, adapters: list[Path], shared: dict[str, Any]) -> dict[str, float]:
    """Runs a few roles, each in an engine of its own, and scales their mean up to all."""
    measured = []
    for number, adapter in enumerate(adapters[:RUN_ROLES]):
        task = {**shared, "roles": 1, "adapters": [str(adapter)]}
        begin = time.perf_counter()
        if name == "merged":
            task |= {"base": str(merge(folder / f"merged{number}", base, adapter)), "adapters": []}
        merging = time.perf_counter() - begin
        row = child(task)
        measured.append({**row, "total_s": row["total_s"] + merging, "load_s": row["load_s"] + merging})
    mean = {key: statistics.mean(row[key] for row in measured) for key in measured[0]}
    return {**mean, "total_s": mean["total_s"] * len(adapters), "load_s": mean["load_s"] * len(adapters)}


def child(task: dict[str, Any]) -> dict[str, float]:
    """Runs `serve` in a process of its own; total_s is the process's whole life, imports and exit included."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "bench.adapters", "--child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed: {task}\n{done.stderr[-3000:]}")
    row: dict[str, float] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return row | {"total_s": time.perf_counter() - begin}


async def serve(
    base: str, adapters: list[str], roles: int, questions: int, dummy: bool, in_flight: int
) -> dict[str, float]:
    """Answers so many questions of each role in one engine, adapters in turn, and times it."""
    from itertools import cycle, islice

    from roleeval.benchmarks.rolebench import RoleBench
    from roleeval.engines import LoraNeed, ModelSource, load_adapter
    from roleeval.engines.vllm import VllmOptions
    from roleeval.types import Message, Request, Sampling

    bench = RoleBench(splits=("eng_general", "eng_specific"))
    refs = [load_adapter(path, f"a{number}") for number, path in enumerate(adapters)]
    work = [
        Request(
            messages=(
                # As in real life every role has its own prompt, so that no contestant gains from shared prefixes.
                Message("system", f"{role}. {bench.system_prompt(sample.persona)}"),
                Message("user", sample.question),
            ),
            sampling=Sampling(max_tokens=MAX_TOKENS),
            seed=number,
            adapter=refs[role] if refs else None,
        )
        for number, (role, sample) in enumerate(
            zip(cycle(range(roles)), islice(cycle(bench.samples(limit=None)), roles * questions))
        )
    ]
    extra = {"load_format": "dummy"} if dummy else {}
    options = VllmOptions(dtype="auto" if dummy else "float32", max_num_seqs=in_flight, max_model_len=1024, extra=extra)
    on = frozenset(name for ref in refs for name in ref.modules)
    engine = options.build(ModelSource(base), LoraNeed(len(refs), RANK if refs else 0, on))
    begin = time.perf_counter()
    await engine.start()
    load = time.perf_counter() - begin
    # Every adapter is loaded by its first request: that belongs to the run.
    pending, tokens = iter(work), 0

    async def worker() -> None:
        nonlocal tokens
        for request in pending:
            done = await engine.generate(request)  # before the sum is read: others add to it meanwhile
            tokens += done.output_tokens

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    seconds = time.perf_counter() - begin
    await engine.close()
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    return {"load_s": load, "samples_s": len(work) / seconds, "tokens_s": tokens / seconds, "peak_gb": peak}


def make_adapters(folder: Path, base: Path, roles: int) -> list[Path]:
    """Random PEFT adapters of rank 8 on all seven linear modules, small enough to change no text much."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((base / "config.json").read_text())
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    kv = hidden // heads * config["num_key_value_heads"]
    shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (hidden, kv),
        "self_attn.v_proj": (hidden, kv),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }
    names = sorted(module.split(".")[1] for module in shapes)
    adapter_config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": names, "bias": "none"}
    made = []
    for role in range(roles):
        generator = torch.Generator().manual_seed(role)
        tensors = {}
        for layer in range(config["num_hidden_layers"]):
            for module, (inputs, outputs) in shapes.items():
                key = f"base_model.model.model.layers.{layer}.{module}"
                for side, size in (("A", (RANK, inputs)), ("B", (outputs, RANK))):
                    values = torch.randn(size, generator=generator) * 1e-3
                    tensors[f"{key}.lora_{side}.weight"] = values.bfloat16()
        target = folder / f"adapter{role}"
        target.mkdir()
        save_file(tensors, target / "adapter_model.safetensors", metadata={"format": "pt"})
        (target / "adapter_config.json").write_text(json.dumps(adapter_config | {"task_type": "CAUSAL_LM"}))
        made.append(target)
    return made


def merge(target: Path, base: Path, adapter: Path) -> Path:
    """A copy of the base with an adapter merged into its weights."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().save_pretrained(target)
    AutoTokenizer.from_pretrained(base).save_pretrained(target)
    return target


if __name__ == "__main__":
    main()
