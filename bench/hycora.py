"""Materialising HyCoRA adapters for llama2-7b shapes: roles per second and peak memory.

Random weights, shapes only: no base model is needed. The checkpoint is written first, by another process, so that the
peak is that of materialising alone. `python -m bench.hycora [ROLES]`, by default 2.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTH, INTERMEDIATE, LAYERS = 4096, 11008, 32
ROLES, ROLE_DIM, LAYER_DIM, HIDDEN, HEAD, RANK = 95, 256, 128, 728, 32, 8
LIMIT_MB = 2048
MODULES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH, WIDTH),
    "self_attn.v_proj": (WIDTH, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.up_proj": (WIDTH, INTERMEDIATE),
    "mlp.down_proj": (INTERMEDIATE, WIDTH),
    "mlp.gate_proj": (WIDTH, INTERMEDIATE),
}


def main() -> int:
    """Prints one line; fails when the peak is above 2 GiB."""
    if sys.argv[1:2] == ["checkpoint"]:
        write_checkpoint(Path(sys.argv[2]))
        return 0
    if sys.argv[1:2] == ["materialise"]:
        print(json.dumps(materialise(Path(sys.argv[2]), int(sys.argv[3]))))
        return 0
    roles = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        _child("checkpoint", folder)
        row = json.loads(_child("materialise", folder, str(roles)).splitlines()[-1])
    print(
        f"llama2-7b shapes, rank {RANK}: {row['parameters'] / 1e6:.1f} M parameters ({row['per_role']} per added role);"
        f" {roles} roles in {row['seconds']:.2f} s = {row['rate']:.2f} roles/s, {row['mb']:.0f} MB each on disk;"
        f" peak memory {row['peak_mb']:.0f} MB (of these {row['imports_mb']:.0f} MB imports; limit {LIMIT_MB} MB)"
    )
    return int(row["peak_mb"] > LIMIT_MB)


def write_checkpoint(folder: Path) -> None:
    """A network with random weights in the official layout."""
    import torch
    from safetensors.torch import save_file

    first = "model.layers.0.self_attn.q_proj"
    shapes: dict[str, tuple[int, ...]] = {
        f"{first}.roles_emb.weight": (ROLES, ROLE_DIM),
        f"{first}.layers_emb.weight": (len(MODULES) * LAYERS, LAYER_DIM),
    }
    parts = {
        "fc_input": (HIDDEN, ROLE_DIM + LAYER_DIM),
        "norm_input": (ROLE_DIM + LAYER_DIM,),
        "norm_output": (HIDDEN,),
    }
    for block in range(2):
        parts |= {f"layers.{block}.{name}": (HIDDEN, HIDDEN) for name in ("fc1", "fc2")}
        parts[f"layers.{block}.norm"] = (HIDDEN,)
    for name, shape in parts.items():
        shapes |= {f"{first}.hypernet_encoder.{name}.weight": shape, f"{first}.hypernet_encoder.{name}.bias": shape[:1]}
    for module, (inputs, outputs) in MODULES.items():
        stem = f"model.layers.0.{module}.down_linear"
        shapes |= {f"{stem}.down.weight": (HEAD, HIDDEN), f"{stem}.down.bias": (HEAD,)}
        shapes |= {f"{stem}.up.weight": (inputs * RANK, HEAD), f"{stem}.up.bias": (inputs * RANK,)}
        shapes |= {f"model.layers.{layer}.{module}.lora_B": (RANK, outputs) for layer in range(LAYERS)}
    torch.manual_seed(0)
    save_file({name: torch.randn(shape) * 0.02 for name, shape in shapes.items()}, folder / "model.safetensors")
    config = {"alpha": 32, "roles_num": ROLES, "layernorm_input": True, "layernorm_output": True}
    (folder / "config.json").write_text(json.dumps(config))


def materialise(folder: Path, roles: int) -> dict[str, float]:
    """Makes the adapters of the first roles, each removed once it is written."""
    import shutil

    import safetensors  # noqa: F401
    import torch  # noqa: F401

    from roleeval.models.hycora import cached_adapter, count_parameters, open_checkpoint

    imports = peak_mb()
    begin = time.perf_counter()
    opened = open_checkpoint(folder)
    size = 0.0
    for role in range(roles):
        made = Path(cached_adapter(opened, role, f"role {role}", folder / "cache").path)
        size = sum(file.stat().st_size for file in made.iterdir()) / 1e6
        shutil.rmtree(made)
    seconds = time.perf_counter() - begin
    counts = count_parameters(opened.shape)
    return {
        "seconds": seconds,
        "rate": roles / seconds,
        "mb": size,
        "peak_mb": peak_mb(),
        "imports_mb": imports,
        "parameters": counts.trainable,
        "per_role": counts.per_added_role,
    }


def peak_mb() -> float:
    """Peak resident memory of this process in MB, pages of mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "bench.hycora", *arguments], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


if __name__ == "__main__":
    sys.exit(main())
