"""From documents to batches: chats that share a system prompt are packed after one copy of it.

A pack is one row of a batch. Its segment 0 is the shared prefix; every other segment (a question with its answer, or a
text) sees the prefix and itself, at the positions it would have alone. So a pack's losses equal those of its
separate conversations, with a fraction of the tokens.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from roleeval.zoo._documents import Chat, Text
from roleeval.zoo._tokenizer import END_OF_TEXT, TURN_END, TURN_START

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
_PADDING = -1


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document as tokens.

    Attributes:
        prefix: what it may share with others (the system turn).
        body: the rest.
        prompt_length: how much of the body carries no loss.
        question: start and end of the question's own tokens in the body.
        role: index of the persona who answers, or -1.
        earlier: starts and ends of the answerer's earlier turns in the body, where these carry loss as well.
    """

    prefix: tuple[int, ...]
    body: tuple[int, ...]
    prompt_length: int
    question: tuple[int, int] = (0, 0)
    role: int = -1
    earlier: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Pack:
    """One row: token ids, positions, segment numbers (0 is the prefix), labels, 1 at a question, the role."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    segments: tuple[int, ...]
    labels: tuple[int, ...]
    questions: tuple[int, ...]
    role: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of shape [packs, tokens].

    mask [packs, 1, tokens, tokens] is True where a token may look, ends where a document's last token stands; roles
    [packs] is the persona of all of a pack's documents.
    """

    ids: "torch.Tensor"
    positions: "torch.Tensor"
    labels: "torch.Tensor"
    questions: "torch.Tensor"
    mask: "torch.Tensor"
    ends: "torch.Tensor"
    roles: "torch.Tensor"

    def to(self, device: "torch.device") -> "Batch":
        """The same batch on a device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def encode(document: Chat | Text, tokenizer: "PreTrainedTokenizerFast") -> Encoded:
    """Tokenises a document for the project's own base model, where turns may carry a role's name.

    What adapters are trained on is what a model in use is sent: `_encode.Encoder`.
    """
    if isinstance(document, Text):
        end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
        return Encoded((), (end, *_ids(document.text, tokenizer), end), 1)
    prefix: tuple[int, ...] = ()
    if document.system:
        prefix = _ids(_turn(tokenizer, "system", document.system), tokenizer)
    # Rendered apart and joined: the turns' marks are tokens of their own, so the tokens are those of the whole chat.
    asked = _ids(_turn(tokenizer, "user", document.user), tokenizer)
    prompt = asked + _ids(f"{TURN_START}{document.speaker}\n", tokenizer)
    head, tail = len(_ids(f"{TURN_START}user\n", tokenizer)), len(_ids(f"{TURN_END}\n", tokenizer))
    answer = (*_ids(document.answer, tokenizer), tokenizer.eos_token_id)
    return Encoded(prefix, prompt + answer, len(prompt), (head, len(asked) - tail), document.role)


def pack(documents: Sequence[Encoded], *, max_tokens: int, seed: int) -> list[Pack]:
    """Shuffles documents and fills packs of at most `max_tokens` (one longer document still gets a pack of its own).

    The documents of a pack share prefix and role.
    """
    order = random.Random(seed)
    groups: dict[tuple[tuple[int, ...], int], list[Encoded]] = {}
    for document in documents:
        groups.setdefault((document.prefix, document.role), []).append(document)
    packs: list[Pack] = []
    for (prefix, _), members in groups.items():
        order.shuffle(members)
        chosen: list[Encoded] = []
        used = len(prefix)
        for document in members:
            if chosen and used + len(document.body) > max_tokens:
                packs.append(_join(prefix, chosen))
                chosen, used = [], len(prefix)
            chosen.append(document)
            used += len(document.body)
        packs.append(_join(prefix, chosen))
    order.shuffle(packs)
    return packs


def separate(packs: Sequence[Pack]) -> list[Pack]:
    """The same documents with a row each, for models that read one text a row."""
    rows = []
    for row in packs:
        for number in range(1, max(row.segments) + 1):
            kept = [place for place, segment in enumerate(row.segments) if segment in (0, number)]
            parts = (row.ids, row.positions, row.segments, row.labels, row.questions)
            ids, positions, segments, labels, questions = (tuple(part[place] for place in kept) for part in parts)
            rows.append(Pack(ids, positions, segments, labels, questions, row.role))
    return rows


def collate(packs: Sequence[Pack], *, multiple: int = 1) -> Batch:
    """Pads packs to one length, a multiple of `multiple`, and builds the attention mask."""
    import torch

    length = -(-max(len(row.ids) for row in packs) // multiple) * multiple

    def rows(values: Sequence[tuple[int, ...]], filler: int) -> torch.Tensor:
        return torch.tensor([[*row, *[filler] * (length - len(row))] for row in values])

    segments = rows([row.segments for row in packs], _PADDING)
    same = segments[:, :, None] == segments[:, None, :]
    in_prefix = segments[:, None, :] == 0
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = (same | in_prefix) & causal
    return Batch(
        rows([row.ids for row in packs], 0),
        rows([row.positions for row in packs], 0),
        rows([row.labels for row in packs], IGNORED),
        rows([row.questions for row in packs], 0).bool(),
        mask[:, None],
        rows([_ends(row.segments) for row in packs], 0).bool(),
        torch.tensor([row.role for row in packs]),
    )


def collate_separate(packs: Sequence[Pack], *, multiple: int = 1) -> Batch:
    """The batch of the same documents with a row each, and an ordinary attention mask [documents, tokens]."""
    import torch

    rows = separate(packs)
    batch = collate(rows, multiple=multiple)
    lengths = torch.tensor([len(row.ids) for row in rows])
    mask = torch.arange(batch.ids.shape[1])[None] < lengths[:, None]
    return replace(batch, mask=mask.long())


def _join(prefix: tuple[int, ...], members: Sequence[Encoded]) -> Pack:
    ids, segments, labels = list(prefix), [0] * len(prefix), [IGNORED] * len(prefix)
    positions = list(range(len(prefix)))
    questions = [0] * len(prefix)
    for number, member in enumerate(members, 1):
        ids += member.body
        positions += range(len(prefix), len(prefix) + len(member.body))
        segments += [number] * len(member.body)
        taught = [IGNORED] * member.prompt_length + list(member.body[member.prompt_length :])
        for begin, stop in member.earlier:
            taught[begin:stop] = member.body[begin:stop]
        labels += taught
        start, end = member.question
        questions += [0] * start + [1] * (end - start) + [0] * (len(member.body) - end)
    return Pack(tuple(ids), tuple(positions), tuple(segments), tuple(labels), tuple(questions), members[0].role)


def _ends(segments: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(
        int(here > 0 and here != after) for here, after in zip(segments, (*segments[1:], _PADDING), strict=True)
    )


def _turn(tokenizer: "PreTrainedTokenizerFast", role: str, content: str) -> str:
    return str(tokenizer.apply_chat_template([{"role": role, "content": content}], tokenize=False))


def _ids(text: str, tokenizer: "PreTrainedTokenizerFast") -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
