"""What became of a run."""

from dataclasses import dataclass

from roleeval.results import ResultFolder


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        folder: its result folder.
        skipped: True when everything asked for was there already.
        failed_samples: samples whose engine call failed for good.
    """

    folder: ResultFolder
    skipped: bool
    failed_samples: int = 0
