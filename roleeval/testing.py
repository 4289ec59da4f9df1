"""For test suites: a test that fails where a model became worse.

from roleeval.testing import assert_no_regression

def test_the_new_adapter_is_no_worse():
    assert_no_regression("results/", baseline="tests/baseline.json.gz", policy={"margins": {"in_voice": 0.05}})
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roleeval.report.regress import Regression

_WIDTH = 100


def assert_no_regression(
    results: str | Path, *, baseline: str | Path, policy: str | Path | Mapping[str, Any] | None = None
) -> "Regression":
    """Compares results with a baseline, as `roleeval regress` does.

    Args:
        results: a result folder, or one above some.
        baseline: a file of `roleeval regress --save`, or a result folder.
        policy: a YAML file or its content; None is the defaults.

    Returns:
        What the gate found.

    Raises:
        AssertionError: FAIL; or INCONCLUSIVE, unless the policy says `inconclusive: passes`. The message is what
            `roleeval regress` prints.
        ResultError: the two cannot be compared, or one of them cannot be read.
        ConfigError: the policy is not possible.
    """
    __tracebackhide__ = True  # pytest shows the test's own line
    from roleeval.report.regress import policy_of, read_policy, regress

    chosen = policy_of(policy or {}) if policy is None or isinstance(policy, Mapping) else read_policy(Path(policy))
    found = regress(Path(baseline), Path(results), chosen)
    if found.blocks:
        raise AssertionError(f"roleeval regress: {_text(found)}")
    return found


def _text(found: "Regression") -> str:
    import io

    from rich.console import Console

    from roleeval.report.regress.render.terminal import print_regression

    console = Console(file=io.StringIO(), width=_WIDTH, highlight=False, color_system=None)
    print_regression(found, console)
    return str(console.file.getvalue()) if isinstance(console.file, io.StringIO) else ""
