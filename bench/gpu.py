"""What has to hold on a GPU, in one ordered script that fits nine minutes; tables are written as they are found.

    decode      does an engine write what it reads, under settings that are suspected or may mend it (each model and
                setting in a process of its own, several at a time)
    invariance  the same texts with 1, 8 and 64 requests in flight, greedy and seeded, with VLLM_BATCH_INVARIANT=1
    adapters    95 adapters of rank 8 on a 7B shape against the base alone (goal 0.8)
    scenes      scenes with uneven replies, 256 in flight, an 8B shape (bench.coser)
    sessions    sessions of 100 messages, small model (bench.minimax)

    python -m bench.gpu [--out docs/gpu.md] [--only decode invariance ...] [--minutes 9]

A step that does not fit into what is left of the time is named and not begun. Without a GPU all of it runs on the CPU,
so that the script itself is tried before a GPU's time is spent on it: the first two with the settings that exist there,
the others in miniature. What needs a GPU is refused by name.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.resources import fetched_models, zoo_path

PARALLEL = 8  # engines at a time in `decode`; each has a small KV cache of a fixed size
CACHE_BYTES = 1 << 30
IN_FLIGHT = (1, 8, 64)
GOAL_ADAPTERS = 0.8


@dataclass(frozen=True)
class Setting:
    """Options of the vllm engine that are tried; `gpu`: they mean nothing on the CPU."""

    options: dict[str, Any] = field(default_factory=dict)
    gpu: bool = True


SPLITS = {"attention_config": {"flash_attn_max_num_splits_for_cuda_graph": 1}}
SETTINGS = {
    "default": Setting(gpu=False),
    "enforce_eager": Setting({"enforce_eager": True}),
    "cudagraph_mode=PIECEWISE": Setting({"extra": {"compilation_config": {"cudagraph_mode": "PIECEWISE"}}}),
    "flash_attn_max_num_splits_for_cuda_graph=1": Setting({"extra": SPLITS}),
    "VLLM_BATCH_INVARIANT=1": Setting({"env": {"VLLM_BATCH_INVARIANT": 1}}),
    "TRITON_ATTN": Setting({"extra": {"attention_backend": "TRITON_ATTN"}}),
    "VLLM_USE_V2_MODEL_RUNNER=0": Setting({"env": {"VLLM_USE_V2_MODEL_RUNNER": 0}}),
    "no sliding window": Setting({"extra": {"disable_sliding_window": True}}, gpu=False),
    "dtype=bfloat16": Setting({"dtype": "bfloat16"}, gpu=False),
}


class Page:
    """The Markdown file: what is added is there at once."""

    def __init__(self, path: Path, machine: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._text = f"# On a GPU\n\nWritten by `python -m bench gpu` on {machine}.\n"
        self.add("")

    def add(self, text: str) -> None:
        """Adds lines, and prints them."""
        print(text, flush=True)
        self._text += f"{text}\n"
        self.path.write_text(self._text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Acceptance on a GPU; see the module's text.")
    parser.add_argument("--out", type=Path, help="default: docs/gpu.md, and without a GPU results/gpu.md")
    parser.add_argument("--only", nargs="+", choices=sorted(STEPS), default=list(STEPS))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(asyncio.run(child(json.loads(options.child)))))
        return
    ends = time.monotonic() + 60 * options.minutes
    page = Page(options.out or Path("docs" if on_gpu() else "results") / "gpu.md", machine())
    for name in options.only:
        step, least = STEPS[name]
        left = ends - time.monotonic()
        page.add(f"\n## {name}\n")
        if left < least:
            page.add(f"Not run: {left:.0f} s were left, and it needs {least} s.")
            continue
        begin = time.monotonic()
        step(page, left)
        page.add(f"\n({time.monotonic() - begin:.0f} s)")


def machine() -> str:
    """The device and the versions, in words."""
    import platform

    import torch
    from vllm import __version__

    device = torch.cuda.get_device_name() if on_gpu() else f"the CPU ({platform.machine()}, {os.cpu_count()} cores)"
    return f"{device}, vLLM {__version__}, torch {torch.__version__}"


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def models() -> dict[str, Path]:
    """What `decode` tries: the zoo, and SmolLM2 where it was fetched (roleeval zoo fetch smollm2-135m)."""
    found = {"zoo": zoo_path("base")}
    if (fetched_models() / "smollm2-135m").is_dir():
        found["smollm2-135m"] = fetched_models() / "smollm2-135m"
    return found


def decode(page: Page, left: float) -> None:
    gpu = on_gpu()
    tasks = [(model, name) for model in models() for name, each in SETTINGS.items() if gpu or not each.gpu]
    page.add("Gap: nats a token by which others are likelier than what was written, when it is read (0: healthy).\n")
    page.add("| model | setting | gap, base | gap, adapter | load s |\n|---|---|---:|---:|---:|")

    def ask(task: tuple[str, str]) -> None:
        model, name = task
        found = in_child({"what": "decode", "model": model, "setting": name}, left)
        cells = [found["error"], "", ""] if "error" in found else [_number(found[key]) for key in _DECODE]
        page.add(f"| {model} | {name} | {' | '.join(cells)} |")

    with ThreadPoolExecutor(PARALLEL if gpu else 1) as pool:
        list(pool.map(ask, tasks))
    refused(page, [name for name, each in SETTINGS.items() if each.gpu and not gpu])
    if not gpu or _gpus() < 2:
        refused(page, ["copies of a model (two GPUs)"])


_DECODE = ("gap", "gap_adapter", "load_s")


def invariance(page: Page, left: float) -> None:
    setting = "VLLM_BATCH_INVARIANT=1" if on_gpu() else "default"  # on the CPU texts never depend on the batch
    found = in_child({"what": "invariance", "model": "zoo", "setting": setting}, left)
    if "error" in found:
        page.add(found["error"])
        return
    page.add("Texts that differ from those with one request in flight.\n")
    page.add("| in flight | greedy | seeded | of |\n|---:|---:|---:|---:|")
    for most, greedy, seeded in found["differ"]:
        page.add(f"| {most} | {greedy} | {seeded} | {found['texts']} |")


def adapters(page: Page, left: float) -> None:
    whole = "--shape llama2-7b --roles 95 --questions 20 --contestants ours base"
    bench(page, "adapters", whole, left, miniature="--shape toy --roles 3 --questions 2 --contestants ours base")
    page.add(f"Goal: tokens/s of ours at least {GOAL_ADAPTERS} of the base alone.")


def scenes(page: Page, left: float) -> None:
    whole = "--shape llama3-8b --in-flight 256 --scenes 512 --rounds 6"
    bench(page, "coser", whole, left, miniature="--shape zoo --in-flight 4 --scenes 4 --rounds 2 --repeats 1")


def sessions(page: Page, left: float) -> None:
    small = "--only sessions --sessions 4 --messages 10 --repeats 1"
    bench(page, "minimax", "--only sessions", left, miniature=small)


def bench(page: Page, name: str, whole: str, left: float, *, miniature: str) -> None:
    """Runs another benchmark; what it has printed when the time is over is kept."""
    if not on_gpu():
        refused(page, [f"bench.{name} {whole}"])
        page.add("\nIn miniature, to see that it runs; these figures say nothing of a GPU:\n")
    command = [sys.executable, "-u", "-m", f"bench.{name}", *(whole if on_gpu() else miniature).split()]
    page.add("```")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        ends = time.monotonic() + left
        with ThreadPoolExecutor(1) as pool:
            stop = pool.submit(_stop_at, process, ends)
            for line in process.stdout:
                page.add(line.rstrip())
            process.wait()
            stop.result()
    page.add("```")
    if time.monotonic() >= ends:
        page.add("Stopped: the time was over.")
    elif process.returncode:
        page.add(f"Failed with exit code {process.returncode}.")


def _stop_at(process: "subprocess.Popen[str]", ends: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, ends - time.monotonic()))
        return
    process.kill()


def refused(page: Page, names: Sequence[str]) -> None:
    """Says what cannot be measured here."""
    if names:
        page.add(f"\nNeeds a GPU, not measured here: {', '.join(names)}.")


def in_child(task: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Runs `child` in a process of its own; {"error": its last line} where it fails."""
    command = [sys.executable, "-m", "bench.gpu", "--child", json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=max(1.0, limit_s))
    except subprocess.TimeoutExpired:
        return {"error": "the time was over"}
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not answers:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["no answer"]
        return {"error": last[0].replace("|", "/")[:200]}
    found: dict[str, Any] = json.loads(answers[-1])
    return found


async def child(task: dict[str, Any]) -> dict[str, Any]:
    """One engine, one question about it."""
    from roleeval.engines import LoraNeed, ModelSource, load_adapter
    from roleeval.engines.vllm import VllmOptions
    from roleeval.types import Message, Request, Sampling

    given = SETTINGS[task["setting"]].options
    cache = {"kv_cache_memory_bytes": CACHE_BYTES} if on_gpu() else {}
    extra = cache | given.get("extra", {})
    more = {"check_decoding": False, "gpu_memory_utilization": 0.05, "extra": extra}
    options = VllmOptions(**(given | more))
    source = ModelSource(str(models()[task["model"]]))
    adapter = load_adapter(zoo_path("shared_lora"), "shared") if task["model"] == "zoo" else None
    engine = options.build(source, LoraNeed(1, adapter.rank) if adapter else LoraNeed())
    begin = time.perf_counter()
    await engine.start()
    found: dict[str, Any] = {"load_s": time.perf_counter() - begin}
    try:
        if task["what"] == "decode":
            from roleeval.engines._adapter_effect import PROBE
            from roleeval.engines.vllm._decode_check import decode_gap

            prompt = engine._tokenizer(PROBE).input_ids
            found["gap"], found["gap_adapter"] = await decode_gap(engine._engine, prompt), None
            if adapter is not None:
                lora = await engine._adapter(adapter)
                found["gap_adapter"] = await decode_gap(engine._engine, prompt, adapter=lora)
            return found
        texts = {}
        for most in IN_FLIGHT:
            for kind, heat in (("greedy", 0.0), ("seeded", 1.0)):
                asked = [
                    Request(
                        (Message("user", f"Tell me about the {number}th day of your journey."),),
                        Sampling(temperature=heat, max_tokens=48),
                        number,
                        adapter=adapter if number % 2 else None,
                    )
                    for number in range(max(IN_FLIGHT))
                ]
                texts[most, kind] = await _answers(engine, asked, most)
        first = IN_FLIGHT[0]
        found["texts"] = max(IN_FLIGHT)
        found["differ"] = [
            [most, *(_different(texts[first, kind], texts[most, kind]) for kind in ("greedy", "seeded"))]
            for most in IN_FLIGHT[1:]
        ]
        return found
    finally:
        await engine.close()


async def _answers(engine: Any, requests: Sequence[Any], most: int) -> list[str]:
    from roleeval.workers import in_flight

    texts = [""] * len(requests)

    async def ask(number: int) -> None:
        texts[number] = (await engine.generate(requests[number])).text

    await in_flight(range(len(requests)), ask, most=most)
    return texts


def _different(one: Sequence[str], two: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(one, two, strict=True))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


# name -> what is done, and the seconds that it needs at least
STEPS: dict[str, tuple[Callable[[Page, float], None], int]] = {
    "decode": (decode, 60),
    "invariance": (invariance, 60),
    "adapters": (adapters, 100),
    "scenes": (scenes, 100),
    "sessions": (sessions, 60),
}


if __name__ == "__main__":
    main()
