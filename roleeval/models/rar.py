"""RAR ("Thinking in Character"): a model that reasons before every answer."""

from dataclasses import dataclass, field

from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.models.families import OptionalLora


@dataclass(frozen=True, kw_only=True)
class Rar(OptionalLora):
    """RAR's stage-2 adapter on the base that its stage-1 adapter was merged into (conf/model/rar.yaml).

    Attributes:
        adapter_path: see OptionalLora. Has to be given: without the second adapter the first stage alone would answer.

    Source: spec/rolebench.md, RAR.
    """

    adapter_path: str | None = field(metadata=OUTSIDE_IDENTITY)
    always_reasons: bool = True

    @property
    def family(self) -> str:
        return "rar"
