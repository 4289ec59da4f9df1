"""What a model's files say that it can do here: read before anything is loaded, without weights and mostly without
transformers, whose import alone takes seconds.

    how many tokens is a prompt, of how many                     Abilities.prompt, .context
    which tokens begin a text, and does the template write them  Abilities.unbegun
    which tokens end an answer, and does the template's end it   Abilities.ends, .unended, .end_in_words
    which decoding do its authors ask for                        Abilities.asked_for
    do tokenizer, weights and adapters belong together           Abilities.unread, .other_vocabulary, .other_template
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from roleeval.engines._base_modules import EMBEDDINGS, stored_modules
from roleeval.engines._model_files import model_file, model_json, token_content
from roleeval.engines._protocol import ModelSource
from roleeval.engines.chat import load_tokenizer, prompt_token_ids
from roleeval.engines.habits import Habits
from roleeval.engines.template import Prompts, Template
from roleeval.types import Request, Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_DECODING = ("temperature", "top_p", "top_k", "repetition_penalty")
_SAMPLED = ("temperature", "top_p", "top_k")  # without effect where generation_config.json says do_sample=false


@dataclass(frozen=True)
class Abilities:
    """A model as it is served here.

    Attributes:
        source: the model.
        prompts: the engine's, with the template and its date.
        context: tokens of prompt and answer together that the engine serves; None where no file says so.
    """

    source: ModelSource
    prompts: Prompts
    context: int | None

    def prompt(self, request: Request, *, exact: bool) -> list[int]:
        """The token ids that a request's prompt has.

        Args:
            request: what is asked.
            exact: load the tokenizer with transformers, as the engine does. The same tokenizer.json without it is a few
                tokens off where transformers replaces a part of it (Qwen2's splitting of numbers).

        Raises:
            ConfigError, EngineError: see engines.chat.prompt_token_ids.
        """
        text = None if exact or self._file is None else self.prompts.text(request)
        if text is None or self._file is None:
            return prompt_token_ids(self._loaded, request, prompts=self.prompts)
        special = request.prompt_special_tokens and request.messages is None
        return list(self._file.encode(text, add_special_tokens=special).ids)

    def _name(self, token: int) -> str:
        name = self._loaded.convert_ids_to_tokens(token) if self._file is None else self._file.id_to_token(token)
        return name or f"token {token}"

    @property
    def habits(self) -> Habits:
        """What the chat template writes around turns."""
        return Habits(self.prompts.template)

    @cached_property
    def ends(self) -> Mapping[str, int]:
        """Name -> id of the tokens that end an answer: the tokenizer's, and those of the generation config."""
        found = set(self._named_end())
        for value in (self._generation.get("eos_token_id"), *(() if self._generation else self._configured_ends())):
            found.update(value if isinstance(value, list) else [value])
        ids = sorted(token for token in found if isinstance(token, int))
        return {self._name(token): token for token in ids}

    def _named_end(self) -> list[int]:
        for file in ("tokenizer_config.json", "special_tokens_map.json"):
            name = token_content(model_json(self.source, file).get("eos_token"))
            if name and self._file is not None and (known := self._file.token_to_id(name)) is not None:
                return [known]
        # A class of tokenizers may have an end of its own that no file names.
        own = self._loaded.eos_token_id
        return [] if own is None else [int(own)]

    def _configured_ends(self) -> list[Any]:
        config = model_json(self.source, "config.json")
        inner = config.get("text_config")
        return [each.get("eos_token_id") for each in (config, inner) if isinstance(each, dict)]

    def unended(self, sampling: Sampling) -> str:
        """The token by which the chat template ends an answer, where nothing ends one there; "" for all other models.

        A model that was trained with the template writes that token, and goes on, often with the next user turn.
        """
        after = self.habits.after_answer.lstrip()
        names = [name for name in self._added if after.startswith(name)]
        end = max(names, key=len, default="")
        stops = any(stop and end.startswith(stop) for stop in sampling.stop)
        return "" if stops or self._added.get(end) in self.ends.values() else end

    def end_in_words(self, sampling: Sampling) -> str:
        """The line that the chat template writes after an answer, where no token ends answers there; else "".

        As for base models with a template of somebody's own: only a stop string keeps them from asking the next
        question themselves.
        """
        after = self.habits.after_answer
        tokens = [name for name in self._added if name.strip()]  # Gemma has tokens of line breaks alone
        held = any(name in after for name in (*tokens, *filter(None, sampling.stop)))
        return "" if held or not after.strip() else after.strip().splitlines()[0]

    def unbegun(self, ids: Sequence[int]) -> list[str]:
        """The tokens that the tokenizer puts in front of every text, where a prompt does not begin with them."""
        front = self._front
        return [] if list(ids[: len(front)]) == front else [self._name(token) for token in front]

    @cached_property
    def _front(self) -> list[int]:
        if self._file is not None:
            whole, bare = (list(self._file.encode("a", add_special_tokens=special).ids) for special in (True, False))
        else:
            whole, bare = (list(self._loaded.encode("a", add_special_tokens=special)) for special in (True, False))
        return whole[: whole.index(bare[0])] if bare and bare[0] in whole else []

    def asked_for(self, sampling: Sampling) -> Mapping[str, tuple[float, float]]:
        """Decoding that the model's generation config asks for and a run does not do: name -> (its value, the run's).

        Every value is the run's own: engines take none of these from the model.
        """
        asked = self._generation
        names = [name for name in _DECODING if isinstance(asked.get(name), int | float)]
        if asked.get("do_sample") is False:
            names = [name for name in names if name not in _SAMPLED]
        values = {name: (asked[name], getattr(sampling, name)) for name in names}
        return {name: (its, own) for name, (its, own) in values.items() if its != own}

    def unread(self, ids: Sequence[int]) -> list[str]:
        """Tokens of a prompt for which the weights have no embedding."""
        rows = self._rows
        return [] if rows is None else sorted({self._name(token) for token in ids if token >= rows})

    @cached_property
    def _rows(self) -> int | None:
        modules = stored_modules(self.source)
        sizes = [size[0] for name, size in modules.items() if name.rpartition(".")[2] in EMBEDDINGS]
        return min(sizes, default=None)

    def other_vocabulary(self, adapter: Path) -> list[str]:
        """Tokens of a tokenizer that lies in an adapter's folder which the model's own lacks, or numbers otherwise."""
        theirs, own = _file_of(ModelSource(str(adapter))), self._file
        if own is None or theirs is None or self._same_file(adapter, "tokenizer.json"):
            return []
        known = own.get_vocab(with_added_tokens=True)
        tokens = theirs.get_vocab(with_added_tokens=True).items()
        return [name for name, number in sorted(tokens, key=lambda token: token[1]) if known.get(name) != number]

    def other_template(self, adapter: Path) -> bool:
        """Whether a chat template lies in an adapter's folder that is not the one in use."""
        theirs, own = Template.of(ModelSource(str(adapter))), Template.of(self.source)
        if theirs is None or self.source.chat_template or self.source.template_options:
            return False
        return own is None or theirs.text.strip() != own.text.strip()

    def _same_file(self, adapter: Path, name: str) -> bool:
        return model_file(ModelSource(str(adapter)), name) == model_file(self.source, name)

    @cached_property
    def _generation(self) -> Mapping[str, Any]:
        return model_json(self.source, "generation_config.json")

    @cached_property
    def _file(self) -> "Tokenizer | None":
        return None if self.source.trust_remote_code else _file_of(self.source)

    @cached_property
    def _loaded(self) -> Any:
        return load_tokenizer(self.source)

    @cached_property
    def _added(self) -> Mapping[str, int]:
        """Name -> id of the tokens that no text is split into."""
        added = self._loaded.added_tokens_decoder if self._file is None else self._file.get_added_tokens_decoder()
        return {token.content: number for number, token in added.items()}


@runtime_checkable
class Able(Protocol):
    """An engine that knows what its model can do before it is loaded."""

    @property
    def abilities(self) -> Abilities | None:
        """By the model's files; None where an engine in front of it does not know."""
        ...


def _file_of(source: ModelSource) -> "Tokenizer | None":
    """The tokenizer in tokenizer.json, as it tokenises without transformers; None where there is none to be read."""
    from tokenizers import Tokenizer

    text = model_file(source, "tokenizer.json")
    try:
        found = Tokenizer.from_str(text) if text else None
    except Exception:  # the library raises plain Exceptions
        return None
    if found is not None:  # some are saved with what training needed
        found.no_truncation()
        found.no_padding()
    return found
