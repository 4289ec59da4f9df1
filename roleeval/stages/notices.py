"""What is unusual about a run, said before anything is generated: roles without an adapter or a description, adapters
without a role, and judges that judge themselves.
"""

from collections.abc import Collection, Iterable, Iterator

from roleeval.benchmarks import SelfScored
from roleeval.config import RunConfig
from roleeval.errors import UnsupportedRoleError
from roleeval.judging import members
from roleeval.stages.asked import asked_samples
from roleeval.stages.cast import judge_model
from roleeval.types import Persona

_NAMED = 10


def notices(config: RunConfig) -> Iterator[str]:
    """A sentence for everything unusual.

    Reads the benchmark's samples and keeps their personas; benchmarks without personas in their samples have none.
    """
    yield from _of_judges(config)
    model, asked = config.model, _personas(config, config.options.limit, config.options.clusters)
    served = _served(config, asked)
    if unserved := [persona.role for persona in asked if persona.role not in served]:
        yield (
            f"no adapter for {len(unserved)} of {len(asked)} roles; their samples count as unsupported_role:"
            f" {_listed(unserved)}"
        )
    adapters = model.adapters()
    if asked and len(adapters) > 1:
        used = set(_served(config, _personas(config, None, None)).values())
        if idle := [adapter.name for adapter in adapters if adapter.fingerprint not in used]:
            yield f"{len(idle)} of {len(adapters)} adapters are of roles that the data does not have: {_listed(idle)}"
    bare = [persona.role for persona in asked if not persona.description]
    if bare and model.messages("a persona", ()):
        yield f"no description for {len(bare)} of {len(asked)} roles; prompts have their names alone: {_listed(bare)}"


def _of_judges(config: RunConfig) -> Iterator[str]:
    """Judges that are the model under test; one with the same base and another adapter is not the same model."""
    candidate = (config.model.source, tuple(adapter.fingerprint for adapter in config.model.adapters()))
    for judge in members(config.judge) if config.judge is not None and "judge" in config.options.stages else ():
        options, model = judge_model(judge, config)
        same = (model.source, tuple(adapter.fingerprint for adapter in model.adapters())) == candidate
        if same and options == config.engine:
            yield f"judge {judge.name} is the model under test, and models prefer their own answers; set judge.source"


def _personas(config: RunConfig, limit: int | None, clusters: Collection[str] | None) -> list[Persona]:
    """Those of the samples, each role and language once; without those that have no name."""
    if isinstance(config.benchmark, SelfScored):
        return []
    samples = asked_samples(config.benchmark, limit=limit, clusters=clusters)
    personas = (sample.persona for sample in samples)
    return list({(each.role, each.language): each for each in personas if each.role}.values())


def _served(config: RunConfig, personas: Iterable[Persona]) -> dict[str, str]:
    """Role -> its adapter's fingerprint ("" for the base); without roles that the model cannot play."""
    found = {}
    for persona in personas:
        try:
            adapter = config.model.adapter(persona)
        except UnsupportedRoleError:
            continue
        found[persona.role] = adapter.fingerprint if adapter else ""
    return found


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(map(repr, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")
