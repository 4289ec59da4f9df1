"""The pool with real vLLM engines on two local Ray nodes; bench/pool.py has the parts' names."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench._pool_tokens import measure

FAMILIES = "zoo_base,zoo_shared_lora,zoo_independent_lora,zoo_hycora,zoo_her,zoo_rar"
SWEEP = ["-m", f"model={FAMILIES}", "benchmark=rolebench", "judge=zoo_voice", "limit=4"]
SCENES = ["model=zoo_shared_lora", "experiment=zoo_scenes", "limit=4"]
SEEDED = ["model=zoo_shared_lora", "benchmark=rolebench", "limit=20", "model.sampling.temperature=0.9"]
SEEDS = "seeds=[1,2,3,4,5,6,7,8]"  # long enough for four workers to be loaded meanwhile
_NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20, "include_dashboard": False}


@contextmanager
def two_nodes(cpus: float = 1.0) -> Iterator[str]:
    """A Ray cluster of two nodes on this machine; its address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**_NODE, "num_cpus": cpus})
    try:
        cluster.add_node(num_cpus=cpus, **_NODE)
        yield cluster.address
    finally:
        ray.shutdown()  # this process's connection, before the nodes
        cluster.shutdown()


def killed() -> None:
    """400 requests to the zoo's base on two nodes; one worker is killed with -9 on the way."""
    with two_nodes() as address:
        print(json.dumps(asyncio.run(_killed(address)), indent=1))


async def _killed(address: str, count: int = 400) -> dict[str, Any]:
    from roleeval.engines import LoraNeed, ModelSource
    from roleeval.engines.pool import PoolOptions
    from roleeval.engines.vllm import VllmOptions
    from roleeval.resources import zoo_path
    from roleeval.types import Message, Request, Sampling

    source, inner = ModelSource(str(zoo_path("base"))), VllmOptions(cpu_kv_cache_gib=1)

    async def answers(engine: Any) -> list[str]:
        async def ask(number: int) -> str:
            sampling = Sampling(temperature=0.9 * (number % 2), max_tokens=48)  # every second one is greedy
            chat = (Message("user", f"Question {number}: who are you, and what do you want from me?"),)
            done = await engine.generate(Request(chat, sampling, number, affinity=f"scene {number // 4}"))
            return f"{done.finish_reason}: {done.text}"

        return list(await asyncio.gather(*map(ask, range(count))))

    alone = inner.build(source, LoraNeed())
    await alone.start()
    begin = time.perf_counter()
    expected = await answers(alone)
    in_process_s = time.perf_counter() - begin
    print(json.dumps(await measure(alone)), flush=True)
    await alone.close()

    engine = PoolOptions(inner, address=address, min_workers=2, max_workers=2).build(source, LoraNeed())
    begin = time.perf_counter()
    await engine.start()
    while len(there := [w for w in engine.describe()["pool"]["workers"] if w["state"] == "ready"]) < 2:
        await asyncio.sleep(0.1)
    loaded_s = time.perf_counter() - begin
    try:
        begin = time.perf_counter()
        asking = asyncio.ensure_future(answers(engine))
        while sum(w["answered"] for w in engine.describe()["pool"]["workers"]) < count // 8:
            await asyncio.sleep(0.01)
        os.kill(there[0]["pid"], signal.SIGKILL)
        at_kill = sum(w["answered"] for w in engine.describe()["pool"]["workers"])
        killed_at = time.perf_counter()
        found = await asking
        pool_s = time.perf_counter() - begin
        while engine.describe()["pool"]["workers"][0]["state"] != "ready":
            await asyncio.sleep(0.1)
        back_s = time.perf_counter() - killed_at
        again = await answers(engine)
        facts = engine.describe()["pool"]
    finally:
        await engine.close()
    return {
        "answers": len(found),
        "equal to the in-process run": found == expected,
        "equal after it came back": again == expected,
        "answered when it was killed": at_kill,
        "calls done again": facts["calls_done_again"],
        "losses": facts["workers"][0]["losses"],
        "answered by": [worker["answered"] for worker in facts["workers"]],
        "seconds in process": round(in_process_s, 1),
        "seconds of the pool, kill included": round(pool_s, 1),
        "seconds until both were loaded": round(loaded_s, 1),
        "seconds until it was back": round(back_s, 1),
    }


def same_bytes() -> None:
    """The demo's sweep, scenes and seeded sampling: in process, and through pools; the files' bytes are compared."""
    folder = Path(tempfile.mkdtemp(prefix="roleeval-pool-"))
    try:
        _run(folder / "alone", [], SWEEP, SCENES, SEEDED)
        with two_nodes() as address:
            _run(folder / "two nodes", [f"engine.address={address}", "engine.min_workers=2"], SWEEP, SCENES, SEEDED)
        _differ(folder / "alone", folder / "two nodes")
    finally:
        shutil.rmtree(folder)


def workers() -> None:
    """The seeded run on 1, 2 and 4 workers of this machine."""
    folder = Path(tempfile.mkdtemp(prefix="roleeval-pool-"))
    try:
        _run(folder / "alone", [], [*SEEDED, SEEDS])
        for count in (1, 2, 4):
            more = ["engine.cpus_per_worker=0.25", f"engine.min_workers={count}", f"engine.max_workers={count}"]
            _run(folder / str(count), more, [*SEEDED, SEEDS])
            _differ(folder / "alone", folder / str(count))
    finally:
        shutil.rmtree(folder)


def _run(results: Path, pool: list[str], *jobs: list[str]) -> None:
    """Runs jobs in one process, one after the other, on one engine."""
    engine = ["engine=pool", "engine.inner.cpu_kv_cache_gib=1", *pool] if pool else ["engine.cpu_kv_cache_gib=1"]
    arguments: list[str] = []
    for job in jobs:
        arguments += [*(["--then"] if arguments else []), *job, *engine, f"results_dir={results}", "progress=quiet"]
    begin = time.perf_counter()
    subprocess.run([sys.executable, "run_eval.py", *arguments], check=True, stdout=subprocess.DEVNULL)
    print(f"{results.name}: {len(jobs)} jobs, {time.perf_counter() - begin:.0f} s", flush=True)


def _differ(one: Path, two: Path) -> None:
    """Prints which files differ in a byte; those that say what a run was made with are left out."""
    own = ("manifest.json", "config.yaml", "run.log")
    files = sorted(
        file.relative_to(one)
        for file in one.rglob("*")
        if file.is_file() and file.name not in own and not any(part.startswith(".") for part in file.parts)
    )
    wrong = [
        name for name in files if not (two / name).is_file() or (one / name).read_bytes() != (two / name).read_bytes()
    ]
    print(f"{two.name}: {len(files)} files, {len(wrong)} differ: {[str(name) for name in wrong]}", flush=True)
    pools = [json.loads(file.read_text(encoding="utf-8"))["engine"]["pool"] for file in two.rglob("manifest.json")]
    pool = max(pools, key=lambda pool: sum(worker["answered"] for worker in pool["workers"]))  # the last run's
    print(f"  {pool['cluster']}, ray {pool['ray']}: {[(w['node_id'], w['answered']) for w in pool['workers']]}")
