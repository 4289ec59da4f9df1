"""Simulated pairs of runs with a known truth: how often the regression gate fails, passes, or cannot tell.

    python -m tests.stats.simulate_gate [TABLE ...] [--pairs N]     prints the tables of docs/regression.md

Two runs of one model share roles and items. Each run adds noise of its own: of a role (which one run happens to play
well), of an answer, of a judge's reading of it. Ten metrics look at the same answers and are correlated.
"""

import argparse
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import beta

from roleeval.stats.gate import ALPHA, Compared, GateOutcome, checked, outcome_of
from roleeval.stats.gate_sequential import examined, passes, random_batches, spent_levels, up_to
from roleeval.stats.gate_tests import loss_p_values

PAIRS = 2000
# Roles and the items of each: some 400 answers, as a check before a merge has; RoleBench's 95 roles have more.
SIZES = {6: 60, 10: 40, 25: 16, 95: 10}
# Shares of the variance of an answer's latent quality; the last two are drawn again in each run, as is the judge's.
ROLE, ITEM, ROLE_IN_RUN, ANSWER, JUDGE = 0.15, 0.25, 0.02, 0.38, 0.20
COMMON = 0.4  # the share of each of these that all metrics have in common, except of the judge's


@dataclass(frozen=True)
class Kind:
    """A metric: what it makes of a latent quality (standard normal, more is better), and its declaration."""

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    margin: float
    bounds: tuple[float | None, float | None]
    ruined: float  # the value of an answer that is of no use
    higher_is_better: bool = True


KINDS = (
    Kind("points of 100, a", lambda z: np.clip(np.round(65 + 15 * z), 0, 100), 3.0, (0, 100), 0.0),
    Kind("points of 100, b", lambda z: np.clip(5 * np.round(14 + 4 * z), 0, 100), 4.0, (0, 100), 0.0),
    Kind("points of 10", lambda z: np.clip(np.round(6.5 + 1.5 * z), 1, 10), 0.3, (1, 10), 1.0),
    Kind("points of 10, most 9 or 10", lambda z: np.clip(np.round(9.5 + 1.2 * z), 1, 10), 0.2, (1, 10), 1.0),
    Kind("like ROUGE-L, mean .2", lambda z: 1 / (1 + np.exp(1.5 - 0.6 * z)), 0.015, (0, 1), 0.0),
    Kind("like BLEU, mean .05", lambda z: 1 / (1 + np.exp(3.5 - 1.0 * z)), 0.01, (0, 1), 0.0),
    Kind("rate of 0.5 %", lambda z: (z < -2.576).astype(float), 0.02, (0, 1), 1.0, False),
    Kind("rate of 5 %", lambda z: (z < -1.645).astype(float), 0.04, (0, 1), 1.0, False),
    Kind("flaws, mean 1", lambda z: np.floor(np.exp(0.1 - 0.9 * z)), 0.3, (0, None), 10.0, False),
    Kind("words, skewed", lambda z: np.round(np.exp(4 + 0.6 * z)), 6.0, (0, None), 0.0),
)


def latent(rng: np.random.Generator, roles: int, items: int) -> np.ndarray:
    """[2 runs, metrics, roles, items] of quality, standard normal."""
    m = len(KINDS)

    def draw(share: float, *shape: int, common: float = COMMON) -> np.ndarray:
        runs, k, n = shape
        of_all, own = rng.standard_normal((runs, 1, k, n)), rng.standard_normal((runs, m, k, n))
        return np.sqrt(share) * (np.sqrt(common) * of_all + np.sqrt(1 - common) * own)

    shared = draw(ROLE, 1, roles, 1) + draw(ITEM, 1, roles, items)
    of_run = draw(ROLE_IN_RUN, 2, roles, 1) + draw(ANSWER, 2, roles, items) + draw(JUDGE, 2, roles, items, common=0.0)
    return shared + of_run


@lru_cache
def shift(kind: int, margins: float) -> float:
    """By how much quality falls, evenly, for a mean loss of so many margins."""
    of = KINDS[kind]
    z = np.random.default_rng(1).standard_normal(1_000_000)
    start = of.value(z).mean()
    low, high = 0.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if abs(of.value(z - middle).mean() - start) < margins * of.margin else (low, middle)
    return high


@lru_cache
def ruined_share(kind: int, margins: float) -> float:
    """The share of ruined answers that makes so many margins."""
    of = KINDS[kind]
    values = of.value(np.random.default_rng(1).standard_normal(1_000_000))
    return margins * of.margin / abs(values.mean() - of.ruined)


Loss = Callable[[np.random.Generator, np.ndarray, int, float], np.ndarray]


def evenly(rng: np.random.Generator, z: np.ndarray, kind: int, margins: float) -> np.ndarray:
    """Every answer is a little worse. z: [roles, items] -> values."""
    return KINDS[kind].value(z - shift(kind, margins))


def _ruin(rng: np.random.Generator, z: np.ndarray, kind: int, share: np.ndarray | float) -> np.ndarray:
    return np.where(rng.random(z.shape) < share, KINDS[kind].ruined, KINDS[kind].value(z))


def rare_answers(rng: np.random.Generator, z: np.ndarray, kind: int, margins: float) -> np.ndarray:
    """A few answers are of no use, anywhere; the others are as before."""
    return _ruin(rng, z, kind, ruined_share(kind, margins))


def uneven_roles(rng: np.random.Generator, z: np.ndarray, kind: int, margins: float) -> np.ndarray:
    """As `rare_answers`, each role having a share of its own: half of the roles three times that of the others."""
    shares = np.where(np.arange(len(z)) % 2, 1.5, 0.5)
    return _ruin(rng, z, kind, (ruined_share(kind, margins) * shares / shares.mean())[:, None])


def one_role_in_ten(rng: np.random.Generator, z: np.ndarray, kind: int, margins: float) -> np.ndarray:
    """As `rare_answers`, all of them in one of ten of the roles that are compared."""
    hit = np.zeros(len(z))
    hit[rng.choice(len(z), size=-(-len(z) // 10), replace=False)] = 1
    return _ruin(rng, z, kind, np.minimum(1, ruined_share(kind, margins) * hit / hit.mean())[:, None])


def unseen_roles(rng: np.random.Generator, z: np.ndarray, kind: int, margins: float) -> np.ndarray:
    """One role in ten of all roles there are; those compared may hold more of them or none."""
    hit = rng.random(len(z)) < 0.1
    return _ruin(rng, z, kind, np.minimum(1, ruined_share(kind, margins) * hit / 0.1)[:, None])


LOSSES: dict[str, Loss] = {
    "every answer a little": evenly,
    "rare answers ruined": rare_answers,
    "the same, half of the roles more": uneven_roles,
    "the same, one role in ten": one_role_in_ten,
    "the same, one role in ten of a population": unseen_roles,
}


def pair(
    rng: np.random.Generator, roles: int, *, lost: Sequence[int] = (), margins: float = 0.0, loss: Loss = evenly
) -> list[Compared]:
    """All metrics of two runs; `lost` are the metrics that lose so many margins."""
    items = SIZES[roles]
    before, after = latent(rng, roles, items)
    names = [str(role) for role in np.repeat(np.arange(roles), items)]
    found = []
    for m, kind in enumerate(KINDS):
        current = loss(rng, after[m], m, margins) if m in lost else kind.value(after[m])
        values = (kind.value(before[m]).ravel(), current.ravel())
        found.append(Compared(kind.name, *values, names, kind.margin, kind.higher_is_better, kind.bounds))
    return found


def outcomes(compared: Sequence[Compared]) -> list[GateOutcome]:
    """As `decide`, without what does not change the outcome: intervals, plans, tests of losses below the margin."""
    parts = checked(compared, alpha=ALPHA)
    large = any(-each.gain > each.margin for each in parts)
    loss = loss_p_values(parts)[0] if large else [1.0] * len(parts)
    return [
        outcome_of(each, loss_fails=p <= ALPHA, margin_passes=passes(each, ALPHA))
        for each, p in zip(parts, loss, strict=True)
    ]


def repeat(roles: int, pairs: int, **planted: object) -> np.ndarray:
    """[pairs, metrics] of outcomes."""
    rng = np.random.default_rng(seed_of(roles, planted))
    return np.array([outcomes(pair(rng, roles, **planted)) for _ in range(pairs)])  # type: ignore[arg-type]


def passed(roles: int, pairs: int, *, loss: Loss) -> np.ndarray:
    """[pairs, metrics]: whether each passes; all have lost their margin."""
    rng = np.random.default_rng(seed_of(roles, {"loss": loss}))
    planted = {"lost": range(len(KINDS)), "margins": 1.0, "loss": loss}
    parts = (checked(pair(rng, roles, **planted), alpha=ALPHA) for _ in range(pairs))  # type: ignore[arg-type]
    return np.array([[passes(each, ALPHA) for each in those] for those in parts])


def seed_of(roles: int, planted: dict[str, object]) -> int:
    named = {key: getattr(value, "__name__", value) for key, value in planted.items()}
    return zlib.crc32(repr((roles, sorted(map(str, named.items())))).encode())


def looked(roles: int, pairs: int, *, batches: int, **planted: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """With early stopping: [pairs, metrics] of outcomes, [pairs] of the gate's outcome, [pairs] of shares used."""
    rng = np.random.default_rng(seed_of(roles, {"batches": batches, **planted}))
    found, whole, used = [], [], []
    for number in range(pairs):
        compared = pair(rng, roles, **planted)  # type: ignore[arg-type]
        plan = random_batches(map(str, range(roles)), batches=batches, seed=number)
        trial = examined(compared, batches=plan, alpha=ALPHA)
        found.append([trial.looks[each.name].outcome for each in compared])
        whole.append(trial.outcome)
        used.append(trial.share)
    return np.array(found), np.array(whole), np.array(used)


def passed_early(roles: int, pairs: int, *, batches: int, loss: Loss) -> np.ndarray:
    """[pairs, metrics]: whether each passes after any batch, whatever fails by then; all have lost their margin."""
    rng = np.random.default_rng(seed_of(roles, {"batches": batches, "loss": loss}))
    found = np.zeros((pairs, len(KINDS)), dtype=bool)
    for number in range(pairs):
        compared = pair(rng, roles, lost=range(len(KINDS)), margins=1.0, loss=loss)
        plan = random_batches(map(str, range(roles)), batches=batches, seed=number)
        ends = np.cumsum([len(batch) for batch in plan])
        for end, level in zip(ends, spent_levels(tuple(ends / roles), ALPHA), strict=True):
            so_far = up_to(compared, _first(plan, end))
            found[number] |= [passes(each, level) for each in checked(so_far, alpha=ALPHA)]
    return found


def _first(plan: Sequence[Sequence[str]], end: int) -> set[str]:
    return set([name for batch in plan for name in batch][:end])


def share(hits: np.ndarray) -> str:
    """A share with the ends of its 95 % interval (Clopper and Pearson)."""
    n, x = len(hits), int(hits.sum())
    low, high = beta.ppf(0.025, x, n - x + 1) if x else 0.0, beta.ppf(0.975, x + 1, n - x) if x < n else 1.0
    return f"{x / n:.1%} ({low:.1%} to {high:.1%})".replace("%", " %")


def line(name: str, cells: Sequence[str]) -> None:
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def head(name: str) -> None:
    line(name, [f"{roles} roles" for roles in SIZES])
    line("---", ["---"] * len(SIZES))


def percent(hits: np.ndarray) -> str:
    return f"{hits.mean():.1%}".replace("%", " %")


def print_unchanged(pairs: int) -> None:
    print(f"\nUnchanged: {pairs} pairs")
    found = {roles: repeat(roles, pairs) for roles in SIZES}
    head("of unchanged runs")
    line("any metric fails", [share((f == "FAIL").any(axis=1)) for f in found.values()])
    line("all metrics pass", [percent((f == "PASS").all(axis=1)) for f in found.values()])
    for m, kind in enumerate(KINDS):
        line(f"{kind.name} passes", [percent(f[:, m] == "PASS") for f in found.values()])


def print_margin(pairs: int) -> None:
    for name, loss in LOSSES.items():
        print(f"\nPasses at the margin, {name}: {pairs} pairs")
        found = {roles: passed(roles, pairs, loss=loss) for roles in SIZES}
        head("metric")
        for m, kind in enumerate(KINDS):
            cells = [percent(f[:, m]) for f in found.values()]
            line(kind.name, cells if possible(m, loss) else ["not possible"] * len(SIZES))


def print_power(pairs: int) -> None:
    print(f"\nOne metric loses twice its margin, every answer a little: fails / still passes; {pairs // 4} pairs each")
    head("metric")
    for m, kind in enumerate(KINDS):
        found = [repeat(roles, pairs // 4, lost=[m], margins=2.0) for roles in SIZES]
        line(kind.name, [f"{percent(f[:, m] == 'FAIL')} / {percent(f[:, m] == 'PASS')}" for f in found])
    found = [repeat(roles, pairs // 4, lost=range(len(KINDS)), margins=2.0) for roles in SIZES]
    line("all ten: any fails", [percent((f == "FAIL").any(axis=1)) for f in found])


def print_early(pairs: int) -> None:
    print(f"\nEarly stopping, 5 batches: {pairs} unchanged pairs, {pairs // 8} of each loss")
    print_looked({roles: looked(roles, pairs, batches=5) for roles in SIZES}, "unchanged")
    for lost in (2.0, 4.0):
        for name, metrics in (("all lose", range(len(KINDS))), ("points of 100, a, loses", [0])):
            found = {r: looked(r, pairs // 8, batches=5, lost=metrics, margins=lost) for r in SIZES}
            print_looked(found, f"{name} {lost:g} margins")


def print_each_role(pairs: int) -> None:
    few = [roles for roles in SIZES if roles < 95]
    print(f"\nEarly stopping after each role: {pairs // 4} unchanged pairs, {pairs // 20} of each loss")
    print_looked({roles: looked(roles, pairs // 4, batches=roles) for roles in few}, "unchanged")
    everything = range(len(KINDS))
    found = {r: looked(r, pairs // 20, batches=r, lost=everything, margins=2.0) for r in few}
    print_looked(found, "all lose 2 margins")


def print_looked(found: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]], name: str) -> None:
    line(name, [f"{roles} roles" for roles in found])
    line("gate fails", [share(whole == "FAIL") for _, whole, _ in found.values()])
    line("gate passes", [percent(whole == "PASS") for _, whole, _ in found.values()])
    line("calls saved", [percent(1 - used) for _, _, used in found.values()])


def print_early_margin(pairs: int) -> None:
    for name in ("every answer a little", "the same, one role in ten"):
        print(f"\nPasses at the margin after any of 5 batches, {name}: {pairs} pairs")
        head("metric")
        rates = {roles: passed_early(roles, pairs, batches=5, loss=LOSSES[name]) for roles in SIZES}
        for m, kind in enumerate(KINDS):
            cells = [percent(f[:, m]) for f in rates.values()]
            line(kind.name, cells if possible(m, LOSSES[name]) else ["not possible"] * len(SIZES))


def possible(kind: int, loss: Loss) -> bool:
    """Whether so few roles can lose that much."""
    return loss not in (one_role_in_ten, unseen_roles) or ruined_share(kind, 1.0) <= 0.1


TABLES = {
    "unchanged": print_unchanged,
    "margin": print_margin,
    "power": print_power,
    "early": print_early,
    "early_margin": print_early_margin,
    "each_role": print_each_role,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    given = parser.parse_args()
    for table in given.tables or TABLES:
        TABLES[table](given.pairs)
