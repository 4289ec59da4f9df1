"""Plays the runs of a command without a model, once for each scenario, in the order in which the command would."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from typing import cast as typed

from roleeval.benchmarks import Actor, Foreseen, SelfScored, spread
from roleeval.config import RunConfig
from roleeval.engines import EngineOptions, ModelSource, StoredEngine, is_elsewhere, serving
from roleeval.engines.shape import context_of
from roleeval.errors import ConfigError, EngineError, concerns_one_item
from roleeval.hashing import digest
from roleeval.identity import class_name
from roleeval.judging import Judge, Judgement, ask, controls, members
from roleeval.models import PersonaModel
from roleeval.results import ResultFolder, read_transcripts
from roleeval.stages import cast
from roleeval.stages.asked import asked_count, asked_samples
from roleeval.stages.foresee import Foresight, foresee
from roleeval.stages.identity import find_folder, named_folder, run_identity
from roleeval.stages.plan._count import ByCharacters, ByTokenizer, Counts, at_hand
from roleeval.stages.plan._judging import Answers, cases, opponents, questions
from roleeval.stages.plan._lenient import lenient
from roleeval.stages.plan._pace import Pace
from roleeval.stages.plan._rehearsal import Asked, Known, Rehearsal
from roleeval.stages.plan._replies import Cast, Earlier, JudgedBefore, Scenario, earlier, judge_says, nothing_but
from roleeval.stages.runtime import Runtime
from roleeval.types import MODEL, Completion, Part, Sample, Transcript, Turn

Played = list[tuple[Sample, Transcript]]
# A model in a run: "model", a helper's name, or "judge NAME".
Who = str
MODEL_WHO: Who = "model"


@dataclass
class Run:
    """A run of the command, as far as it is known before anything is played.

    Attributes:
        config: of the run.
        name: its run id, or a stand-in.
        own, others: see `earlier`; a probe's replies are added to its own.
        folder: of a finished run that would be skipped; its transcripts are read instead of played.
        total: samples.
        stands_for: sample id -> how many samples it stands for, of those that are played; {} where all are.
        clusters: of all samples.
        judged_before: judge's name -> what its earlier replies were like.
        probed: judge's name -> what a probe asked it.
        origins: where expected replies come from.
        paces: what a probe measured.
        played: scenario -> what was played.
        asked: scenario -> what was counted.
        notes: what a reader has to know.
    """

    config: RunConfig
    name: str
    own: Earlier
    others: Earlier
    folder: ResultFolder | None = None
    total: int = 0
    stands_for: dict[str, float] = field(default_factory=dict)
    clusters: list[str] = field(default_factory=list)
    judged_before: dict[str, JudgedBefore] = field(default_factory=dict)
    probed: dict[str, list[Judgement]] = field(default_factory=dict)
    origins: dict[Who, str] = field(default_factory=dict)
    paces: dict[Who, Pace] = field(default_factory=dict)
    played: dict[Scenario, Played] = field(default_factory=dict)
    asked: dict[Scenario, dict[Who, Asked]] = field(default_factory=lambda: defaultdict(dict))
    notes: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Makes it as if nothing had been rehearsed; what a probe found stays."""
        self.played.clear()
        self.asked.clear()
        self.judged_before.clear()


class Stage:
    """Where runs are rehearsed: tokenizers, stored texts, and what was asked already, shared by all runs."""

    def __init__(self, runtime: Runtime, *, episodes: int | None) -> None:
        """`episodes`: how many conversations of several turns are played for a run; None is all."""
        self._runtime = runtime
        self._episodes = episodes
        self._counts: dict[ModelSource, Counts] = {}
        self._seen: dict[Scenario, dict[bytes, Completion | None]] = {scenario: {} for scenario in Scenario}
        self.paid: set[bytes] = set()  # keys of what a probe was answered
        self.unstored: dict[str, str] = {}  # model -> why its stored answers are not deducted

    async def run(self, config: RunConfig) -> Run:
        """What is known of a run.

        Raises:
            ConfigError: it cannot be planned.
        """
        self._runtime.expect(*cast.everyone(config))
        total = asked_count(config.benchmark, limit=config.options.limit, clusters=config.options.clusters)
        if not total:
            raise ConfigError("nothing to plan: the benchmark has no samples")
        own, others = earlier(config)
        run = Run(config, "", own, others, total=total)
        run.name = f"{config.model.name}/planned-{digest(class_name(type(config.model)), str(config.model))[:8]}"
        await self._look_for(run)
        return run

    async def _look_for(self, run: Run) -> None:
        """The run's folder and name, where results are stored; needs its engine's fingerprint, which reads weights.

        Raises:
            ConfigError: the run is only to be judged, and is not there.
        """
        config = run.config
        if "generate" not in config.options.stages and config.options.run_name is not None:
            run.folder = named_folder(config, config.options.run_name)
            run.name = run.folder.run_id
        elif await self._known(config, config.engine, config.model) is not None:
            await self._find(run)
        if "generate" in config.options.stages:
            return
        if run.folder is None or run.folder.manifest() is None:
            raise ConfigError(
                f"stages=[{','.join(config.options.stages)}]: no finished run of {config.model.name} in"
                f" {config.options.results_dir}; generate first, or plan with stages=[generate,score,judge]"
            )

    async def _find(self, run: Run) -> None:
        """The run's name, and its folder where it is finished."""
        config = run.config
        try:
            engine = await self._runtime.engine(config.engine, config.model)
            folder = find_folder(config, await run_identity(config, self._runtime, engine))
        except EngineError as error:
            self.unstored[config.model.name] = str(error)
            return
        run.name = folder.run_id
        manifest = folder.manifest()
        if manifest is not None and not manifest.failed_samples and not manifest.unasked_samples:
            run.folder = folder

    async def _known(self, config: RunConfig, options: EngineOptions, model: PersonaModel) -> Known | None:
        """The store with the engine; None where nothing is stored, or the engine cannot be made here."""
        given = config.options
        file = Path(given.store) if given.store else Path(given.results_dir, ".store", "completions.sqlite")
        if not file.is_file():
            return None
        try:
            engine = await self._runtime.engine(serving(options), model)
        except EngineError as error:
            self.unstored[model.name] = str(error)
            return None
        return Known(self._runtime.store(given), engine)

    def counts(self, options: EngineOptions, source: ModelSource, scenario: Scenario) -> Counts:
        """Of a model's tokens.

        Raises:
            ConfigError: the engine renders prompts itself, and there is no tokenizer.
        """
        if is_elsewhere(options) and not at_hand(source):
            return ByCharacters(int(scenario))
        if source not in self._counts:
            counts = self._counts[source] = ByTokenizer(source)
            assert counts.tokenizer is not None  # says what is wrong with it, if anything
        return self._counts[source]

    async def engine(
        self, run: Run, who: Who, asked: cast.Asked, scenario: Scenario, lines: Cast, helper: str
    ) -> Rehearsal:
        """What plays a model of the run's conversations."""
        engine = await self._place(run, *asked, scenario, run.asked[scenario].setdefault(who, Asked()))
        return replace(engine, says=lines.says(helper, engine.counts))

    async def _place(
        self, run: Run, options: EngineOptions, model: PersonaModel, scenario: Scenario, asked: Asked
    ) -> Rehearsal:
        """The engine of a model, which says nothing yet."""
        known = await self._known(run.config, options, model)
        named = digest(class_name(type(options)), str(options), str(model.source))
        limit, elsewhere = getattr(serving(options), "max_model_len", None), is_elsewhere(options)
        return Rehearsal(
            fingerprint=known.engine.fingerprint if known else named,
            counts=self.counts(options, model.source, scenario),
            says=lambda request, number: nothing_but(1),
            asked=asked,
            known=known,
            seen=self._seen[scenario],
            paid=self.paid,
            stands_for=run.stands_for,
            context=limit or (None if elsewhere else context_of(model.source)),
            likelihoods=not elsewhere,
        )

    async def play(self, run: Run, scenario: Scenario) -> None:
        """The run's conversations: read where they are finished, else played; fills `played` and `asked`."""
        config = run.config
        if run.folder is not None:
            run.asked[scenario][MODEL_WHO] = Asked()
            run.played[scenario] = list(read_transcripts(run.folder.transcripts))
            run.origins[MODEL_WHO] = "finished already"
            return
        if isinstance(config.benchmark, SelfScored):
            await self._evaluate(run, config.benchmark, scenario)
            return
        chosen = self._chosen(run)
        lines = Cast(scenario, config, run.own, run.others, samples={sample.id: sample for sample in chosen})
        actor = await self._actor(run, scenario, lines)
        foresight = foresee(config, actor) if scenario is Scenario.EXPECTED else Foresight()
        played = run.played[scenario] = []
        for sample in chosen:
            try:
                transcript = foresight.not_played(sample) or await config.benchmark.episode(sample, actor)
            except Exception as error:
                if not concerns_one_item(error):
                    raise
                continue  # what is wrong with it is said where it is played
            played.append((sample, transcript))
        for helper in ("", *actor.helpers):
            run.origins[helper or MODEL_WHO] = lines.origin(helper)

    async def _evaluate(self, run: Run, benchmark: SelfScored, scenario: Scenario) -> None:
        """The same for a benchmark that plays its samples by itself; all of them."""
        lines = Cast(scenario, run.config, run.own, run.others)
        actor, options = await self._actor(run, scenario, lines), run.config.options
        scored = benchmark.evaluate(actor, limit=options.limit, in_flight=options.max_in_flight)
        run.played[scenario] = [(sample, transcript) async for sample, transcript, _ in scored]
        run.clusters = [sample.cluster for sample, _ in run.played[scenario]]
        run.origins[MODEL_WHO] = lines.origin("")

    async def _actor(self, run: Run, scenario: Scenario, lines: Cast) -> Actor:
        config, keys = run.config, cast.helper_keys(run.config)
        helpers = {}
        for name, asked in cast.helpers(config).items():
            engine = await self.engine(run, name, asked, scenario, lines, name)
            helpers[name] = named(name, lines, Actor(lenient(asked[1]), engine, config.options.seed, keys=keys[name]))
        own = await self.engine(run, MODEL_WHO, (config.engine, config.model), scenario, lines, "")
        return Actor(lenient(config.model), own, config.options.seed, helpers)

    def _chosen(self, run: Run) -> list[Sample]:
        """All samples of a benchmark of single answers; of one with conversations some, spread over it.

        Those that have earlier results stand for themselves: they may be stored, and none of the others is.
        """
        config = run.config
        options = config.options
        samples = list(asked_samples(config.benchmark, limit=options.limit, clusters=options.clusters))
        run.clusters = [sample.cluster for sample in samples]
        single = isinstance(config.benchmark, Foreseen) and config.benchmark.longest == 1
        if single or self._episodes is None or len(samples) <= self._episodes:
            return samples
        known = [sample for sample in samples if sample.id in run.own.episodes]
        new = [sample for sample in samples if sample.id not in run.own.episodes]
        run.stands_for = {}
        for group in (known, new):
            count = min(self._episodes, len(group))
            run.stands_for |= {group[place].id: len(group) / count for place in spread(len(group), count)}
        return [sample for sample in samples if sample.id in run.stands_for]

    async def judge(self, run: Run, runs: Sequence[Run], scenario: Scenario) -> None:
        """The run's judges' questions; those of judges that compare are about the runs that are finished by then."""
        config = run.config
        if config.judge is None or "judge" not in config.options.stages:
            return
        for judge in members(config.judge):
            others = self._opponents(judge, run, runs, scenario) if judge.compares else {}
            if judge.compares and not others:
                continue
            await self._judged(
                judge, run, others, scenario, made_up={each.name for each in runs if each.folder is None}
            )

    def _opponents(self, judge: Judge, run: Run, runs: Sequence[Run], scenario: Scenario) -> Answers:
        known = {other.name: (other.config, other.played[scenario]) for other in runs if other is not run}
        return opponents(judge, run.config, run.played[scenario], known)

    async def _judged(
        self, judge: Judge, run: Run, others: Answers, scenario: Scenario, *, made_up: Collection[str]
    ) -> None:
        who, config = f"judge {judge.name}", run.config
        if who not in run.judged_before:
            run.judged_before[who] = JudgedBefore.of(judge, config, run.probed.get(judge.name, ()))
        before = run.judged_before[who]
        schema = "its schema: no earlier judgements" if judge.constrain else "a quarter of max_tokens"
        run.origins[who] = before.origin or schema
        times = before.attempts if scenario is Scenario.EXPECTED else 1.0
        options, model = cast.judge_model(judge, config)
        place = await self._place(run, options, model, scenario, Asked())
        heard = scenario is Scenario.MOST  # nothing usable can be made up: a question is counted, or all its attempts
        engine = replace(place, says=judge_says(before, scenario, place.counts), heard=heard, times=times)
        adapter = next(iter(model.adapters()), None)
        judged = cases(judge, run.name, run.played[scenario], others, made_up=made_up)
        spoilt = [control.case for control in controls(judged, judge)] if judge.controls else []
        for name, asked_about in ((who, judged), (f"{who}, controls", spoilt)):
            if asked_about:
                engine.asked = run.asked[scenario].setdefault(name, Asked())
            if asked_about is spoilt:  # as many as there are, whatever is played
                engine.stands_for = {}
            for question in [question for case in asked_about for question in questions(judge, case)]:
                for repeat in range(judge.samples_per_item):
                    await ask(question, judge, typed("StoredEngine", engine), repeat=repeat, adapter=adapter)

    async def rehearse(self, runs: Sequence[Run], scenarios: Iterable[Scenario]) -> None:
        """Plays all runs of a command.

        Raises:
            RoleEvalError: a run cannot be planned: no data, no tokenizer, a template that refuses the prompts.
        """
        for scenario in scenarios:
            for number, run in enumerate(runs):
                await self.play(run, scenario)
                await self.judge(run, runs[: number + 1], scenario)
            for run in runs if len(runs) > 1 else ():  # as the command does: with the opponents that finished later
                await self.judge(run, runs, scenario)
            for run in runs:
                run.played.clear()

    def forget(self, runs: Iterable[Run]) -> None:
        """Makes it as if nothing had been rehearsed."""
        for seen in self._seen.values():
            seen.clear()
        for run in runs:
            run.forget()


@dataclass(frozen=True)
class _Named(Actor):
    """A helper that says which part its turns have.

    Attributes:
        name: of the helper.
        parts: of a Cast.
    """

    name: str = ""
    parts: dict[str, Part] = field(default_factory=dict)

    async def say(self, *args: Any, part: Part = MODEL, **more: Any) -> Turn:
        """See Actor."""
        self.parts[self.name] = part
        return await super().say(*args, part=part, **more)


def named(name: str, lines: Cast, helper: Actor) -> Actor:
    """A helper whose part is noted before it is asked."""
    return _Named(helper.model, helper.engine, helper.run_seed, helper.helpers, helper.keys, name, lines.parts)
