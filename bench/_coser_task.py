"""What all contestants of `bench.coser` play."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from random import Random
from statistics import fmean
from typing import Any

from roleeval.benchmarks import Actor
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.rules import Rules
from roleeval.engines import ModelSource
from roleeval.engines.chat import load_tokenizer
from roleeval.models import Base
from roleeval.types import Completion, Message, Request, Sample, Sampling

# CoSER's own limit of new tokens. No top_p: vLLM sorts the vocabulary for it on the CPU.
SAMPLING = Sampling(temperature=0.9, max_tokens=512)
NAME_TOKENS = 8  # of a next speaker, where weights are random
MAX_MODEL_LEN = 8192


@dataclass(frozen=True)
class Task:
    """What is played, for every contestant.

    Attributes:
        base: folder of the model.
        dummy: whether its weights are random.
        data: a file in CoSER's layout.
        scenes: how many of it are played.
        rounds: of each.
        in_flight: scenes under way at once.
    """

    base: str
    dummy: bool
    data: str
    scenes: int
    rounds: int
    in_flight: int

    @property
    def extra(self) -> dict[str, Any]:
        """Arguments of vLLM that depend on the model."""
        return {"load_format": "dummy"} if self.dummy else {}

    @cached_property
    def benchmark(self) -> Coser:
        return Coser(data_file=self.data, protocol=Rules(rounds=self.rounds))

    @cached_property
    def samples(self) -> list[Sample]:
        return list(islice(self.benchmark.samples(limit=None), self.scenes))

    @cached_property
    def mean_length(self) -> float:
        """Tokens of a reference reply."""
        tokenizer = load_tokenizer(ModelSource(self.base))
        return fmean(len(tokenizer.encode(line.message)) for scene in self.benchmark.scenes for line in scene.lines)

    def cast(self, engine: Any) -> Actor:
        """The same model for everybody: characters, environment and next speaker."""
        engine = Drawn(engine, self.mean_length) if self.dummy else engine
        model = Base(name="base", source=ModelSource(self.base), sampling=SAMPLING)
        short = replace(SAMPLING, max_tokens=NAME_TOKENS) if self.dummy else SAMPLING
        names = Base(name="base", source=ModelSource(self.base), sampling=short)
        helpers = {"environment": Actor(model, engine, 1), "next_speaker": Actor(names, engine, 1)}
        return Actor(model, engine, 1, helpers)


class Drawn:
    """An engine whose replies have drawn lengths."""

    likelihoods = False

    def __init__(self, engine: Any, mean: float) -> None:
        self._engine = engine
        self._mean = mean

    async def generate(self, request: Request) -> Completion:
        drawn = min(1 + int(Random(request.seed).expovariate(1 / self._mean)), request.sampling.max_tokens)
        return await self._engine.generate(replace(request, sampling=replace(request.sampling, max_tokens=drawn)))


def warm(number: int) -> Request:
    return Request((Message("user", f"Who are you, number {number}?"),), Sampling(max_tokens=8), number)
