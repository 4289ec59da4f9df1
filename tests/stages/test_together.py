"""Models that share a GPU in one run: a judge waits where there is no room beside the model, helpers never can."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import Script, ScriptedEngine, ScriptedOptions, scripted
from judged import asked, configured, entry, execute, points

from roleeval.benchmarks import Helper
from roleeval.benchmarks.minimax import Minimax
from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.taken import GPUS, Taken
from roleeval.errors import ConfigError
from roleeval.judging import RubricJudge
from roleeval.models import Base
from roleeval.types import Request

LOADED: dict[str, float] = {}  # script -> its share of the GPUs


@dataclass(frozen=True)
class SharingOptions(ScriptedOptions):
    """A scripted engine that takes a share of the GPUs' memory, and cannot load where less is left."""

    share: float = 0.9

    def build(self, source: ModelSource, lora: LoraNeed) -> "SharingEngine":
        return SharingEngine(self, source)


class SharingEngine(ScriptedEngine):
    def __init__(self, options: SharingOptions, source: ModelSource) -> None:
        super().__init__(options.script, source)
        self.share = options.share

    def takes(self) -> Taken:
        return Taken(GPUS, self.share)

    async def start(self) -> None:
        LOADED[self.script] = self.share
        assert sum(LOADED.values()) <= 1, LOADED

    async def close(self) -> None:
        LOADED.pop(self.script, None)


@pytest.fixture(autouse=True)
def _empty_gpu() -> None:
    LOADED.clear()


def sharing(name: str, script: Script, share: float) -> SharingOptions:
    scripted(name, script)
    return SharingOptions(name, share)


def voice(request: Request) -> str:
    return f"Well, my dear fellow, {request.seed}"


def judge_of(share: float) -> RubricJudge:
    return RubricJudge(engine=sharing("judge", lambda request: points(4), share), source=ModelSource("judge"))


@pytest.mark.parametrize(("of_model", "of_judge", "ahead"), [(0.5, 0.5, True), (0.9, 0.9, False)])
def test_a_judge_without_room_beside_the_model_is_asked_when_that_one_is_closed(
    tmp_path: Path, of_model: float, of_judge: float, ahead: bool
) -> None:
    config = configured(tmp_path, judge_of(of_judge), engine=sharing("model", voice, of_model))
    outcome = execute(config)
    assert entry(outcome, "/overall")["mean"] == 4
    assert asked("judge") == 20
    manifest: Any = outcome.folder.manifest()
    (record,) = manifest.judges.values()
    assert (record.session["from_store"] > 0) is ahead


def test_bases_of_a_sweep_follow_each_other_on_one_gpu(tmp_path: Path) -> None:
    from roleeval.stages.run import run
    from roleeval.stages.runtime import Runtime

    runtime = Runtime()
    for number, name in enumerate(("one", "two", "three", "one")):
        config = configured(tmp_path / str(number), None, model=name, engine=sharing(name, voice, 0.9))
        runtime.execute(lambda config=config: run(config, runtime))
        assert list(LOADED) == [name]
    runtime.close()
    assert not LOADED


def test_a_helper_without_room_beside_the_model_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    user = Helper(engine=sharing("user", voice, 0.9), model=Base(name="user", source=ModelSource("folder/user")))
    config = configured(tmp_path, None, engine=sharing("model", voice, 0.9))
    config = replace(config, benchmark=Minimax(messages=4, runs=1, languages=("en",), user=user))
    with pytest.raises(ConfigError) as caught:
        execute(config)
    assert str(caught.value).startswith(
        "engines that are asked in the same episodes want more of the GPUs' memory than there is: engine for stub"
        " (0.9), benchmark.user.engine for folder/user (0.9). Lower gpu_memory_utilization"
    )
    assert not asked("model") and not LOADED
