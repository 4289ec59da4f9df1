"""What a run would send first: the prompt of everyone in an episode, as the model reads it. Asks nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.benchmarks import Actor, Foreseen, Opening
from roleeval.config import RunConfig
from roleeval.engines import Renders
from roleeval.engines.chat import load_tokenizer, opened_prompt
from roleeval.engines.template import Prompts
from roleeval.errors import ConfigError, cause_of, concerns_one_item
from roleeval.stages import cast
from roleeval.stages.asked import asked_count, asked_samples
from roleeval.stages.capability import Capability, capability
from roleeval.stages.foresee import foresee, try_later
from roleeval.stages.judge_check import check_judges
from roleeval.stages.runtime import Runtime
from roleeval.stages.together import require_together
from roleeval.types import Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Preview:
    """A first prompt.

    Attributes:
        sample: the sample's id.
        part: of the turn that it asks for.
        role: who speaks.
        model: whose answer it is.
        adapter: of the request; "" is none.
        text: what the model reads, special tokens written out; for an endpoint, which renders itself, the messages.
        tokens: of the prompt; None where an endpoint counts them.
        max_tokens: of the answer.
        begins: what the answer begins with: a prefill, or a reasoning tag that the template opened.
        error: why it cannot be sent; then nothing else is known of the prompt.
    """

    sample: str
    part: str
    role: str
    model: str
    adapter: str
    text: str
    tokens: int | None
    max_tokens: int
    begins: str
    error: str = ""


async def preview(config: RunConfig, runtime: Runtime) -> tuple[Capability | None, Iterator[Preview]]:
    """What the model cannot do, and the first prompts of the first sample (of each split, where `limit` asks for more).

    Raises:
        ConfigError: the benchmark does not know its prompts before it plays, a template cannot express them, a judge
            cannot be asked, no sample fits into the context, or a chosen cluster does not exist.
        AdapterError: an adapter cannot be served.
    """
    if not isinstance(config.benchmark, Foreseen):
        raise ConfigError(f"--dry-run: {config.benchmark.name} does not know its prompts before it plays")
    await check_judges(config, runtime)
    if config.options.clusters is not None:  # says which one does not exist
        asked_count(config.benchmark, limit=config.options.limit, clusters=config.options.clusters)
    await require_together(config, runtime)
    keys = cast.helper_keys(config)
    seed = config.options.seed
    helpers = {
        name: Actor(model, await runtime.ready(options, model), seed, keys=keys[name])
        for name, (options, model) in cast.helpers(config).items()
    }
    actor = Actor(config.model, await runtime.ready(config.engine, config.model), seed, helpers)
    foresight = foresee(config, actor)  # says what the run would not ask, before a tokenizer is loaded
    return capability(actor, foresight.longest, exact=True), _previews(config, actor)


def _previews(config: RunConfig, actor: Actor) -> Iterator[Preview]:
    benchmark, limit, clusters = config.benchmark, config.options.limit, config.options.clusters
    assert isinstance(benchmark, Foreseen)
    first = limit or (1 if clusters is None else None)  # the first sample of all may be of another cluster
    tokenizers: dict[str, PreTrainedTokenizerBase] = {}
    for sample in asked_samples(config.benchmark, limit=first, clusters=clusters):
        for opening in benchmark.openings(sample, actor):
            try_later(opening)
            try:
                yield _preview(sample.id, opening, tokenizers)
            except Exception as error:
                if not concerns_one_item(error):
                    raise
                who = opening.part, opening.persona.role, opening.actor.model.name
                yield Preview(sample.id, *who, "", "", None, 0, "", error=cause_of(error))
        if limit is None:
            return


def _preview(sample: str, opening: Opening, tokenizers: "dict[str, PreTrainedTokenizerBase]") -> Preview:
    request = opening.actor.first_request(opening.persona, opening.system, opening.history)
    if isinstance(opening.actor.engine, Renders):
        text, tokens, begins = _rendered(opening.actor, request, tokenizers)
    else:
        text = request.prompt or "\n\n".join(f"[{each.role}]\n{each.content}" for each in request.messages or ())
        tokens, begins = None, request.prefill
    model = opening.actor.model
    adapter = request.adapter.name if request.adapter else ""
    most = request.sampling.max_tokens
    return Preview(sample, opening.part, opening.persona.role, model.name, adapter, text, tokens, most, begins)


def _rendered(actor: Actor, request: Request, tokenizers: "dict[str, PreTrainedTokenizerBase]") -> tuple[str, int, str]:
    source, key = actor.model.source, actor.engine.fingerprint
    tokenizer = tokenizers[key] = tokenizers.get(key) or load_tokenizer(source)
    ids, begins = opened_prompt(tokenizer, request, prompts=Prompts(source))
    return str(tokenizer.decode(ids, skip_special_tokens=False)), len(ids), begins
