"""What servers report about the models they serve: their model list, and the system_fingerprint of their replies.

The name of a served model does not identify its weights. The reports of identical servers are compared here, and with
earlier reports in store.py; the manifest has them. They are not part of the fingerprint: otherwise a server that
reports more after an update would lose all its texts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from roleeval.engines._protocol import Served
from roleeval.jsonfiles import parse_json
from roleeval.secrets import shown

_FACTS = ("root", "owned_by", "max_model_len", "created")
_LENGTH = 200
_DAY_S = 86_400
# A server whose every reply has another system_fingerprint says nothing with it.
_FINGERPRINTS = 4
_NAMES = 4


def model_facts(content: bytes, model: str, *, now: float) -> dict[str, str]:
    """What a list of models says of one model and of the adapters on it.

    Args:
        content: the body of GET /models.
        model: the served name.
        now: the time in Unix seconds. Many servers give the time of asking as `created`: one that is less than a day
            old says nothing.

    Returns:
        Fact -> value, as the server wrote it; an adapter's facts are prefixed with its name. Empty where the list does
        not have the model.
    """
    cards = {str(card["id"]): card for card in _cards(content)}
    if model not in cards:
        return {}
    facts = _facts(cards[model], now)
    for name, card in sorted(cards.items()):
        if card.get("parent") == model and card.get("root"):
            facts[f"adapter {name}: root"] = str(card["root"])
    return facts


def _cards(content: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        data = parse_json(content)["data"]
        return [card for card in data if isinstance(card, Mapping) and isinstance(card.get("id"), str)]
    except (ValueError, LookupError, TypeError):
        return []


def _facts(card: Mapping[str, Any], now: float) -> dict[str, str]:
    facts = {name: card[name] for name in _FACTS if isinstance(card.get(name), str | int)}
    created = facts.get("created")
    if not isinstance(created, int) or not 0 < created < now - _DAY_S:
        facts.pop("created", None)
    return {name: str(value) for name, value in facts.items()}


def _kept(text: str) -> str:
    return shown(text)[:_LENGTH]


class Servers:
    """What the equal servers of one engine have said so far."""

    def __init__(self, name: str) -> None:
        """Makes one; `name` is that of the served model, for messages."""
        self._lists: dict[str, dict[str, str]] = {}
        self._fingerprints: list[str] = []
        self._answered: dict[str, list[str]] = {}
        self.served = Served(name, {})

    def told(self, url: str, facts: Mapping[str, str]) -> None:
        """Takes what the list of models at a base URL says."""
        self._lists[url] = {_kept(fact): _kept(value) for fact, value in facts.items()}
        self._renew()

    def heard(self, fingerprint: str) -> None:
        """Takes a reply's system_fingerprint; "" for none."""
        fingerprint = _kept(fingerprint)
        if fingerprint and fingerprint not in self._fingerprints and len(self._fingerprints) < _FINGERPRINTS:
            self._fingerprints.append(fingerprint)
            self._renew()

    def answered(self, asked: str, name: str) -> bool:
        """Takes the name of the model that a reply says it is of; whether it is news that it is not the one asked for.

        Args:
            asked: the name of the model or adapter that was asked for.
            name: the reply's; "" for none.
        """
        name = _kept(name)
        known = self._answered.setdefault(asked, [])
        if not name or name in (asked, *known) or len(known) == _NAMES:
            return False
        known.append(name)
        return len(known) == 1

    def _renew(self) -> None:
        facts: dict[str, tuple[str, ...]] = {}
        for said in self._lists.values():
            for fact, value in said.items():
                facts[fact] = tuple(dict.fromkeys([*facts.get(fact, ()), value]))
        if self._fingerprints:
            facts["system_fingerprint"] = tuple(self._fingerprints)
        self.served = Served(self.served.name, facts)

    @property
    def silent(self) -> bool:
        """Whether nothing was said so far."""
        return not self.served.facts

    def differences(self) -> list[str]:
        """Where the lists of two servers disagree, in words; facts that one of them leaves out are not compared."""
        found = []
        first: dict[str, tuple[str, str]] = {}
        for url, said in self._lists.items():
            for fact, value in said.items():
                other, known = first.setdefault(fact, (url, value))
                if value != known:
                    found.append(f"{other} says {fact}={known!r}, {url} says {fact}={value!r}")
        return found

    def describe(self) -> dict[str, Any]:
        """For the manifest."""
        others = {asked: list(names) for asked, names in self._answered.items() if names}
        facts = {"models": dict(self._lists), "system_fingerprints": list(self._fingerprints)}
        return facts | ({"answered_by": others} if others else {})
