"""Any Hugging Face model as the base of adapters: loaded once, and refused where it cannot be trained as it is used."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.engines import ModelSource, model_fingerprint
from roleeval.engines.chat import load_tokenizer, render_prompt
from roleeval.engines.fingerprint import pinned
from roleeval.engines.template import Prompts, Template
from roleeval.errors import ConfigError, EngineError, cause_of
from roleeval.resources import zoo_path
from roleeval.types import ChatRole, Message, Request, Sampling
from roleeval.zoo._documents import Document
from roleeval.zoo._encode import Encoder, messages_of
from roleeval.zoo._models import linear_modules
from roleeval.zoo._pack import IGNORED, Encoded, collate, collate_separate, pack
from roleeval.zoo._train import answer_loss, hidden_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ZOO = "zoo:"
# What templates write that ask for the date: training must not depend on the day.
_DATE = "2026-01-31"
_FORMS: tuple[dict[str, bool], ...] = (
    {},
    {"fold_system": True},
    {"merge_neighbours": True},
    {"fold_system": True, "merge_neighbours": True},
)
# In nats: a wrong mask or head is off by much more, bfloat16 by less.
_SAME_LOSS = {"float32": 1e-3, "bfloat16": 0.1}


@dataclass(frozen=True)
class RealBase:
    """A base model in a folder or on the hub.

    Attributes:
        given: as the user names it.
        source: where it is, and how its template takes chats.
        dtype: of its weights in training: float32 or bfloat16.
        device: where it is trained.
    """

    given: str
    source: ModelSource
    dtype: str
    device: str

    @cached_property
    def fingerprint(self) -> str:
        """Hash of its weights, configuration, tokenizer and template."""
        return model_fingerprint(self.source)

    @property
    def name(self) -> str:
        """What adapters call it: a name, and no path of this machine."""
        local = Path(self.source.path).is_dir() and not self.given.startswith(_ZOO)
        return Path(self.given).resolve().name if local else self.given

    @cached_property
    def model(self) -> "PreTrainedModel":
        """Its weights, frozen.

        Raises:
            ConfigError: they cannot be loaded.
        """
        import torch
        from transformers import AutoModelForCausalLM

        try:
            model = AutoModelForCausalLM.from_pretrained(
                self.source.path, revision=self.source.revision, dtype=getattr(torch, self.dtype)
            )
            placed: PreTrainedModel = model.to(self.device).requires_grad_(False)
        except Exception as error:  # transformers and torch have dozens of kinds
            raise ConfigError(f"--base {self.given}: cannot be loaded: {cause_of(error)}") from error
        placed.config.use_cache = False
        return placed

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Last names of the modules that get a LoRA."""
        return linear_modules(self.model)

    @property
    def context(self) -> int:
        """Tokens that it can read; 0: its configuration does not say."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.source.path, revision=self.source.revision)
        return int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 0)


def open_base(given: str, *, chat_template: str | None, dtype: str, device: str) -> RealBase:
    """Finds a base; loads nothing.

    Raises:
        ConfigError: there is none, or this machine has no such device.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"--device {device}: torch sees no GPU here")
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    path = str(zoo_path(given.removeprefix(_ZOO))) if given.startswith(_ZOO) else given
    folder = Path(path)
    if not folder.is_dir() and (folder.is_absolute() or given.startswith((".", "~")) or given.count("/") > 1):
        raise ConfigError(f"--base {given}: no such folder")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ConfigError(f"--base {given}: no model: there is no config.json in it")
    try:
        source = pinned(ModelSource(path, chat_template=chat_template))
    except EngineError:
        raise ConfigError(
            f"--base {given}: neither a folder nor a model that the hub returned; give a folder, a hub id or zoo:NAME"
        ) from None
    return RealBase(given, source, dtype, device)


def base_encoder(base: RealBase, documents: Iterable[Document], *, limit: int) -> Encoder:
    """The encoder of a base whose template takes these documents, folded or merged where it must be.

    Raises:
        ConfigError: no chat template, or none of the ways fits; see Encoder.check.
    """
    tokenizer = load_tokenizer(base.source)
    if not tokenizer.chat_template:
        raise ConfigError(
            f"--base {base.given}: no chat template; give one (--chat-template FILE, in Jinja), and use the model"
            " with it afterwards (model.source.chat_template=FILE)"
        )
    orders = {tuple(message.role for message in messages_of(document)) for document in documents}
    source = base.source
    template = Template.of(source)
    if template is not None and template.dated:
        source = replace(source, template_date=_DATE)
    ends = _end_tokens(base, tokenizer)
    first: ConfigError | None = None
    for form in _FORMS:
        encoder = Encoder(tokenizer, replace(source, **form), ends, limit)  # type: ignore[arg-type]
        try:
            _try_orders(encoder, orders)
            encoder.check()
        except ConfigError as error:
            first = first or error
        else:
            return encoder
    assert first is not None
    raise first


def _try_orders(encoder: Encoder, orders: Iterable[tuple[ChatRole, ...]]) -> None:
    prompts = Prompts(encoder.source)
    for roles in sorted(orders):
        chat = tuple(Message(role, f"Probe{number}") for number, role in enumerate(roles))
        try:
            render_prompt(encoder.tokenizer, Request(chat, Sampling(), 0), prompts=prompts)
        except EngineError as error:
            raise ConfigError(str(error)) from error


def _end_tokens(base: RealBase, tokenizer: Any) -> tuple[int, ...]:
    """Where engines stop: the tokenizer's end token, and those of the generation config."""
    from transformers import GenerationConfig

    ends = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    try:
        said = GenerationConfig.from_pretrained(base.source.path, revision=base.source.revision).eos_token_id
    except OSError:  # there is none
        said = None
    more = said if isinstance(said, list) else [] if said is None else [said]
    return tuple(dict.fromkeys([*ends, *map(int, more)]))


def takes_packs(base: RealBase, documents: list[Encoded]) -> bool:
    """Whether several documents in one row have the losses that they have alone; measured on this base.

    Raises:
        ConfigError: they have other losses even in rows of their own: the model makes its logits in a way that the
            training does not.
    """
    import torch

    by_length = sorted(documents, key=lambda document: len(document.prefix) + len(document.body))
    (((prefix, role), _),) = Counter((document.prefix, document.role) for document in documents).most_common(1)
    alike = [document for document in by_length[:-1] if (document.prefix, document.role) == (prefix, role)]
    few = [*alike[-2:], by_length[-1]]
    packs = pack(few, max_tokens=1 << 30, seed=0)
    allowed = _SAME_LOSS[base.dtype]
    base.model.eval()
    with torch.no_grad():
        alone = _own_losses(base.model, few)
        for made, packed in ((collate, True), (collate_separate, False)):
            try:
                batch = made(packs).to(base.model.device)
                loss = float(answer_loss(base.model, hidden_states(base.model, batch.ids, batch), batch.labels))
            except (ValueError, RuntimeError, TypeError, AttributeError, IndexError):  # masks that it does not take
                continue
            if abs(loss - alone) <= allowed:
                return packed
    raise ConfigError(
        f"--base {base.given}: its losses cannot be reproduced ({alone:.3f} nats a token expected): models that change"
        " their logits after the output layer are not supported"
    )


def _own_losses(model: "PreTrainedModel", documents: list[Encoded]) -> float:
    """Mean loss of the answers' tokens, with the model's own logits, document by document."""
    import torch

    total, count = 0.0, 0
    for document in documents:
        ids = torch.tensor([[*document.prefix, *document.body]], device=model.device)
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        labels = torch.full_like(ids[0], IGNORED)
        start = len(document.prefix) + document.prompt_length
        labels[start:] = ids[0, start:]
        for begin, stop in document.earlier:
            place = slice(len(document.prefix) + begin, len(document.prefix) + stop)
            labels[place] = ids[0, place]
        wanted = labels[1:] != IGNORED
        total += float(torch.nn.functional.cross_entropy(logits[wanted], labels[1:][wanted], reduction="sum"))
        count += int(wanted.sum())
    return total / count
