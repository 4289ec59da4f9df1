"""Checks that each role has its own adapter: scores every role's reference answers under every role's adapter.

A HyCoRA checkpoint does not say which embedding is which role, and folders of adapters can be misnamed. A role whose
references another adapter finds likelier is reported, and so is one that another adapter finds as likely: the two are
the same, or do nothing. Source: spec/hycora.md, section 2.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.benchmarks.rolebench.benchmark import RoleBench
from roleeval.benchmarks.rolebench.data import SPLITS
from roleeval.engines import Engine
from roleeval.errors import DataError
from roleeval.models import PersonaModel, nfc
from roleeval.resources import resource
from roleeval.types import AdapterRef, Likelihood, LikelihoodRequest, Message, Sample

# Answers to a role's own questions tell roles apart best.
_SPLITS = ("eng_specific", "zh_specific", "rolegen_specific", "eng_general", "zh_general", "rolegen_general")

# In nats per token: rounding in float32 is below it, and no trained adapter's lead is.
_NO_LEAD = 1e-5


@dataclass(frozen=True, slots=True)
class RoleCheck:
    """One role.

    Attributes:
        role: its name.
        references: answers that were scored.
        nll: negative log-likelihood per token of these answers, in nats, by the role whose adapter scored them.
    """

    role: str
    references: int
    nll: Mapping[str, float]

    @property
    def best(self) -> str:
        """The role whose adapter finds the answers likeliest; the role itself where it is as good as any."""
        lowest = min(self.nll.values())
        return self.role if self.nll[self.role] == lowest else min(self.nll, key=lambda role: self.nll[role])

    @property
    def margin(self) -> float | None:
        """How much worse the best other adapter is than the role's own, in nats per token; None without another."""
        others = [value for role, value in self.nll.items() if role != self.role]
        return min(others) - self.nll[self.role] if others else None

    @property
    def tied(self) -> tuple[str, ...]:
        """Other roles whose adapters find the answers exactly as likely as the role's own adapter."""
        own = self.nll[self.role]
        return tuple(role for role, value in self.nll.items() if role != self.role and abs(value - own) <= _NO_LEAD)

    def to_json(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "best": self.best,
            "margin": self.margin,
            "tied_with": list(self.tied),
            "references": self.references,
            "nll_per_token": dict(self.nll),
        }


@dataclass(frozen=True, slots=True)
class AdaptersCheck:
    """All roles, in the model's order.

    Attributes:
        roles: those that the data has answers of.
        unknown: roles of the model without an answer in the data.
    """

    roles: tuple[RoleCheck, ...]
    unknown: tuple[str, ...]

    @property
    def mismatched(self) -> tuple[RoleCheck, ...]:
        return tuple(role for role in self.roles if role.best not in (role.role, *role.tied))

    @property
    def tied(self) -> tuple[RoleCheck, ...]:
        """Roles whose adapter cannot be told from another role's."""
        return tuple(role for role in self.roles if role.tied)

    def to_json(self) -> dict[str, Any]:
        return {
            "roles": [role.to_json() for role in self.roles],
            "mismatched": [role.role for role in self.mismatched],
            "tied": [role.role for role in self.tied],
            "without_references": list(self.unknown),
        }


async def check_adapters(
    model: PersonaModel,
    engine: Engine,
    data: Path | None,
    *,
    limit: int,
    scored: Callable[[int, int], None] = lambda done, total: None,
) -> AdaptersCheck:
    """Scores references under every adapter.

    Args:
        model: a family with an adapter for each role, each named by its role.
        engine: one that can score texts, and that can serve the model's adapters.
        data: a folder in RoleBench's layout; None is the embedded set.
        limit: references of each role at most.
        scored: is told how many texts of how many have been scored, after each.

    Raises:
        DataError: the data has no answer of any of the model's roles.
        EngineError, AdapterError: a text could not be scored.
    """
    adapters = {adapter.name: adapter for adapter in model.adapters()}
    samples = _samples(data, adapters, limit)
    if not samples:
        raise DataError(f"{data or 'the embedded data'} has no answers of the roles {', '.join(adapters)}")
    await engine.start()
    known = [role for role in adapters if role in samples]
    total, done = len(adapters) * sum(len(samples[role]) for role in known), itertools.count(1)

    def tell() -> None:
        scored(next(done), total)

    found = await asyncio.gather(*(_role(model, engine, role, adapters, samples[role], tell) for role in known))
    return AdaptersCheck(tuple(found), tuple(role for role in adapters if role not in samples))


async def _role(
    model: PersonaModel,
    engine: Engine,
    role: str,
    adapters: Mapping[str, AdapterRef],
    samples: Sequence[Sample],
    tell: Callable[[], None],
) -> RoleCheck:
    async def likelihood(sample: Sample, adapter: AdapterRef) -> Likelihood:
        found = await engine.likelihood(_request(model, sample, adapter))
        tell()
        return found

    async def nll(adapter: AdapterRef) -> float:
        found = await asyncio.gather(*(likelihood(sample, adapter) for sample in samples))
        return -sum(likelihood.logprob for likelihood in found) / sum(likelihood.tokens for likelihood in found)

    values = await asyncio.gather(*(nll(adapter) for adapter in adapters.values()))
    return RoleCheck(role, len(samples), dict(zip(adapters, values, strict=True)))


def _request(model: PersonaModel, sample: Sample, adapter: AdapterRef) -> LikelihoodRequest:
    """The question in the family's format, followed by the sample's first reference."""
    system, history = RoleBench().system_prompt(sample.persona), (Message("user", sample.question),)
    prompt = model.prompt(system, history)
    return LikelihoodRequest(
        next(iter(sample.references.values()))[0],
        messages=model.messages(system, history) if prompt is None else None,
        prompt=prompt,
        prompt_special_tokens=model.prompt_special_tokens,
        adapter=adapter,
    )


def _samples(data: Path | None, roles: Mapping[str, object], limit: int) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    called = {nfc(role): role for role in roles}
    for sample in _all_samples(data):
        role = called.get(nfc(sample.persona.role))
        if role is not None and len(found.get(role, ())) < limit and next(iter(sample.references.values()))[0].strip():
            found.setdefault(role, []).append(sample)
    return found


def _all_samples(data: Path | None) -> Iterator[Sample]:
    folder = data if data is not None else resource("tasks/rolebench/embedded")
    splits: Any = tuple(split for split in _SPLITS if (folder / SPLITS[split].test).is_file())
    if not splits:
        raise DataError(f"{folder}: no RoleBench split in it; expected for example {SPLITS['eng_specific'].test}")
    return RoleBench(data_dir=None if data is None else str(data), splits=splits).samples(limit=None)
