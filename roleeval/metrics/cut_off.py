"""Whether answers ended by themselves or at their token limit: a length says little where the limit made it."""

from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.metrics._protocol import happened
from roleeval.metrics.info import MetricInfo
from roleeval.types import MODEL, Sample, Score, Transcript, Turn

CUT_OFF = "cut_off_rate"


@dataclass(frozen=True)
class CutOffRate:
    """`cut_off_rate`: the share of the model's turns that ended at the limit of new tokens (finish reason "length").

    Of an episode with one turn it is 0 or 1. A thought that was cut off counts as well. Texts that no engine of
    roleeval wrote (imported ones) have no known end: the value is missing.
    """

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        return [
            MetricInfo(
                CUT_OFF,
                label="Answers cut off at the token limit",
                unit="fraction",
                recipe="Share of the model's turns that ended because they reached model.sampling.max_tokens.",
                low=0.0,
                high=1.0,
                higher_is_better=False,
                headline=True,
                position=31,  # next to the length
            )
        ]

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the row."""
        status = transcript.status
        ends = [turn.finish_reason == "length" for turn in transcript.turns if turn.part == MODEL and was_written(turn)]
        return [Score(CUT_OFF, sum(ends) / len(ends) if ends and happened(status) else None, status)]


def was_written(turn: Turn) -> bool:
    """Whether a model wrote the turn here, so that its finish reason is known."""
    asked = bool(turn.messages) or turn.prompt is not None or turn.output_tokens > 0
    return asked and turn.logprob is None and turn.finish_reason != "error"
