"""Whether the models that are asked in the same episodes can be loaded at the same time, said before anything is."""

from roleeval.config import RunConfig
from roleeval.engines import Engine, fit, taken_by
from roleeval.engines.taken import MEMORY
from roleeval.errors import ConfigError
from roleeval.stages import cast
from roleeval.stages.runtime import Runtime


async def require_together(config: RunConfig, runtime: Runtime) -> None:
    """Refuses a run whose model and helpers leave each other no room on the GPUs or in a cluster.

    Main memory is not looked at: an operating system gives more of it than there is, and much of a cache is never used.

    Raises:
        ConfigError: names the engines, and what each takes.
    """
    keys = cast.helper_keys(config)
    named = dict(zip(("", *cast.helpers(config)), cast.playing(config), strict=True))
    found: dict[Engine, str] = {}
    for name, (options, model) in named.items():
        key = keys[name].engine if name else "engine"
        found.setdefault(await runtime.engine(options, model), f"{key} for {model.source.path}")
    if fit(found):
        return
    for of in {taken.of for engine in found if (taken := taken_by(engine))} - {MEMORY}:
        who = {e: t.share or 0.0 for e in found if (t := taken_by(e)) and t.of == of}
        if not fit(who):
            each = ", ".join(f"{found[engine]} ({share:.3g})" for engine, share in who.items())
            raise ConfigError(
                f"engines that are asked in the same episodes want more of {of} than there is: {each}. Lower"
                " gpu_memory_utilization (or a pool's max_workers) so that the sum is 1 at most"
            )
