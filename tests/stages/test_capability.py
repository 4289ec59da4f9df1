"""What a model cannot do here is said in one line before a run: a reader of the scores must not find it out later."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import case, write
from roleeval_stubs import StubOptions

from roleeval.benchmarks import Actor
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.rules import Rules
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import Abilities, LoraNeed, ModelSource, load_adapter
from roleeval.engines.hf import HfOptions
from roleeval.engines.vllm import VllmOptions
from roleeval.errors import ConfigError
from roleeval.models import Base, SharedLora
from roleeval.resources import zoo_path
from roleeval.stages.capability import Capability, Longest, capability
from roleeval.stages.foresee import foresee
from roleeval.types import AdapterRef, Sampling

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def zoo(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the small base, without weights' cost, with its files edited."""

    def made(**edits: Edit | None) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(zoo_path("base"), folder, copy_function=os.link)
        for name, edit in edits.items():
            file = folder / f"{name}.json"
            content = json.loads(file.read_text())
            file.unlink()
            if edit is not None:
                edit(content)
                file.write_text(json.dumps(content))
        return folder

    return made


def checked(
    source: ModelSource | Path, benchmark: Any = None, *, kind: Any = HfOptions, exact: bool = False, **model: Any
) -> Capability:
    """The capability of a model on a benchmark."""
    source = source if isinstance(source, ModelSource) else ModelSource(str(source))
    family = Base(name="m", source=source, **model)
    actor = acting(family, kind=kind)
    longest = Longest()
    benchmark = benchmark or RoleBench(splits=("eng_general", "zh_specific"))
    for sample in benchmark.samples(limit=None):
        longest.add(sample, benchmark.openings(sample, actor))
    found = capability(actor, longest, exact=exact)
    assert found is not None
    return found


def acting(model: Any, *, kind: Any = HfOptions, engine: Any = None) -> Actor:
    helper = Actor(Base(name="helper", source=model.source, sampling=Sampling(max_tokens=8)), None, 0)  # type: ignore[arg-type]
    built = engine or kind().build(model.source, LoraNeed(1, 8))
    helpers = {name: Actor(helper.model, built, 0) for name in ("environment", "next_speaker")}
    return Actor(model, built, 0, helpers)


@pytest.mark.parametrize("kind", [HfOptions, VllmOptions])
def test_a_model_that_can_do_all_has_its_facts_and_no_warning(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    found = checked(zoo_path("base"), kind=kind)
    assert not found.cannot
    with caplog.at_level(logging.INFO, "roleeval"):
        found.log()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.startswith("capability check of m: the longest first prompt (eng_general/")
    assert "256 new ones, of 16384; answers end at '<|endoftext|>', '<|im_end|>'" in record.message


def test_the_longest_prompt_is_found_among_all_and_counted_by_the_models_own_tokenizer() -> None:
    from roleeval.engines.chat import load_tokenizer, prompt_token_ids

    source, benchmark = ModelSource(str(zoo_path("base"))), RoleBench()
    actor, tokenizer = acting(Base(name="m", source=source)), load_tokenizer(source)
    needed = {}
    for sample in benchmark.samples(limit=None):
        (opening,) = benchmark.openings(sample, actor)
        request = actor.first_request(opening.persona, opening.system, opening.history)
        needed[sample.id] = len(prompt_token_ids(tokenizer, request))
    longest = max(needed, key=lambda name: needed[name])
    fact = checked(source, benchmark, exact=True).facts[0]
    assert f"({longest}) has {needed[longest]} tokens" in fact
    near = int(checked(source, benchmark).facts[0].split(" has about ")[1].split()[0])
    assert abs(near - needed[longest]) < 5  # without transformers


def test_a_system_prompt_that_is_not_sent_does_not_count() -> None:
    fact = checked(zoo_path("base"), RoleBench(splits=("eng_general",)), system_prompt="none").facts[0]
    with_it = checked(zoo_path("base"), RoleBench(splits=("eng_general",))).facts[0]
    assert int(fact.split(" has about ")[1].split()[0]) < int(with_it.split(" has about ")[1].split()[0])


@pytest.mark.parametrize(("context", "fits"), [(430, True), (200, False)])
def test_a_prompt_that_does_not_fit_or_nearly_is_counted_to_the_last_token(zoo: Any, context: int, fits: bool) -> None:
    folder = zoo(config=lambda config: config.update(max_position_embeddings=context))
    found = checked(folder, sampling=Sampling(max_tokens=150))
    assert bool(found.cannot) is not fits
    if not fits:
        assert "and with 150 new ones does not fit into the context of 200" in found.cannot[0]
        assert not any("longest first prompt" in fact for fact in found.facts)


def test_a_run_measures_what_it_asks_and_says_what_it_leaves_out_once(
    zoo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = zoo(config=lambda config: config.update(max_position_embeddings=260))
    model = Base(name="m", source=ModelSource(str(folder)), sampling=Sampling(max_tokens=150))
    config = RunConfig(
        benchmark=RoleBench(),
        model=model,
        engine=HfOptions(),
        metrics={},
        options=RunOptions(progress="quiet"),
        judge=None,
    )
    actor = acting(model)
    with caplog.at_level(logging.WARNING, "roleeval"):
        foresight = foresee(config, actor)
    found = capability(actor, foresight.longest)
    assert foresight.misfits and "cannot fit into the model's context" in caplog.text
    assert found is not None and not found.cannot and "of 260" in found.facts[0]


# What ends an answer


def test_a_model_without_any_end_is_named(zoo: Any) -> None:
    def without(content: dict[str, Any]) -> None:
        content.pop("eos_token", None)
        content.pop("eos_token_id", None)

    def of_llama(content: dict[str, Any]) -> None:  # Qwen2's tokenizers have an end of their own
        without(content)
        content.update(model_type="llama", architectures=["LlamaForCausalLM"])

    folder = zoo(tokenizer_config=without, generation_config=without, config=of_llama)
    (said,) = checked(folder).cannot
    assert said.startswith("no token is known that ends an answer") and "its limit of 256 tokens" in said
    assert not checked(folder, sampling=Sampling(stop=("<|im_end|>",))).cannot


@pytest.mark.parametrize("listed", [True, False])
def test_the_templates_end_of_turn_has_to_be_one_of_them(zoo: Any, listed: bool) -> None:
    """As in a Phi-3, whose tokenizer ends texts and whose generation config alone ends turns."""
    folder = zoo(
        tokenizer_config=lambda content: content.update(eos_token="<|endoftext|>"),
        generation_config=lambda content: content.update(eos_token_id=[0, 2] if listed else 0),
    )
    said = checked(folder).cannot
    if listed:
        assert not said
        return
    assert said[0].startswith("its chat template ends answers with '<|im_end|>', but the only known ends are '<|endof")
    assert "set model.sampling.stop=['<|im_end|>']" in said[0]
    assert not checked(folder, sampling=Sampling(stop=("<|im_end|>",))).cannot
    assert not checked(folder, prompt_format="llama").cannot  # its own prompt: no template


PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}assistant: "


def test_a_template_that_ends_answers_in_words_needs_a_stop_string(zoo: Any, tmp_path: Path) -> None:
    """As one that somebody writes for a base model, which then asks the next question itself."""
    file = tmp_path / "plain.jinja"
    file.write_text(PLAIN)
    broken = {"content": "\n\n", "id": 4095, "special": False, "single_word": False, "lstrip": False, "rstrip": False}
    folder = zoo(tokenizer=lambda content: content["added_tokens"].append(broken | {"normalized": False}))
    source = ModelSource(str(folder), chat_template=str(file))
    said = checked(source).cannot[0]
    assert "ends answers with no token, but with 'user:'" in said and "set model.sampling.stop=['user:']" in said
    source = ModelSource(str(zoo_path("base")), chat_template=str(file))
    assert checked(source).cannot == [said]
    assert not checked(source, sampling=Sampling(stop=("user:",))).cannot
    assert not checked(source, prompt_format="llama").cannot


def test_a_template_has_to_begin_as_the_tokenizer_begins_every_text(zoo: Any, tmp_path: Path) -> None:
    """A Gemma that is not sent its <bos> writes nonsense, and a template of one's own easily forgets it."""

    def begins(content: dict[str, Any]) -> None:
        pieces = [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        special = {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}
        content["post_processor"] = {
            "type": "TemplateProcessing",
            "single": pieces,
            "pair": pieces,
            "special_tokens": special,
        }

    folder = zoo(tokenizer=begins)
    (said,) = checked(folder).cannot
    assert said.startswith("its tokenizer begins every text with '<|endoftext|>', and its chat template does not")
    file = tmp_path / "with.jinja"
    file.write_text("<|endoftext|>" + (folder / "chat_template.jinja").read_text())
    assert not checked(ModelSource(str(folder), chat_template=str(file))).cannot
    assert not checked(folder, prompt_format="llama").cannot


def test_ends_of_a_folder_without_generation_config_are_the_configurations(zoo: Any) -> None:
    folder = zoo(generation_config=None, config=lambda content: content.update(eos_token_id=[0, 7]))
    assert [*able(folder).ends.values()] == [0, 2, 7]


def able(folder: Path) -> Abilities:
    found: Abilities = HfOptions().build(ModelSource(str(folder)), LoraNeed()).abilities
    return found


def test_ends_are_those_at_which_an_engine_stops(zoo: Any) -> None:
    """By transformers' own reading of the files."""
    from transformers import AutoTokenizer, GenerationConfig

    for folder in (zoo_path("base"), *fetched()[:1]):  # the second has a tokenizer of 33 MB
        generation, tokenizer = GenerationConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        listed = generation.eos_token_id if isinstance(generation.eos_token_id, list) else [generation.eos_token_id]
        assert set(able(folder).ends.values()) == {*listed, tokenizer.eos_token_id} - {None}


# Decoding that a model asks for


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"do_sample": True, "temperature": 0.6, "top_p": 1.0}, "asks for temperature=0.6, and this run uses temperat"),
        ({"temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05}, "temperature=0.0, top_k=0, repetition_penalty"),
        ({"do_sample": False, "temperature": 0.6}, ""),
        ({"do_sample": False, "repetition_penalty": 1.2}, "asks for repetition_penalty=1.2, and this run uses repet"),
        ({"top_k": None, "temperature": "hot"}, ""),
    ],
)
def test_decoding_that_the_run_does_otherwise_is_named_with_both_values(
    zoo: Any, asked: dict[str, Any], said: str
) -> None:
    def edit(content: dict[str, Any]) -> None:
        content.pop("do_sample")
        content.update(asked)

    found = checked(zoo(generation_config=edit))
    assert not found.cannot
    assert [said in fact for fact in found.facts if "generation config" in fact] == ([True] if said else [])


# What the chat template writes around turns

CHATML = "{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor -%}"
DEFAULT = "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\nI am a mill.<|im_end|>\n' }}{%- endif -%}"


def with_template(tmp_path: Path, template: str, **options: Any) -> ModelSource:
    file = tmp_path / "chat.jinja"
    file.write_text(template)
    return ModelSource(str(zoo_path("base")), chat_template=str(file), **options)


@pytest.mark.parametrize(
    ("model", "source", "said"),
    [({}, {}, False), ({"system_prompt": "none"}, {}, True), ({}, {"fold_system": True}, True)],
)
def test_a_system_prompt_that_nobody_gave_is_quoted(
    tmp_path: Path, model: dict[str, Any], source: dict[str, Any], said: bool
) -> None:
    found = checked(with_template(tmp_path, DEFAULT + CHATML, **source), **model)
    assert not found.cannot
    sentence = "no system turn is sent, and its chat template writes one of its own: 'I am a mill.'"
    assert (sentence in found.facts) is said


@pytest.mark.parametrize(
    ("end", "model", "said"),
    [
        (
            "<think>\n\n</think>\n\n",
            {"always_reasons": True},
            "it reasons before every answer (model.always_reasons), but",
        ),
        ("<think>\n\n</think>\n\n", {}, ""),
        ("<think>\n", {"always_reasons": True}, ""),
        (
            "<think>\n",
            {"prefill": "<system_thinking>"},
            "its chat template opens reasoning ('<think>'), and model.pref",
        ),
        ("", {"prefill": "<system_thinking>", "always_reasons": True}, ""),
    ],
)
def test_a_family_that_begins_otherwise_than_the_template_is_named(
    tmp_path: Path, end: str, model: dict[str, Any], said: str
) -> None:
    template = CHATML + "{{ '<|im_start|>assistant\n' }}" + (f"{{{{ {end!r} }}}}" if end else "")
    cannot = checked(with_template(tmp_path, template), **model).cannot
    assert [each[: len(said)] for each in cannot] == ([said] if said else [])


# What a later call of an episode sends is refused before the first one

ONE_ANSWER = (
    "{%- if messages | selectattr('role', 'equalto', 'assistant') | list -%}{{ raise_exception('one question') }}"
)
ONE_ANSWER += "{%- endif -%}" + CHATML
NO_NEIGHBOURS = "{%- for m in messages[1:] -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}"
NO_NEIGHBOURS += "{{ raise_exception('roles must alternate') }}{%- endif -%}{%- endfor -%}" + CHATML


@pytest.mark.parametrize(
    ("template", "merge", "said"),
    [(ONE_ANSWER, True, "one question"), (NO_NEIGHBOURS, False, "must alternate"), (NO_NEIGHBOURS, True, "")],
)
def test_a_template_that_cannot_express_a_later_turn_ends_the_run_before_it_begins(
    tmp_path: Path, template: str, merge: bool, said: str
) -> None:
    source = with_template(tmp_path, template)
    benchmark = Coser(data_file=str(write(tmp_path, [case(0)])), protocol=Rules(merge_neighbours=merge))
    config = RunConfig(
        benchmark=benchmark,
        model=Base(name="m", source=source),
        engine=HfOptions(),
        metrics={},
        options=RunOptions(progress="quiet"),
        judge=None,
    )
    with pytest.raises(ConfigError, match=f"chat template of .* refused .*{said}") if said else nullcontext():
        foresee(config, acting(config.model))


def test_a_raw_prompt_of_one_question_is_refused_for_scenes_before_they_begin(tmp_path: Path) -> None:
    benchmark = Coser(data_file=str(write(tmp_path, [case(0)])))
    model = Base(name="m", source=ModelSource(str(zoo_path("base"))), prompt_format="llama")
    config = RunConfig(
        benchmark=benchmark,
        model=model,
        engine=HfOptions(),
        metrics={},
        options=RunOptions(progress="quiet"),
        judge=None,
    )
    with pytest.raises(ConfigError, match="prompt_format"):
        foresee(config, acting(model))


# Tokenizer, weights and adapters


def test_tokens_that_the_weights_do_not_have_are_named(zoo: Any) -> None:
    def edit(content: dict[str, Any]) -> None:
        for token in content["added_tokens"]:
            if token["content"] == "<|im_start|>":
                token["id"] = content["model"]["vocab"][token["content"]] = 5000

    (said,) = checked(zoo(tokenizer=edit)).cannot
    assert said.startswith("its weights have no embedding for '<|im_start|>'")


def adapter(tmp_path: Path, files: dict[str, str]) -> AdapterRef:
    folder = tmp_path / "adapter"
    shutil.copytree(zoo_path("shared_lora"), folder)
    for name, text in files.items():
        (folder / name).write_text(text)
    return load_adapter(folder)


def of_adapter(tmp_path: Path, files: dict[str, str]) -> Sequence[str]:
    source, path = ModelSource(str(zoo_path("base"))), adapter(tmp_path, files).path
    found = capability(acting(SharedLora(name="m", source=source, adapter_path=path)), Longest())
    assert found is not None
    return found.cannot


def test_an_adapter_with_another_tokenizer_is_named(tmp_path: Path) -> None:
    tokenizer = json.loads((zoo_path("base") / "tokenizer.json").read_text())
    entry = {**tokenizer["added_tokens"][0], "id": 4096, "content": "<|role|>"}
    tokenizer["added_tokens"].append(entry)
    (said,) = of_adapter(tmp_path, {"tokenizer.json": json.dumps(tokenizer)})
    assert said.startswith("1 of 1 adapters come with a tokenizer of other tokens than the model's")
    assert "for example adapter: '<|role|>'." in said


def test_an_adapter_with_the_models_own_tokenizer_and_template_is_silent(tmp_path: Path) -> None:
    own = zoo_path("base")
    text = json.dumps(json.loads((own / "tokenizer.json").read_text()), indent=1)  # other bytes, the same tokens
    template = (own / "chat_template.jinja").read_text()
    config = json.dumps({"chat_template": template})
    assert not of_adapter(tmp_path, {"tokenizer.json": text, "tokenizer_config.json": config})


def test_an_adapter_with_another_chat_template_is_named(tmp_path: Path) -> None:
    (said,) = of_adapter(tmp_path, {"chat_template.jinja": "{{ messages[0]['content'] }}"})
    assert said.startswith("1 of 1 adapters come with another chat template than the model's, for example adapter")


# Episodes that grow


def test_scenes_say_from_which_turn_on_the_context_may_run_out(zoo: Any, tmp_path: Path) -> None:
    benchmark = Coser(data_file=str(write(tmp_path, [case(0)])), protocol=Rules(rounds=20, word_limit=5))
    folder = zoo(config=lambda config: config.update(max_position_embeddings=1000))
    model = {"sampling": Sampling(max_tokens=50)}
    longest = int(checked(folder, benchmark, exact=True, **model).facts[0].split(" has ")[1].split()[0])
    found = checked(folder, benchmark, exact=True, **model)
    first = 2 + (1000 - longest - 50) // 50
    assert not found.cannot and first < 20
    assert f"the context may run out from turn {first} of 20 on (a turn has up to 50 tokens)" in found.facts
    short = checked(folder, benchmark, exact=True, sampling=Sampling(max_tokens=10))
    assert not short.cannot and not any("may run out" in fact for fact in short.facts)
    wordy = Coser(data_file=benchmark.data_file, protocol=Rules(rounds=20, word_limit=60))
    (said,) = checked(folder, wordy, exact=True, **model).cannot
    assert said.startswith("at the usual length of turns the context of 1000 tokens runs out about turn ")


# Real models


def fetched() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "roleeval" / "models"
    return [folder for name in ("smollm2-135m", "gemma3-270m") if (folder := cache / name).is_dir()]


def test_real_models_that_are_here() -> None:
    models = {folder.name: folder for folder in fetched()}
    if not models:
        pytest.skip("no model was fetched (roleeval zoo fetch)")
    if instruct := models.get("smollm2-135m"):
        found = checked(instruct)
        assert not found.cannot and found.facts[-1] == "answers end at '<|im_end|>'" and "of 8192" in found.facts[0]
    if base := models.get("gemma3-270m"):
        found = checked(base, prompt_format="llama")
        assert not found.cannot and found.facts[-1] == "answers end at '<eos>'" and "of 32768" in found.facts[0]


def test_an_engine_that_knows_nothing_of_its_model_says_nothing() -> None:
    source = ModelSource("x")
    actor = acting(Base(name="m", source=source), engine=StubOptions().build(source, LoraNeed()))
    assert capability(actor, Longest()) is None


def test_a_model_without_a_tokenizer_is_left_to_the_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}')
    assert capability(acting(Base(name="m", source=ModelSource(str(tmp_path)))), Longest()) is None
