"""The plan of a command: of each run's models calls, tokens, money and time, and what their engines hold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from roleeval.config import RunConfig
from roleeval.engines import BudgetOptions, EngineOptions, Price, is_elsewhere
from roleeval.hashing import digest
from roleeval.identity import class_name
from roleeval.judging import members
from roleeval.models import PersonaModel
from roleeval.stages import cast
from roleeval.stages.plan._count import BY_CHARACTERS, at_hand
from roleeval.stages.plan._needs import NOTHING, Exactness, Memory, Range, exactness, memory
from roleeval.stages.plan._pace import Pace, earlier_pace
from roleeval.stages.plan._play import MODEL_WHO, Run, Stage, Who
from roleeval.stages.plan._probe import probe
from roleeval.stages.plan._rehearsal import Asked
from roleeval.stages.plan._replies import Scenario
from roleeval.stages.plan_file import plan_key
from roleeval.stages.runtime import Runtime

CONTROLS = ", controls"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What one model of a run is asked.

    Attributes:
        who: "model" (under test), a helper's name, "judge NAME".
        model: the base's path, or the served name.
        calls, prompt_tokens, new_tokens: that the store does not answer.
        stored: calls that it answers, with their tokens read and written.
        usd: None where the model has no price.
        seconds: None where nothing says how fast it is, or it is behind an endpoint.
        basis: where the expected replies come from.
        counted: how prompts are counted, where not by the model's tokenizer.
        elsewhere: it is behind an endpoint.
    """

    who: Who
    model: str
    calls: Range
    prompt_tokens: Range
    new_tokens: Range
    stored: tuple[float, float, float]
    usd: Range | None
    seconds: Range | None
    basis: str
    counted: str
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run.

    Attributes:
        run: its run id, or a stand-in where nothing is stored.
        key: hash of what was asked for, by which the run finds its plan; see stages.plan_file.plan_key.
        conversations: samples.
        rehearsed: how many of them were played for this plan; the rest is taken to be like them.
        models: its models.
        exactness: of its results.
    """

    run: str
    key: str
    benchmark: str
    model: str
    seed: int
    limit: int | None
    conversations: int
    rehearsed: int
    models: tuple[ModelPlan, ...]
    exactness: Exactness


@dataclass(frozen=True, slots=True)
class Plan:
    """A command.

    Attributes:
        runs: in its order.
        memory: of its engines.
        pace: what says how fast local models are; "" is nothing.
        notes: what a reader has to know.
    """

    runs: tuple[RunPlan, ...]
    memory: tuple[Memory, ...]
    pace: str
    notes: tuple[str, ...]

    def total(self, name: str) -> Range:
        """The sum of "calls", "prompt_tokens" or "new_tokens" over all models of all runs."""
        return sum((getattr(model, name) for run in self.runs for model in run.models), NOTHING)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models behind endpoints that have no price."""
        return tuple(sorted({m.model for run in self.runs for m in run.models if m.elsewhere and m.usd is None}))

    @property
    def usd(self) -> Range | None:
        """The sum over models with a price; None where none has one."""
        known = [model.usd for run in self.runs for model in run.models if model.usd is not None]
        return sum(known, NOTHING) if known else None

    @property
    def seconds(self) -> Range | None:
        """The sum over local models; None where one's pace is not known, or none is local."""
        local = [model.seconds for run in self.runs for model in run.models if not model.elsewhere]
        known = [each for each in local if each is not None]
        return sum(known, NOTHING) if known and len(known) == len(local) else None

    @property
    def unpaced(self) -> tuple[str, ...]:
        """Local models whose pace is not known."""
        models = [(run, m) for run in self.runs for m in run.models if not m.elsewhere and m.seconds is None]
        return tuple(dict.fromkeys(f"{model.who} of {run.model}" for run, model in models))

    def to_json(self) -> dict[str, Any]:
        """All of it, with the sums under "total"."""
        sums = {name: asdict(self.total(name)) for name in ("calls", "prompt_tokens", "new_tokens")}
        more = {"usd": self.usd, "seconds": self.seconds}
        total = sums | {name: None if value is None else asdict(value) for name, value in more.items()}
        return asdict(self) | {"total": total | {"unpriced": list(self.unpriced)}}


async def plan(
    configs: Sequence[RunConfig],
    runtime: Runtime,
    *,
    episodes: int | None = None,
    tokens_per_second: float | None = None,
    probes: bool = False,
    tell: Callable[[str], None] = lambda said: None,
) -> Plan:
    """Plans a command's runs; no model is asked, unless a probe is wanted. Endpoints are never asked.

    Args:
        configs: of the runs, in their order.
        runtime: of the command.
        episodes: conversations of several turns that are played for each run; None is all.
        tokens_per_second: new tokens of local models, if that is known.
        probes: measure it and how long replies are, by some of the runs' own conversations and judgements.
        tell: is told what a probe asks next.

    Raises:
        RoleEvalError: a run cannot be planned.
    """
    stage = Stage(runtime, episodes=episodes)
    if probes:
        for config in configs:
            if not all(is_elsewhere(options) for options, _, _ in _models(config).values()):
                runtime.store(config.options)  # makes one: runs that it is there for know their own names
    runs = [await stage.run(config) for config in configs]
    if probes:
        await stage.rehearse(runs, [Scenario.EXPECTED])
        await probe(runs, stage, runtime, tell)
        stage.forget(runs)
    await stage.rehearse(runs, Scenario)
    paces = [_paces(run, tokens_per_second) for run in runs]
    started: set[Pace] = set()
    planned = tuple(_run_plan(run, each, started) for run, each in zip(runs, paces, strict=True))
    said = sorted({pace.origin for each in paces for pace in each.values()})
    notes = (*_notes(runs, stage), *_over_budget([run.config.options.budget for run in runs], planned))
    return Plan(planned, _memory(runs), "; ".join(said), notes)


def _run_plan(run: Run, paces: Mapping[Who, Pace], started: set[Pace]) -> RunPlan:
    config = run.config
    models = _models(config)
    found = [
        _model_plan(run, who, *models[who.removesuffix(CONTROLS)], paces.get(who.removesuffix(CONTROLS)), started)
        for who in run.asked[Scenario.MOST]
        if who.removesuffix(CONTROLS) in models
    ]
    options = config.options
    return RunPlan(
        run=run.name,
        key=plan_key(config),
        benchmark=config.benchmark.name,
        model=config.model.name,
        seed=options.seed,
        limit=options.limit,
        conversations=run.total,
        rehearsed=len(run.stands_for) or run.total,
        models=tuple(found),
        exactness=exactness(config, run.clusters),
    )


def _models(config: RunConfig) -> dict[Who, tuple[EngineOptions, PersonaModel, Mapping[str, Price]]]:
    prices = config.options.prices
    found: dict[Who, tuple[EngineOptions, PersonaModel, Mapping[str, Price]]]
    found = {MODEL_WHO: (config.engine, config.model, prices)}
    found |= {name: (*asked, prices) for name, asked in cast.helpers(config).items()}
    for judge in members(config.judge) if config.judge is not None else ():
        found[f"judge {judge.name}"] = (*cast.judge_model(judge, config), {**prices, **judge.prices})
    return found


def _model_plan(
    run: Run,
    who: Who,
    options: EngineOptions,
    model: PersonaModel,
    prices: Mapping[str, Price],
    pace: Pace | None,
    started: set[Pace],
) -> ModelPlan:
    """`started`: paces whose engines were loaded for a model before; this one's is added."""
    each = [run.asked[scenario].get(who, Asked()) for scenario in Scenario]
    calls, prompt, new = (Range.of(getattr(asked, name) for asked in each) for name in ("calls", "prompt", "new"))
    expected = each[Scenario.EXPECTED]
    price, elsewhere = prices.get(model.source.path), is_elsewhere(options)
    seconds = None if elsewhere or calls.most else NOTHING
    if pace is not None and seconds is None and not elsewhere:
        seconds = pace.seconds(prompt, new, starts=pace not in started)
        started.add(pace)
    return ModelPlan(
        who=who,
        model=model.source.path,
        calls=calls,
        prompt_tokens=prompt,
        new_tokens=new,
        stored=(expected.stored, expected.stored_prompt, expected.stored_new),
        usd=None if price is None else prompt.times(price.input / 1e6) + new.times(price.output / 1e6),
        seconds=seconds,
        basis=run.origins.get(who.removesuffix(CONTROLS), ""),
        counted=BY_CHARACTERS if elsewhere and not at_hand(model.source) else "",
        elsewhere=elsewhere,
    )


def pace_key(options: EngineOptions, model: PersonaModel) -> str:
    """Names the engine that serves a model."""
    return digest(class_name(type(options)), str(options), str(model.source))


def _paces(run: Run, given: float | None) -> dict[Who, Pace]:
    """How fast each local model of a run is, where something tells: what is given, a probe, an earlier run."""
    config, models = run.config, _models(run.config)
    if given is not None:
        return dict.fromkeys(models, Pace(given, given, 0.0, f"{given:g} new tokens a second, as given"))
    known = dict(run.paces)
    of_all = known.get(MODEL_WHO) or earlier_pace(config)
    if of_all is None:
        return known
    own = pace_key(config.engine, config.model)
    served_alike = {who for who, (options, model, _) in models.items() if pace_key(options, model) == own}
    return dict.fromkeys({MODEL_WHO, *cast.helpers(config), *served_alike}, of_all) | known


def _memory(runs: Sequence[Run]) -> tuple[Memory, ...]:
    served: dict[str, list[tuple[Run, Who, EngineOptions, PersonaModel]]] = {}
    for run in runs:
        for who, (options, model, _) in _models(run.config).items():
            if not is_elsewhere(options):
                served.setdefault(pace_key(options, model), []).append((run, who, options, model))
    found = []
    for group in served.values():
        asked = [_longest([run.asked[scenario].get(who, Asked()) for run, who, _, _ in group]) for scenario in Scenario]
        most = max(min(run.config.options.max_in_flight, run.total) for run, _, _, _ in group)
        found.append(memory(group[0][2], [model for *_, model in group], asked, most))
    return tuple(found)


def _longest(all_asked: Sequence[Asked]) -> Asked:
    """Several models' calls as those of one."""
    return Asked(
        calls=sum(asked.calls for asked in all_asked),
        prompt=sum(asked.prompt for asked in all_asked),
        new=sum(asked.new for asked in all_asked),
        longest=max(asked.longest for asked in all_asked),
    )


def _notes(runs: Sequence[Run], stage: Stage) -> list[str]:
    notes = [f"{model}: stored answers are not deducted ({why})" for model, why in stage.unstored.items()]
    for run in runs:
        model = run.config.model
        reasons = bool(model.prefill) or getattr(model, "always_reasons", False)
        if reasons and run.origins.get(MODEL_WHO) == "the benchmark's own texts":
            notes.append(
                f"{run.name}: the model reasons before it answers, and the benchmark's texts have no reasoning: expect"
                " more new tokens; --probe, or a pilot with limit=5 in the same results_dir, tells how many"
            )
    return list(dict.fromkeys([*notes, *(note for run in runs for note in run.notes)]))


def _over_budget(budgets: Sequence[BudgetOptions], planned: Sequence[RunPlan]) -> Iterator[str]:
    """Says where a budget, which is of the whole command, may end it before it is done."""
    for budget in dict.fromkeys(budgets):
        models = [model for given, run in zip(budgets, planned, strict=True) if given == budget for model in run.models]
        asked = sum((model.calls for model in models), NOTHING)
        costs = sum((model.usd for model in models if model.usd is not None), NOTHING)
        for name, limit, needed, form in (("calls", budget.calls, asked, ",.0f"), ("usd", budget.usd, costs, ",.4g")):
            if limit is not None and needed.most > limit:
                will = "will" if needed.low > limit else "may"
                ends = f"({needed.low:{form}} to {needed.most:{form}})"
                yield (
                    f"budget.{name}={limit:{form}} {will} end the command before it is done:"
                    f" {needed.expected:{form}} are expected {ends}; the same command with a larger budget goes on"
                )
