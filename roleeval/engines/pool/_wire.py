"""What a pool and its workers send each other, as bytes.

Requests and answers are pickled by the values of their fields: a frozen dataclass's own way to be pickled takes the
coordinator four times as long (docs/scale.md).
"""

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

from roleeval.engines.pool._link import Report
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Message, Request, Sampling


def _by_fields(kind: type[Any]) -> Callable[[Any], tuple[type[Any], tuple[Any, ...]]]:
    values = attrgetter(*(field.name for field in fields(kind)))
    return lambda thing: (kind, values(thing))


_PICKLED: Mapping[type, Callable[[Any], Any]] = {
    kind: _by_fields(kind)
    for kind in (Request, LikelihoodRequest, Message, Sampling, AdapterRef, Completion, Likelihood, Report)
}


def packed(thing: object) -> bytes:
    """The bytes of a message."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _PICKLED
    pickler.dump(thing)
    return stream.getvalue()


def unpacked(message: bytes) -> Any:
    """What was packed. Only for bytes of the run's own processes: what they say is executed."""
    return pickle.loads(message)  # noqa: S301 - see above
