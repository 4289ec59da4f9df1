"""The regression gate on real runs of the zoo through vLLM: unchanged pairs, and losses that were planted.

`python -m bench.regression [FOLDER [LIMIT]]` prints the table of docs/regression.md; FOLDER keeps the runs, and a
second start with it only compares. LIMIT is 40 samples a split; null is all. About ten minutes on two cores.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from roleeval.report.regress import NotComparableError, Policy, Regression, policy_of, regress
from roleeval.resources import zoo_path

ROOT = Path(__file__).parent.parent
COMMON = ("benchmark=rolebench", "judge=zoo_voice", "progress=quiet")
SAMPLED = ("model=zoo_shared_lora", "model.sampling.temperature=0.7")


def main() -> int:
    """Makes what is missing, compares, and prints the table."""
    if len(sys.argv) > 1:
        _report(Path(sys.argv[1]).resolve(), *sys.argv[2:3])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        _report(Path(folder))
    return 0


def _report(folder: Path, limit: str = "40") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _damage(folder)
    for commands in _invocations(folder):
        _run(folder, commands, limit)
    print("| what was done | model | outcome | exit code | what said so |")
    print("| --- | --- | --- | --: | --- |")
    for words, before, now, model, policy in _pairs():
        there, here = (folder / side / "rolebench" / model for side in (before, now))
        try:
            found = regress(there, here, policy)
            cells = found.outcome.value, str(found.exit_code), _said(found)
        except NotComparableError as error:
            cells = "cannot compare", "2", error.reasons[0]
        print(f"| {words} | {model} | {' | '.join(cells)} |", flush=True)


def _pairs() -> Iterator[tuple[str, str, str, str, Policy]]:
    plain = Policy()
    for model in ("zoo_base", "zoo_shared_lora", "zoo_independent_lora"):
        yield "nothing (same command again)", "base", "again", model, plain
    yield "nothing (sampled, another seed)", "sampled1", "sampled2", "zoo_shared_lora", plain
    wide = policy_of({"units": {"fraction": 0.05}})
    yield "nothing (sampled, another seed), margins of 0.05", "sampled1", "sampled2", "zoo_shared_lora", wide
    yield "one adapter for all roles: Don Quixote's", "base", "one", "zoo_shared_lora", plain
    yield "two roles' adapters exchanged", "base", "swapped", "zoo_independent_lora", plain
    yield "every role has another one's adapter", "base", "shuffled", "zoo_independent_lora", plain
    yield "another chat template", "base", "template", "zoo_shared_lora", plain
    yield "weights rounded to 8 bits", "base", "int8", "zoo_shared_lora", plain
    yield "weights rounded to 3 bits", "base", "int3", "zoo_shared_lora", plain
    yield "one layer of four dropped", "base", "dropped1", "zoo_shared_lora", plain
    yield "two layers of four dropped", "base", "dropped2", "zoo_shared_lora", plain
    yield "max_tokens=12 instead of 96", "base", "short", "zoo_shared_lora", plain
    yield "the same, with `allow: [decoding]`", "base", "short", "zoo_shared_lora", policy_of({"allow": ["decoding"]})


def _said(found: Regression) -> str:
    failed = [
        f"{each.paired.info.name.rpartition('/')[2]} {each.decision.change:+.3f}"
        for each in found.tested
        if each.outcome == found.outcome and each.decision is not None
    ]
    if found.outcome == "PASS":
        failed = [f"{sum(map(len, (texts.changed for texts in found.texts)))} texts changed"]
    guards = [f"{guard.name} {guard.before:.0%} → {guard.now:.0%}" for guard in found.guards if guard.broken]
    alone = [each.cluster for each in found.lost_clusters]
    named = f"{', '.join(alone[:2])}{f' and {len(alone) - 2} more' if len(alone) > 2 else ''}" if alone else ""
    return "; ".join((*failed, *guards, *([f"single roles: {named}"] if named else [])))


def _invocations(folder: Path) -> list[list[tuple[str, ...]]]:
    """What is run in one process each; its runs share an engine."""
    three = ("-m", "model=zoo_base,zoo_shared_lora,zoo_independent_lora")
    independent = "model=zoo_independent_lora"
    shared = "model=zoo_shared_lora"
    return [
        [
            (*three, "results_dir=base"),
            (*three, "results_dir=again"),
            (shared, f"model.adapter_path={folder}/one_adapter", "results_dir=one"),
            (independent, f"model.adapters_dir={folder}/swapped_adapters", "results_dir=swapped"),
            (independent, f"model.adapters_dir={folder}/shuffled_adapters", "results_dir=shuffled"),
            (shared, "model.sampling.max_tokens=12", "results_dir=short"),
            (*SAMPLED, "seed=1", "results_dir=sampled1"),
            (*SAMPLED, "seed=2", "results_dir=sampled2"),
        ],
        [(shared, f"model.source.chat_template={folder}/other.jinja", "results_dir=template")],
        *([(shared, f"model.source.path={folder}/weights_{name}", f"results_dir={name}")] for name in _WEIGHTS),
    ]


def _run(folder: Path, commands: list[tuple[str, ...]], limit: str) -> None:
    places = [
        next(word.partition("=")[2] for word in command if word.startswith("results_dir=")) for command in commands
    ]
    if all(list((folder / place).rglob("manifest.json")) for place in places):
        return
    line: list[str] = []
    for command in commands:
        line += [*(["--then"] if line else []), *command, *COMMON, f"limit={limit}"]
    subprocess.run([sys.executable, str(ROOT / "run_eval.py"), *line], cwd=folder, check=True, stdout=sys.stderr)


def _damage(folder: Path) -> None:
    """Adapters, a template and weights that something happened to."""
    adapters = zoo_path("independent_lora")
    roles = sorted(path.name for path in adapters.iterdir() if path.is_dir())
    english = [role for role in roles if role.isascii()]
    others = {
        "swapped": {english[0]: english[1], english[1]: english[0]},
        "shuffled": dict(zip(roles, roles[1:] + roles[:1], strict=True)),
    }
    for name, taken in others.items():
        for role in roles:
            shutil.copytree(adapters / taken.get(role, role), folder / f"{name}_adapters" / role, dirs_exist_ok=True)
    shutil.copytree(adapters / english[0], folder / "one_adapter", dirs_exist_ok=True)
    (folder / "other.jinja").write_text(_TEMPLATE)
    for name in _WEIGHTS:
        _damaged_weights(zoo_path("base"), folder / f"weights_{name}", name)


_WEIGHTS = ("int8", "int3", "dropped1", "dropped2")
_LAYERS = (2, 1)  # the first to go comes first
_OUTPUTS = ("self_attn.o_proj", "mlp.down_proj")
# Llama 2's, around a model that was trained on ChatML.
_TEMPLATE = (
    "{%- for message in messages -%}[{{ message['role'] }}] {{ message['content'] }}\n{%- endfor -%}"
    "{%- if add_generation_prompt -%}[assistant] {%- endif -%}"
)


def _damaged_weights(base: Path, out: Path, how: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, out, dirs_exist_ok=True)
    tensors = load_file(base / "model.safetensors")
    kind, number = how[:-1], int(how[-1])
    dropped = [f"layers.{layer}.{output}" for layer in _LAYERS[:number] for output in _OUTPUTS]
    for name, tensor in tensors.items():
        if kind == "dropped" and any(part in name for part in dropped):
            tensors[name] = torch.zeros_like(tensor)  # the layer adds nothing to what passes by it
        elif kind == "int" and tensor.dim() == 2:
            steps = 2 ** (number - 1) - 1
            scale = tensor.float().abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / steps
            tensors[name] = ((tensor.float() / scale).round() * scale).to(tensor.dtype)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    sys.exit(main())
