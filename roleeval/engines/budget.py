"""What a command may spend: a call begins only where the budget has room for the most that it may cost."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from roleeval.errors import ConfigError, OverBudgetError
from roleeval.ranges import check_range
from roleeval.types import Request

_MARKS = 64  # bytes around a message


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in one currency for the whole table (US dollars where a budget is in dollars)."""

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    input: float
    output: float

    def __post_init__(self) -> None:
        check_range(self, "input", "output", low=0)

    def of(self, prompt: float, output: float) -> float:
        """What so many tokens cost."""
        return (prompt * self.input + output * self.output) / 1e6

    def at_most(self, request: Request) -> float:
        """What a call may cost: a prompt has no more tokens than bytes."""
        texts = [request.prompt or "", request.prefill, request.json_schema or ""]
        texts += [message.content for message in request.messages or ()]
        size = sum(len(text.encode("utf-8", "surrogatepass")) + _MARKS for text in texts)
        return self.of(size, request.sampling.max_tokens)


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """What one command may spend on calls that the store does not answer.

    Attributes:
        usd: US dollars, by the prices of the models; None is any amount.
        calls: of all models together: under test, helpers, judges; None is any number.
    """

    usd: float | None = None
    calls: int | None = None

    def __post_init__(self) -> None:
        check_range(self, "usd", "calls", low=0)

    @property
    def limited(self) -> bool:
        """Whether there is a budget."""
        return self.usd is not None or self.calls is not None


@dataclass
class Budget:
    """What has been spent, by all jobs of a command together.

    Attributes:
        options: the limits.
        calls, usd: spent so far; a call that failed counts with the most it may have cost.
        refused: calls that were not made.
    """

    options: BudgetOptions = field(default_factory=BudgetOptions)
    calls: int = 0
    usd: float = 0.0
    refused: int = 0
    _held: float = 0.0
    _under_way: int = 0
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def hold(self, most: float) -> None:
        """Begins a call that costs at most so many dollars; waits where calls under way may leave room for it.

        Raises:
            OverBudgetError: it would exceed the budget.
        """
        while not self._fits(most):
            if (self.options.calls is not None and self.calls >= self.options.calls) or not self._under_way:
                self.refused += 1
                raise OverBudgetError(f"{self.spent} is spent; the same command with a larger budget goes on")
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self.calls += 1
        self._held += most
        self._under_way += 1

    def settle(self, most: float, cost: float) -> None:
        """Ends a call.

        Args:
            most: what was held for it.
            cost: what it did cost.
        """
        self._held -= most
        self._under_way -= 1
        self.usd += cost
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _fits(self, most: float) -> bool:
        calls, usd = self.options.calls, self.options.usd
        if calls is not None and self.calls >= calls:
            return False
        return usd is None or not most or self.usd + self._held + most <= usd

    @property
    def spent(self) -> str:
        """The budget that is spent, in words."""
        calls, usd = self.options.calls, self.options.usd
        if calls is not None and self.calls >= calls:
            return f"budget.calls={calls}"
        return f"budget.usd={usd:g} (${self.usd:.4g} so far, and the next call may cost more than the rest)"


def price_of(model: str, prices: Mapping[str, Price], *, budget: BudgetOptions, elsewhere: bool) -> Price | None:
    """The price of a model's tokens; None where it has none.

    Raises:
        ConfigError: there is a budget in dollars, and a model behind an endpoint without a price.
    """
    found = prices.get(model)
    if found is None and elsewhere and budget.usd is not None:
        raise ConfigError(
            f"budget.usd={budget.usd:g}: {model} has no price, so nothing says what its calls cost; enter it in a price"
            f" table (conf/price/usd.yaml; '+prices={{{model}: {{input: USD, output: USD}}}}'), or use budget.calls"
        )
    return found
