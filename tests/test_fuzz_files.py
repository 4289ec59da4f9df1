"""Whatever stands in a file that somebody gives, it is read or refused by a RoleEvalError."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import VALUES, contents, mutated

from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.memory import _from_file
from roleeval.benchmarks.coser.official_prompts import import_prompts
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.benchmarks.rolebench.check import check_rolebench
from roleeval.config import parse_config
from roleeval.engines.lora import load_adapter
from roleeval.errors import RoleEvalError
from roleeval.integrations.coser.importer import import_coser
from roleeval.integrations.rolebench_files import score_rolebench
from roleeval.judging import RubricJudge
from roleeval.models.hycora._manifest import read_manifest
from roleeval.report.judge_card import read_human_labels
from roleeval.results import ResultFolder, read_judgements, read_transcripts
from roleeval.stages.judge_check import check_prompts
from roleeval.types import Persona, Sample

ROWS = [
    {"role": role, "question": f"Who are you{n}?", "generated": ["I am.", "You?"], "type": "role_specific"}
    for n, role in enumerate(["Holmes", "孙悟空", "Holmes"])
]
SCENES = json.loads((Path(__file__).parents[1] / "tasks/coser/embedded/test_set.json").read_text(encoding="utf-8"))[:2]
FLAWS = {"flaws": [{"instance": "x", "type": "y", "severity": 2}], "score": 91.5}
DIMENSIONS = ("Storyline Consistency", "Anthropomorphism", "Character Fidelity", "Storyline Quality")
EVALUATION = {
    "scores": {"avg": 91.5},
    "cases": {
        "B-1-0": {
            "simulation": [{"role": "A", "content": "hi"}, {"role": "NSP", "content": "B"}],
            "score": 91.5,
            "critique": dict.fromkeys(DIMENSIONS, FLAWS),
        }
    },
}
MEMORIES = [{"book": "B", "character": "C", "text": "t", "i_p": 1}]
LABELS = [{"sample": "a/1", "model": "m", "criterion": "overall", "value": 3, "rater": "x"}]
ADAPTER = {
    "peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "rank_pattern": {"a": 4},
    "alpha_pattern": {}, "base_model_name_or_path": "x", "bias": "none", "layers_to_transform": None,
}  # fmt: skip
MANIFEST = {
    "format": 2,
    "identity": {"seed": 1},
    "benchmark": {
        "name": "rolebench",
        "data_hash": "0",
        "splits": {"s": 1},
        "prompt_packs": {"p": {"version": "1", "sha256": "0"}},
    },
    "model": {"name": "m", "family": "base", "sampling": {"temperature": 0.0}, "parameters": {"base": 1}},
    "engine": {"kind": "vllm", "fingerprint": "x"},
    "samples": {"planned": 1, "statuses": {"ok": 1}},
    "stages": {"generate": "done"},
    "judges": {"judge/p@b": {"judge": "p", "prefix": "judge/p@b", "members": ["a"], "infos": {}}},
}


def rolebench(folder: Path) -> None:
    benchmark = RoleBench(data_dir=str(folder), splits=("eng_specific",))
    for sample in benchmark.samples(limit=None):
        "".join((sample.persona.role, sample.question)).encode()
    RoleBench(data_dir=str(folder), splits=("eng_specific",), on_error="skip").count(limit=None)


def descriptions(file: Path) -> None:
    rows = file.parents[1] / "rolebench-eng" / "instruction-generalization" / "role_specific" / "test.jsonl"
    rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_text(json.dumps(ROWS[0]))
    list(RoleBench(data_dir=str(file.parents[1]), splits=("eng_specific",)).samples(limit=None))
    check_rolebench(file.parents[1])


def scenes(file: Path) -> None:
    for mode in ("raise", "skip"):
        benchmark = Coser(data_file=str(file), on_error=mode)  # type: ignore[arg-type]
        assert all(sample.id for sample in benchmark.samples(limit=None))


def result_folder(file: Path) -> None:
    folder = ResultFolder(file.parent)
    folder.summary()
    if (manifest := folder.manifest()) is not None:
        assert [manifest.seed, manifest.limit, manifest.helpers, manifest.failed_samples, manifest.judge_records]


def scored(file: Path) -> None:
    good = file.with_name("good.jsonl")
    good.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for pair in ((file, good), (good, file)):
        score_rolebench(*pair, "en").to_json()


READERS: dict[str, tuple[str, Callable[[Path], Any], Any, bool]] = {
    "rows of RoleBench": (
        "rolebench-eng/instruction-generalization/role_specific/test.jsonl",
        lambda file: rolebench(file.parents[3]),
        ROWS,
        True,
    ),
    "role descriptions": ("profiles-eng/desc.json", descriptions, {"Holmes": "A detective.", "孙悟空": "猴"}, False),
    "scenes of CoSER": ("test_set.json", scenes, SCENES, False),
    "memories": (
        "m.jsonl",
        lambda file: list(_from_file(file)),
        [{"book": "B", "character": "C", "text": "t", "i_p": 1}],
        True,
    ),
    "role manifest": ("roles.json", lambda file: read_manifest(file, roles=2), ["Holmes", "孙悟空"], False),
    "evaluation of CoSER": (
        "eval.json",
        lambda file: import_coser(file, file.parent / "out", model="m", judge="j", protocol="head"),
        EVALUATION,
        False,
    ),
    "predictions": ("p.jsonl", scored, ROWS, True),
    "human labels": ("l.jsonl", read_human_labels, LABELS, True),
    "human labels in columns": ("l.csv", read_human_labels, LABELS, True),
    "adapter": ("adapter_config.json", lambda file: load_adapter(file.parent), ADAPTER, False),
    "weights of an adapter": ("adapter_model.safetensors", lambda file: load_adapter(file.parent), ADAPTER, False),
    "manifest of a run": ("manifest.json", result_folder, MANIFEST, False),
    "summary of a run": ("summary.json", result_folder, {"metrics": {"m": {"s": {"mean": 1.0}}}, "info": {}}, False),
    "transcripts": ("t.jsonl", lambda file: list(read_transcripts(file)), ROWS, True),
    "judgements": ("j.jsonl", lambda file: list(read_judgements(file)), ROWS, True),
}


def read(path: Path, reader: Callable[[Path], Any], content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        reader(path)
    except RoleEvalError as error:
        assert str(error)
        assert len(str(error)) < 3000


@pytest.mark.parametrize("kind", READERS)
def test_a_good_file_is_read(kind: str, tmp_path: Path) -> None:
    name, reader, document, lines = READERS[kind]
    if kind in ("transcripts", "judgements", "weights of an adapter", "adapter", "human labels in columns"):
        return  # these are not made by hand
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = "".join(json.dumps(row) + "\n" for row in document) if lines else json.dumps(document)
    path.write_text(whole)
    reader(path)


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_file_is_read_or_refused(kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    name, reader, document, lines = READERS[kind]
    folder = tmp_path_factory.mktemp("fuzz")
    read(folder / name, reader, data.draw(contents(document, lines=lines)))


PYTHON = ["(" * 300, "\x00", "\ud83d", "'", "9" * 5000, "[" * 90_000, ""]
PROMPTS = "critic_prompts = " + repr(
    {"self-play-deduct-template": "{dimension_name} {dimension_criteria} {original_conversation}",
     "dimension_details": {"A": {"dimension_brief": "b", "dimension_criteria": "c"}}}
)  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    place=st.integers(0, len(PROMPTS)),
    extra=st.sampled_from(["(" * 300, "\x00", "\ud83d", "'", "9" * 5000, "[" * 90_000, ""]),
)
def test_any_python_of_a_clone_is_read_or_refused(
    place: int, extra: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clone = tmp_path_factory.mktemp("clone")
    content = (PROMPTS[:place] + extra + PROMPTS[place:]).encode(errors="surrogatepass")
    read(clone / "gca_evaluation" / "prompts.py", lambda _: import_prompts("coser", clone, clone / "out"), content)


PACK = {
    "manifest.yaml": {"name": "a", "version": 1},
    "rubric.yaml": {"scale": [1, 5], "criteria": {"a": "b"}, "criteria_zh": {"a": "c"}},
    "schema.json": {
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "quote": {"type": "string"}},
        "required": ["score"],
    },
}
SAMPLE = Sample("s/0", 0, "s", "Holmes", Persona("Holmes", "", "en"), "Who?", {"refs": ("I.",)})


@pytest.mark.parametrize("name", [*PACK, "user.txt"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_judge_pack_is_used_or_refused(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pack")
    for file, document in PACK.items():
        (folder / file).write_text(json.dumps(document))
    (folder / "system.txt").write_text("{criteria} {low} {high}")
    (folder / "user.txt").write_text("{answer}")
    places = st.binary(max_size=20) | st.text(alphabet="{}answer.question\x00", max_size=30).map(str.encode)

    def use(_: Path) -> None:
        judge = RubricJudge(pack=str(folder), check_quotes=False)
        judge.infos(())
        check_prompts(judge, SAMPLE)

    read(folder / name, use, data.draw(contents(PACK[name]) if name in PACK else places))


CONFIG = {
    "benchmark": {"_target_": "roleeval.benchmarks.rolebench.RoleBench", "splits": ["eng_specific"]},
    "model": {
        "_target_": "roleeval.models.Base",
        "name": "m",
        "source": {"path": "folder", "template_options": {"a": 1}},
        "sampling": {"temperature": 0.5, "top_p": 1.0, "stop": ["x"], "max_tokens": 5},
        "reasoning_marks": "auto",
    },
    "engine": {
        "_target_": "roleeval.engines.openai.OpenAIOptions",
        "base_urls": ["http://127.0.0.1:8000/v1"],
        "extra_body": {"a": {"b": 1}},
        "timeout_s": 1.0,
        "omit": ["top_p"],
    },
    "metrics": {"bleu": {"_target_": "roleeval.metrics.Bleu", "orders": [1, 4]}},
    "judge": {"_target_": "roleeval.judging.RubricJudge", "prices": {"m": {"input": 1.0, "output": 2.0}}},
    "seed": 1,
    "limit": 3,
    "run_name": "r",
    "fail_on_error": 0.5,
    "stages": ["generate", "judge"],
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(config=mutated(CONFIG) | st.dictionaries(st.sampled_from([*CONFIG, "x"]), VALUES))
def test_any_configuration_is_parsed_or_refused(config: Any) -> None:
    if not isinstance(config, dict):
        return
    try:
        parse_config(config)
    except RoleEvalError as error:
        assert str(error)
