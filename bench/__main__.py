"""Runs benchmarks one after the other, each in a process of its own: `python -m bench [startup overhead ...]`."""

import subprocess
import sys

BENCHES = (
    "startup",
    "metrics",
    "overhead",
    "statistics",
    "hycora",
    "vllm_start",
    "engines",
    "adapters",
    "coser",
    "minimax",
    "site",
    "regression",
    "pool",
)
ALONE = ("gpu",)  # by name only: it takes nine minutes and writes docs/gpu.md


def main() -> int:
    """Runs the named benchmarks, or all."""
    wanted = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in wanted if name not in (*BENCHES, *ALONE)]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join((*BENCHES, *ALONE))}", file=sys.stderr)
        return 2
    codes = []
    for name in wanted:
        print(f"\n## {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
