"""How what was built is used: a model file for each adapter, and the command line that compares them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from roleeval.engines import ModelSource

# Greedy and short, so that all families are asked alike and a run is repeatable.
_PLAIN = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 96}
_THINKING = {**_PLAIN, "max_tokens": 192}
_FAMILY = {"stagehand": "shared_lora", "user": "shared_lora"}
_HELPERS = ("stagehand", "user")


def write_models(out: Path, base: str, source: ModelSource, built: Iterable[str]) -> None:
    """Writes conf/model/built_<name>.yaml for the base and every adapter (all of them JSON, which is YAML).

    Args:
        out: the folder of the adapters.
        base: as the user names it.
        source: how its template takes chats.
        built: names of adapters.
    """
    folder = out / "conf" / "model"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("base", *built):
        family = _FAMILY.get(name, name)
        content = {"defaults": [family], "name": name, "source": _source(base, source), **_places(out.resolve(), name)}
        content["sampling"] = _THINKING if family in ("her", "rar") else _PLAIN
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (folder / f"built_{name}.yaml").write_text(text + "\n", encoding="utf-8")


def command(out: Path, built: Iterable[str]) -> str:
    """The sweep that compares the base with its adapters."""
    names = ",".join(f"built_{name}" for name in ("base", *(name for name in built if name not in _HELPERS)))
    return f"python run_eval.py --config-dir {out}/conf -m model={names} benchmark=rolebench"


def _source(base: str, source: ModelSource) -> dict[str, Any]:
    path = base if base.startswith("zoo:") or not Path(base).is_dir() else str(Path(base).resolve())
    found: dict[str, Any] = {"path": path}
    for name in ("revision", "template_date"):
        if getattr(source, name):
            found[name] = getattr(source, name)
    if source.chat_template:
        found["chat_template"] = str(Path(source.chat_template).resolve())
    return found | {name: True for name in ("fold_system", "merge_neighbours") if getattr(source, name)}


def _places(out: Path, name: str) -> dict[str, str]:
    if name == "base":
        return {}
    if name == "independent_lora":
        return {"adapters_dir": str(out / name)}
    if name == "hycora":
        return {"checkpoint": str(out / name), "roles": str(out / name / "roles.json")}
    return {"adapter_path": str(out / name)}
