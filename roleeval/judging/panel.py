"""Several judges as one: each has its column, and one more column is their mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roleeval.errors import ConfigError
from roleeval.identity import class_name
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
            raise ConfigError("judge.judges: a panel needs at least two judges; for a single one give judge=NAME")
        for name, judge in self.judges.items():
            _whole(judge, f"judge.judges.{name}")


def members(judge: Any) -> list[Judge]:
    """The judges of a configuration's judge: its members if it is a panel.

    Raises:
        ConfigError: it is none, or lacks a method that each judge has of its own.
    """
    import dataclasses

    if isinstance(judge, Panel):
        return [dataclasses.replace(member, name=name) for name, member in judge.judges.items()]
    return [_whole(judge, "judge")]


def _whole(judge: Any, key: str) -> Judge:
    kind = class_name(type(judge))
    if not isinstance(judge, Judge):
        raise ConfigError(f"{key}._target_: {kind} is not a judge; subclass roleeval.judging.Judge (docs/extending.md)")
    own = ("questions", "scores", "infos")
    if lacking := [name for name in own if getattr(type(judge), name) is getattr(Judge, name)]:
        raise ConfigError(
            f"{key}._target_: {kind} is incomplete: missing {', '.join(lacking)}. Add them"
            " (roleeval.judging.Judge; docs/extending.md)"
        )
    return judge
