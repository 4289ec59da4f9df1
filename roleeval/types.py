"""The plain data of roleeval: requests and replies, samples and transcripts, scores.

Frozen, without behaviour. Engines see Request and Completion; benchmarks turn a Sample into a Transcript; metrics turn
both into Score rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ChatRole = Literal["system", "user", "assistant"]
Language = Literal["en", "zh"]
# What a turn's speaker is in its episode: a word that the benchmark chooses. MODEL alone means the same everywhere.
Part = str
MODEL: Part = "model"  # the model under test
FinishReason = Literal["stop", "length", "content_filter", "error"]
Status = Literal[
    "ok",
    "no_answer",
    "truncated_reasoning",
    "refused",
    "unsupported_role",
    "context_overflow",
    "over_budget",
    "judge_failed",
    "engine_failed",
    "metric_failed",
]
# Of a call that brought no reply: the engine failed, what was to be sent does not fit into the model's context, or the
# budget was spent before.
WITHOUT_REPLY: frozenset[Status] = frozenset({"engine_failed", "context_overflow", "over_budget"})


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: ChatRole
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Decoding parameters; the defaults are greedy.

    Attributes:
        temperature: 0 is greedy.
        top_p: nucleus mass in (0, 1].
        top_k: 0 is off.
        repetition_penalty: 1 is off.
        max_tokens: new tokens at most.
        stop: strings that end the text; they are not part of it. A special token whose name begins with one of them
            ends the text as well, although special tokens never show in a text.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """A LoRA adapter in PEFT's folder layout.

    Attributes:
        name: what a person calls it; for the openai engine the served model name.
        path: the folder; empty where a server holds the adapter.
        fingerprint: hash of its weights and configuration; what the store's key holds.
        rank: its largest rank (0 where a server holds the adapter).
        modules: last names of the modules that it is on ("q_proj"); empty where they are not known.
    """

    name: str
    path: str
    fingerprint: str
    rank: int = 0
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an engine: a chat or a raw prompt, and everything that determines the text.

    Attributes:
        messages: the chat; None for a raw prompt.
        prompt: text passed to the model as it is; None for a chat.
        prompt_special_tokens: the tokenizer puts its own special tokens around a raw prompt (ChatGLM2's prefix, which
            no text stands for); a chat template writes them itself.
        sampling: decoding parameters.
        adapter: the LoRA adapter to use, or none.
        prefill: text the assistant's turn is opened with; part of the completion's text.
        json_schema: JSON text of a schema that constrains the output, or none.
        seed: of this call; derived from run seed, sample, turn, speaker and attempt.
        attempt: 0 for the first try; a retry is another call.
        scope: who asks ("" for the model under test, "judge:<name>:<pack hash>" for a judge).
        priority: smaller is served first; does not determine the text.
        affinity: requests with the same key share a prefix; does not determine the text.
    """

    messages: tuple[Message, ...] | None
    sampling: Sampling
    seed: int
    prompt: str | None = None
    prompt_special_tokens: bool = False
    adapter: AdapterRef | None = None
    prefill: str = ""
    json_schema: str | None = None
    attempt: int = 0
    scope: str = ""
    priority: int = 0
    affinity: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine answered.

    Attributes:
        text: the generated text, the prefill included.
        finish_reason: why it ended.
        prompt_tokens: tokens read.
        output_tokens: tokens written.
        reasoning: the reasoning a server returned in a field of its own; never part of text.
        served_by: fingerprint of the engine and model that wrote it.
        stored: True when the text came from the completion store.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int
    reasoning: str = ""
    served_by: str = ""
    stored: bool = False


@dataclass(frozen=True, slots=True)
class LikelihoodRequest:
    """Asks for the likelihood of a text after a prompt; nothing is generated.

    Attributes:
        continuation: the text that is scored; token ids where the prompt is token ids.
        messages, prompt, prompt_tokens: what comes before it, exactly one of them: a chat, a raw text, or token ids.
        prompt_special_tokens: see Request.
        adapter: the LoRA adapter to use, or none.
        priority: smaller is served first; does not determine the result.
    """

    continuation: str | tuple[int, ...]
    messages: tuple[Message, ...] | None = None
    prompt: str | None = None
    prompt_tokens: tuple[int, ...] | None = None
    prompt_special_tokens: bool = False
    adapter: AdapterRef | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What an engine answered to a LikelihoodRequest.

    Attributes:
        logprob: summed log-probability of the continuation's tokens, in nats, at temperature 1.
        tokens: how many those are.
        greedy: greedy decoding would write exactly these tokens.
        prompt_tokens: tokens before them.
        served_by: fingerprint of the engine and model that scored it.
        stored: True when it came from the completion store.
    """

    logprob: float
    tokens: int
    greedy: bool
    prompt_tokens: int
    served_by: str = ""
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Persona:
    """A role to be played: its name, its description (may be empty) and its language."""

    role: str
    description: str
    language: Language


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark.

    Attributes:
        id: unique in the benchmark and stable over runs.
        index: position in the run's order.
        split: the split's name, for example "eng_specific".
        cluster: the unit that intervals are clustered by (the role, the scene, the seed).
        persona: who is played.
        question: what the user says first; exact, never stripped.
        references: the reference answers the split's protocol compares with, by the protocol's name, a word that the
            benchmark chooses ("CUS", "RAW"); one whose references are not available is absent. The first says most
            about the role: judges are shown its first text.
        labels: further facts to group by ("seen_in_training": "true", "type": ...).
        material: the benchmark's own texts about the item, for judges, by name ("plot_summary": ...).
    """

    id: str
    index: int
    split: str
    cluster: str
    persona: Persona
    question: str
    references: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str] = field(default_factory=dict)
    material: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's text, taken apart for those who read it.

    Attributes:
        visible: what others hear and what metrics see: never a thought.
        thoughts: reasoning and inner thoughts, for people who read transcripts.
        status: "ok", or why there is no answer.
        own_history: what the character itself is reminded of in later turns; "": the same as visible.
        shown: the form with inner thoughts in square brackets, for judges whose protocol shows them; "": as visible.
    """

    visible: str
    thoughts: str = ""
    status: Status = "ok"
    own_history: str = ""
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of an episode, as it is kept in the transcript.

    Attributes:
        messages: the chat that was sent; empty where a raw prompt was. In an episode of many turns only what came
            since the same speaker's last call.
        raw: the model's text, prefill included.
        visible, thoughts, status, own_history, shown: see Reply.
        prompt: the raw prompt that was sent, or none.
        error: what went wrong, for a call that failed.
        part: what its speaker is in the episode, in the benchmark's own word; MODEL is under test.
        note: what the protocol made of the reply, in a word (how a next speaker's name was read).
        aside: a call that the protocol needs and that nobody in the conversation says or hears, like the naming of
            the next speaker: no judge is shown it.
        logprob, greedy: see Likelihood; None for a text that was generated. `raw` is then the text that was scored.
    """

    speaker: str
    messages: tuple[Message, ...]
    raw: str
    visible: str
    thoughts: str
    status: Status
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int
    adapter: str
    prompt: str | None = None
    seed: int = 0
    attempts: int = 1
    error: str = ""
    own_history: str = ""
    shown: str = ""
    logprob: float | None = None
    greedy: bool | None = None
    part: Part = MODEL
    note: str = ""
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """The record of one episode. `status` is "ok", or why there is nothing to score."""

    sample_id: str
    status: Status
    turns: tuple[Turn, ...]

    @property
    def answer(self) -> str:
        """The visible text of the last turn ("" when there is none)."""
        return self.turns[-1].visible if self.turns else ""


@dataclass(frozen=True, slots=True)
class Score:
    """One value of one metric for one sample.

    Attributes:
        metric: the recipe's name.
        value: None when missing; never a default.
        status: "ok", or why the value is missing (or, for "no_answer", why it is what it is).
        group: the protocol compared with ("CUS", "RAW", "SPE"), or "" for metrics without references.
        detail: anything worth keeping, JSON-able.
    """

    metric: str
    value: float | None
    status: Status = "ok"
    group: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
