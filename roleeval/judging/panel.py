"""Several judges as one: their own columns, and one that pools them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roleeval.errors import ConfigError
from roleeval.judging._protocol import Judge


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel of judges (conf/judge/panel.yaml).

    The pooled value of a sample is the mean over all judges, and missing where one of them has none.

    Attributes:
        judges: name -> judge; the name replaces the judge's own in its columns.
    """

    judges: Mapping[str, Any]
    name: str = "panel"

    def __post_init__(self) -> None:
        if len(self.judges) < 2:
            raise ConfigError("judge.judges: a panel needs at least two judges; for one give judge=NAME itself")
        if wrong := [name for name, judge in self.judges.items() if not isinstance(judge, Judge)]:
            raise ConfigError(f"judge.judges.{wrong[0]}: not a judge")


def members(judge: Any) -> list[Judge]:
    """The judges behind a configuration's judge.

    Raises:
        ConfigError: it is none.
    """
    import dataclasses

    if isinstance(judge, Panel):
        return [dataclasses.replace(member, name=name) for name, member in judge.judges.items()]
    if isinstance(judge, Judge):
        return [judge]
    raise ConfigError(f"judge: {type(judge).__name__} is not a judge; subclass roleeval.judging.Judge")
