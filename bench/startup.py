"""How long the command lines take to answer --help, and what a run's start consists of.

Best of five, since other work on the machine only ever adds.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "python run_eval.py --help": [sys.executable, str(ROOT / "run_eval.py"), "--help"],
    "python -m roleeval --help": [sys.executable, "-m", "roleeval", "--help"],
    "lm-eval --help (rival)": [str(Path(sys.executable).with_name("lm-eval")), "--help"],
}


def main() -> None:
    print(f"{'command':<30}{'seconds':>9}")
    for name, command in COMMANDS.items():
        print(f"{name:<30}{best(command):>9.2f}")


def best(command: list[str], times: int = 5) -> float:
    """The shortest of several runs, in seconds."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


if __name__ == "__main__":
    main()
