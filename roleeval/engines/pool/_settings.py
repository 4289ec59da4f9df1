"""The options of a pool."""

from dataclasses import dataclass

from roleeval.engines._protocol import EngineOptions
from roleeval.engines.pool._pool import Limits
from roleeval.errors import OptionError
from roleeval.ranges import check_range


@dataclass(frozen=True)
class PoolSettings:
    """What a pool is made of (conf/engine/pool.yaml); `PoolOptions` builds an engine of it.

    Attributes:
        inner: the engine in each worker. Its fingerprint is the pool's: the store's texts are the same.
        address: of a Ray cluster ("auto" for the one of this machine, "HOST:PORT", "ray://HOST:PORT"); None starts Ray
            on this machine, for this process alone.
        min_workers: so many are asked for even where there is no room yet, so that a cluster grows.
        max_workers: None: as many as there is room for, also when more room comes during a run.
        gpus_per_worker: None: what the inner engine says (vllm: tensor_parallel_size), none where the cluster has none.
        cpus_per_worker: CPUs as Ray counts them; a part of one is possible.
        in_flight_per_worker: requests that a worker has at once; what is beyond waits here and goes to who is free.
        max_restarts: of a worker in a row that came up for nothing; it is then given up and the run goes on.
        silent_s: a worker that reports nothing for so many seconds is lost.
        wait_for_room_s: so many seconds there may be no worker at all before the run stops.
    """

    inner: EngineOptions
    address: str | None = None
    min_workers: int = 1
    max_workers: int | None = None
    gpus_per_worker: float | None = None
    cpus_per_worker: float = 1.0
    in_flight_per_worker: int = 256
    max_restarts: int = 3
    silent_s: float = 60.0
    wait_for_room_s: float = 600.0

    def __post_init__(self) -> None:
        """Checks numbers, and that the engine inside is none of these.

        Raises:
            OptionError: names the one that is not possible.
        """
        check_range(self, "min_workers", "max_workers", "in_flight_per_worker", low=1, owner="engine")
        check_range(self, "max_restarts", "gpus_per_worker", low=0, owner="engine")
        check_range(self, "cpus_per_worker", "silent_s", "wait_for_room_s", low=0, above=True, owner="engine")
        if self.max_workers is not None and self.max_workers < self.min_workers:
            raise OptionError("max_workers", f"{self.max_workers} is less than min_workers", owner="engine")
        if isinstance(self.inner, PoolSettings):
            raise OptionError("inner", "a pool of pools is not possible; give vllm or hf", owner="engine")
        if not hasattr(self.inner, "build"):
            raise OptionError("inner", "not an engine; choose one as engine@engine.inner=vllm", owner="engine")

    def limits(self) -> Limits:
        """The pool's limits."""
        return Limits(
            least=self.min_workers,
            most=self.max_workers,
            window=self.in_flight_per_worker,
            restarts=self.max_restarts,
            silent_s=self.silent_s,
            room_s=self.wait_for_room_s,
        )
