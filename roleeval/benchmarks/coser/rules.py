"""The rules of a scene: one set for each published protocol (conf/benchmark/protocol/)."""

from dataclasses import dataclass, field, replace
from typing import Literal

from roleeval.ranges import check_range
from roleeval.types import Sampling


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A protocol; how it judges is its judge's (conf/judge/gca*.yaml). The defaults are those of CoSER's paper.

    Attributes:
        name: of the profile, for captions.
        rounds: turns of a scene at most.
        end_from: the first round, counted from 0, in which the predictor can end the scene.
        motivation_keys: keys of key_characters; a speaker's motivation is the first that it has.
        next_speaker_reply: "name" asks for the bare name, "reasoned" for a sentence and a "Next Speaker:" field.
        force_name: a character's own past turns begin with its name; others hear the name in any case.
        merge_neighbours: messages of one role in a row become one, with a blank line between them.
        word_limit: words that characters are told to keep to.
        average: "groups" is the mean of the id and ood means, "cases" the mean over all cases.
        sampling: of the environment and the next-speaker predictor.
        next_speaker_tokens: new tokens of the predictor at most, where it is `sampling` that it has; None is
            sampling.max_tokens. What is wanted is a name; a base model would fill any limit.

    Source: spec/coser.md, sections 2 to 4.
    """

    name: str = "paper"
    rounds: int = 20
    end_from: int = 5
    motivation_keys: tuple[Literal["thought", "motivation"], ...] = ("thought", "motivation")
    next_speaker_reply: Literal["name", "reasoned"] = "name"
    force_name: bool = True
    merge_neighbours: bool = True
    word_limit: int = 60
    average: Literal["groups", "cases"] = "groups"
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=512))
    next_speaker_tokens: int | None = None

    def __post_init__(self) -> None:
        check_range(self, "rounds", "word_limit", "next_speaker_tokens", low=1, owner="benchmark.protocol")
        check_range(self, "end_from", low=0, owner="benchmark.protocol")

    def for_predictor(self, sampling: Sampling) -> Sampling:
        """A predictor's sampling within `next_speaker_tokens`."""
        most = self.next_speaker_tokens
        return sampling if most is None else replace(sampling, max_tokens=min(sampling.max_tokens, most))
