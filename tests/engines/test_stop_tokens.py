"""Stop strings that name special tokens, on a real model whose tokenizer hides an ordinary word as a special token."""

import asyncio
import shutil
from pathlib import Path

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.hf import HfOptions
from roleeval.types import Completion, Request, Sampling

PROMPT = "Who are you?"


def answer(model: Path, sampling: Sampling) -> Completion:
    async def main() -> Completion:
        engine = HfOptions(dtype="float32").build(ModelSource(str(model)), LoraNeed())
        await engine.start()
        try:
            return await engine.generate(Request(None, sampling, seed=0, prompt=PROMPT))
        finally:
            await engine.close()

    return asyncio.run(main())


def written(model: Path) -> list[int]:
    """The ids of the twelve tokens that the model writes greedily."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(model)(PROMPT, return_tensors="pt", add_special_tokens=False)["input_ids"]
    output = AutoModelForCausalLM.from_pretrained(model, dtype="float32").generate(
        ids, do_sample=False, max_new_tokens=12, pad_token_id=0
    )
    return [int(token) for token in output[0, ids.shape[1] :]]


def test_hf_stops_at_a_special_token_that_no_text_shows(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    ids = written(tiny_model)
    names = tokenizer.convert_ids_to_tokens(ids)
    # A word with the byte-level mark for a space: its name, unlike its text, shows nowhere.
    place = next(at for at, name in enumerate(names) if at and name[0] == "\u0120" and name not in names[:at])
    before = tokenizer.decode(ids[:place])
    hidden = tmp_path / "model"
    shutil.copytree(tiny_model, hidden)
    tokenizer.add_tokens([names[place]], special_tokens=True)
    tokenizer.save_pretrained(hidden)

    running = answer(hidden, Sampling(max_tokens=12))
    stopped = answer(hidden, Sampling(max_tokens=12, stop=(names[place][:2],)))
    assert running.output_tokens == 12 and "\u0120" not in running.text
    assert (stopped.text, stopped.finish_reason, stopped.output_tokens) == (before, "stop", place + 1)
