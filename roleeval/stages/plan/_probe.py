"""A probe: plays some of a run's own conversations with the local models, and has some of them judged.

So lengths of replies, prompts with their histories, a judge's retries and speed are those of the run. What is asked is
what the run will ask, so the answers are kept for it. Models behind endpoints cost money and are not asked: what they
say is made up, and then answers to it are not the run's, and are thrown away.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from roleeval.benchmarks import Actor, SelfScored, spread
from roleeval.config import RunConfig
from roleeval.engines import Engine, Price, StoredEngine, is_elsewhere, likelihood_key, request_key
from roleeval.errors import concerns_one_item
from roleeval.hashing import digest
from roleeval.judging import Judge, Judgement, Question, ask, members
from roleeval.results import read_transcripts
from roleeval.stages import cast
from roleeval.stages.asked import asked_samples
from roleeval.stages.foresee import foresee
from roleeval.stages.plan._count import spelt_out
from roleeval.stages.plan._judging import Played, cases, opponents, questions
from roleeval.stages.plan._lenient import lenient
from roleeval.stages.plan._pace import Call, Meter, Pace
from roleeval.stages.plan._play import MODEL_WHO, Run, Stage, named
from roleeval.stages.plan._rehearsal import MadeUp, Said, Says
from roleeval.stages.plan._replies import Cast, Scenario
from roleeval.stages.runtime import Runtime
from roleeval.types import WITHOUT_REPLY, Completion, Likelihood, LikelihoodRequest, Request, Sample, Transcript
from roleeval.workers import in_flight

_SINGLE = 64  # conversations of one call
# Of longer ones as many as have so many calls, but at least so many: side by side they take hardly longer than one. At
# most a quarter of the run's.
_CALLS, _LEAST, _SHARE = 128, 8, 4
_QUESTIONS = 16  # of a judge


@dataclass
class _Found:
    """What the probe of a run found.

    Attributes:
        played: its conversations.
        texts: what models wrote in them; the rest was made up.
        kept: everything was.
        pace: of the models of the conversations.
    """

    played: Played
    texts: set[str] = field(default_factory=set)
    kept: bool = True
    pace: Pace | None = None

    @property
    def fate(self) -> str:
        """Of the answers."""
        return "kept" if self.kept else "thrown away, because other models' replies were made up"


class _Measured(StoredEngine):
    """Notes what it is asked: texts, keys of what the store did not have, and how long that took."""

    def note(self, meter: Meter, texts: set[str], keys: set[bytes]) -> None:
        """Says where to."""
        self._meter, self._texts, self._keys = meter, texts, keys

    async def generate(self, request: Request) -> Completion:
        begin = time.monotonic()
        done = await super().generate(request)
        self._texts.add(done.text)
        if not done.stored:
            self._keys.add(request_key(self.fingerprint, request, self._prompt_key(request)))
            self._add(begin, done.prompt_tokens, done.output_tokens)
        return done

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        begin = time.monotonic()
        done = await super().likelihood(request)
        if not done.stored:
            self._keys.add(likelihood_key(self.fingerprint, request, self._prompt_key(request)))
            self._add(begin, done.prompt_tokens + done.tokens, 0)
        return done

    def _add(self, begin: float, prompt: int, new: int) -> None:
        loaded = max(begin, self.usage.begun or begin)
        loads = self._meter.loads
        loads[self.fingerprint] = max(loads.get(self.fingerprint, 0.0), loaded - begin)
        self._meter.calls.append(Call(loaded, time.monotonic(), prompt, new))


class _Probe:
    """Asks the local models of a command's runs; runs that differ in their seed alone are probed once."""

    def __init__(self, runtime: Runtime, stage: Stage, scratch: str, tell: Callable[[str], None]) -> None:
        """`scratch`: file of a store for answers that no run would ask for."""
        self._runtime, self._stage, self._scratch, self._told = runtime, stage, scratch, tell
        self._found: dict[str, _Found] = {}
        self._judged: dict[str, dict[str, list[Judgement]]] = {}  # judge -> runs -> what it was asked about them
        self._judge_paces: dict[str, Pace] = {}
        self._open: list[_Measured] = []

    async def of(self, runs: Sequence[Run]) -> None:
        """Probes them; fills in what they know of replies and paces.

        Raises:
            RoleEvalError: an engine cannot be loaded or is dead.
        """
        probed: dict[str, Run] = {}
        try:
            for run in runs:
                same = _same(run.config)
                if same not in probed:
                    probed[same] = run
                    self._found[same] = await self._play(run)
                await self._judge(run, [other for name, other in probed.items() if name != same])
        finally:
            await self._leave()
        for run in runs:
            self._tell(run)

    async def _play(self, run: Run) -> _Found:
        config = run.config
        if run.folder is not None:
            return _Found(list(read_transcripts(run.folder.transcripts)))
        people = {MODEL_WHO: (config.engine, config.model), **cast.helpers(config)}
        local = {who: asked for who, asked in people.items() if not is_elsewhere(asked[0])}
        found, meter = _Found((), kept=len(local) == len(people)), Meter()
        for who in [who for who in people if who not in local]:
            run.notes.append(f"{who} of {run.name} is behind an endpoint, which costs money: it is not probed")
        wanted = _wanted(run)
        actor, lines = await self._actor(run, people, found, meter)
        whose = f"{', '.join(local)} of {config.model.name}"
        if local:
            self._told(f"probe: {whose}, {wanted} of {run.total} conversations")
        if isinstance(config.benchmark, SelfScored):
            limit = min(wanted, config.options.limit or wanted)
            scored = config.benchmark.evaluate(actor, limit=limit, in_flight=config.options.max_in_flight)
            found.played = [(sample, transcript) async for sample, transcript, _ in scored]
        else:
            found.played = await self._played(run, actor, lines, wanted)
        await self._leave()
        found.pace = meter.pace(whose, len(found.played), found.fate)
        return found

    async def _actor(self, run: Run, people: dict[str, cast.Asked], found: _Found, meter: Meter) -> tuple[Actor, Cast]:
        config, keys = run.config, cast.helper_keys(run.config)
        lines = Cast(Scenario.EXPECTED, config, run.own, run.others)

        async def actor(who: str, asked: cast.Asked, helpers: dict[str, Actor]) -> Actor:
            helper = "" if who == MODEL_WHO else who
            where = {"keys": keys[who]} if helper else {}
            options, model = asked
            if not is_elsewhere(options):
                engine: Engine = await self._engine(config, asked, found, meter, {})
            else:
                played = await self._stage.engine(run, who, asked, Scenario.EXPECTED, lines, helper)
                engine, model = replace(played, says=_aloud(played.says)), lenient(model)
            found_here = Actor(model, engine, config.options.seed, helpers, **where)
            return named(who, lines, found_here) if helper else found_here

        helpers = {who: await actor(who, asked, {}) for who, asked in people.items() if who != MODEL_WHO}
        return await actor(MODEL_WHO, people[MODEL_WHO], helpers), lines

    async def _engine(
        self, config: RunConfig, asked: cast.Asked, found: _Found, meter: Meter, prices: Mapping[str, Price]
    ) -> _Measured:
        where = config.options if found.kept else replace(config.options, store=self._scratch)
        measured = await self._runtime.stored(*asked, where, prices=prices, kind=_Measured)
        assert isinstance(measured, _Measured)
        measured.note(meter, found.texts, self._stage.paid if found.kept else set())
        self._open.append(measured)
        return measured

    async def _leave(self) -> None:
        """Asks nothing more of those who were asked; their engines are closed where the next one needs the room."""
        for engine in self._open:
            await engine.close()
        self._open.clear()

    async def _played(self, run: Run, actor: Actor, lines: Cast, wanted: int) -> Played:
        config = run.config
        options = config.options
        samples = list(asked_samples(config.benchmark, limit=options.limit, clusters=options.clusters))
        chosen = [samples[place] for place in spread(len(samples), min(wanted, len(samples)))]
        lines.samples |= {sample.id: sample for sample in chosen}
        foresight = foresee(config, actor)
        most = min(options.max_in_flight, foresight.in_flight or len(chosen), len(chosen))
        played: list[tuple[Sample, Transcript]] = []

        async def play(sample: Sample) -> None:
            try:
                transcript = foresight.not_played(sample) or await config.benchmark.episode(sample, actor)
            except Exception as error:
                if not concerns_one_item(error):
                    raise
                return  # what is wrong with it is said where it is played
            played.append((sample, transcript))

        await in_flight(chosen, play, most=most)
        failed = [turn.error for _, each in played if each.status in WITHOUT_REPLY for turn in each.turns[-1:]]
        if failed:
            said = f"{len(failed)} of the probe's {len(chosen)} conversations failed; the first: {failed[0]}"
            run.notes.append(f"{run.name}: {said}")
        return sorted(played, key=lambda each: each[0].index)

    async def _judge(self, run: Run, probed: Sequence[Run]) -> None:
        """Asks the run's judges about its conversations; `probed` are the runs before it."""
        config = run.config
        for judge in members(config.judge) if config.judge is not None and "judge" in config.options.stages else ():
            before = self._judged.setdefault(_judged_alike(judge, config), {})
            if is_elsewhere(cast.judge_model(judge, config)[0]):
                run.notes.append(f"judge {judge.name} is behind an endpoint, which costs money: it is not probed")
            elif _same(config) not in before:
                before[_same(config)] = await self._asked_about(run, judge, probed)

    async def _asked_about(self, run: Run, judge: Judge, probed: Sequence[Run]) -> list[Judgement]:
        config, found = run.config, self._found[_same(run.config)]
        known = {other.name: (other.config, self._found[_same(other.config)].played) for other in probed}
        others = opponents(judge, config, found.played, known) if judge.compares else {}
        every = [each for case in cases(judge, run.name, found.played, others) for each in questions(judge, case)]
        chosen = [every[place] for place in spread(len(every), min(_QUESTIONS, len(every)))]
        if not chosen or (judge.compares and not others):
            return []
        asked = cast.judge_model(judge, config)
        self._told(f"probe: judge {judge.name}, {len(chosen)} questions about {config.model.name}")
        meter = Meter()
        engine = await self._engine(config, asked, _Found((), kept=found.kept), meter, judge.prices)
        answered = await _ask(judge, chosen, engine, asked)
        await self._leave()
        if pace := meter.pace(f"judge {judge.name}", len(chosen), found.fate):
            self._judge_paces.setdefault(_judged_alike(judge, config), pace)
        return answered

    def _tell(self, run: Run) -> None:
        """Fills in what a run knows of replies and paces."""
        found, config = self._found[_same(run.config)], run.config
        if run.folder is None:
            for sample, transcript in found.played:
                run.own.add(sample, transcript, only=found.texts)
            if run.own.episodes.keys() & {sample.id for sample, _ in found.played}:
                run.own.origins.append(f"the probe ({len(found.played)} conversations)")
            if found.pace is not None:
                run.paces |= dict.fromkeys((MODEL_WHO, *cast.helpers(config)), found.pace)
        for judge in members(config.judge) if config.judge is not None else ():
            by_run = self._judged.get(_judged_alike(judge, config), {})
            run.probed[judge.name] = [judgement for each in by_run.values() for judgement in each]
            if pace := self._judge_paces.get(_judged_alike(judge, config)):
                run.paces[f"judge {judge.name}"] = pace


async def probe(runs: Sequence[Run], stage: Stage, runtime: Runtime, tell: Callable[[str], None]) -> None:
    """Probes a command's runs, which were rehearsed once; fills in what they know of replies and paces.

    Args:
        runs: in their order.
        stage: where they were rehearsed.
        runtime: of the command.
        tell: is told what is asked next.

    Raises:
        RoleEvalError: an engine cannot be loaded or is dead.
    """
    with TemporaryDirectory() as folder:
        await _Probe(runtime, stage, str(Path(folder, "completions.sqlite")), tell).of(runs)


def _same(config: RunConfig) -> str:
    """Names runs that differ in their seed and stages alone."""
    options = config.options
    asked = (str(config.benchmark), str(config.model), str(config.engine))
    return digest(*asked, str(options.limit), str(options.clusters))


def _judged_alike(judge: Judge, config: RunConfig) -> str:
    options, model = cast.judge_model(judge, config)
    return digest(config.benchmark.name, judge.name, judge.prompts.sha256, str(options), str(model.source))


def _wanted(run: Run) -> int:
    """How many conversations are played, by the calls that one of them has in the rehearsal."""
    helpers = cast.helpers(run.config)
    asked = [run.asked[Scenario.EXPECTED][who] for who in (MODEL_WHO, *helpers)]
    calls = sum(each.calls + each.stored for each in asked) / run.total
    if calls <= 1:
        return min(run.total, _SINGLE)
    return min(-(-run.total // _SHARE), max(_LEAST, int(_CALLS / calls)))


async def _ask(judge: Judge, chosen: Sequence[Question], engine: StoredEngine, asked: cast.Asked) -> list[Judgement]:
    adapter = next(iter(asked[1].adapters()), None)
    answered = await asyncio.gather(*(ask(question, judge, engine, adapter=adapter) for question in chosen))
    return [judgement for judgement in answered if judgement.answered]


def _aloud(says: Says) -> Says:
    """The same replies, with words where only a length is known: a model is to read them."""

    def reply(request: Request, number: int) -> Said:
        said = says(request, number)
        return replace(said, text=MadeUp(spelt_out(said.text)) if isinstance(said.text, MadeUp) else said.text)

    return reply
