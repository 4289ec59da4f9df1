"""A family that takes a made-up text, which has none of its marks, for what it is: something said."""

from typing import Any, cast

from roleeval.models import Hears, PersonaModel
from roleeval.stages.plan._rehearsal import MadeUp
from roleeval.types import FinishReason, Reply


def lenient(model: PersonaModel) -> PersonaModel:
    """The same family for a rehearsal; replies that a model wrote are read as ever, so no reasoning is heard."""
    return cast("PersonaModel", _LenientHears(model) if isinstance(model, Hears) else _Lenient(model))


class _Lenient:
    def __init__(self, model: PersonaModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def parse(self, text: str, finish_reason: FinishReason, reasoning: str) -> Reply:
        reply = self._model.parse(text, finish_reason, reasoning)
        if reply.status == "ok" or not text.strip() or not isinstance(text, MadeUp):
            return reply
        return Reply(text.removeprefix(self._model.prefill))


class _LenientHears(_Lenient):
    def heard(self, text: str, finish_reason: FinishReason) -> str:
        assert isinstance(self._model, Hears)
        heard = self._model.heard(text, finish_reason)
        return heard if heard or not isinstance(text, MadeUp) else text.removeprefix(self._model.prefill)
