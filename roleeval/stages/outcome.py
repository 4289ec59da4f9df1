"""The outcome of a run."""

from dataclasses import dataclass

from roleeval.results import ResultFolder


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of a run.

    Attributes:
        folder: its result folder.
        skipped: True if everything requested existed already.
        failed_samples: samples whose engine call failed in every attempt.
        unasked_samples: samples that the budget had no room for.
    """

    folder: ResultFolder
    skipped: bool
    failed_samples: int = 0
    unasked_samples: int = 0
