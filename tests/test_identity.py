"""An identity that leaves something out gives one run the texts of another; one that holds paths never hits again."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from roleeval.engines import ModelSource
from roleeval.identity import OUTSIDE_IDENTITY, identity_of, options, with_defaults
from roleeval.models import HyCora, IndependentLora, SharedLora
from roleeval.types import Sampling


@dataclass(frozen=True)
class Inner:
    passages: int = 0
    file: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)


@dataclass(frozen=True)
class Thing:
    words: tuple[str, ...] = ("a",)
    place: str = field(default="here", metadata=OUTSIDE_IDENTITY)
    inner: Inner = Inner()


@dataclass(frozen=True)
class Other(Thing):
    place: str = "elsewhere"
    extra: int = 3


@dataclass(frozen=True)
class Renamed(Thing):
    place: str = field(default="now a choice", metadata={"identity": True})


def test_options_are_json_without_places() -> None:
    assert options(Thing()) == {"words": ["a"], "inner": {"passages": 0}}


def test_a_subclass_with_another_default_leaves_a_place_a_place() -> None:
    assert options(Other()) == {"words": ["a"], "inner": {"passages": 0}, "extra": 3}
    assert options(Renamed())["place"] == "now a choice"


def test_an_objects_own_word_comes_first() -> None:
    @dataclass(frozen=True)
    class Own:
        path: str = "x"

        def identity(self) -> dict[str, Any]:
            return {"contents": "hash"}

    assert identity_of(Own())["contents"] == "hash" and "path" not in identity_of(Own())
    assert "Own" in identity_of(Own())["class"]


@pytest.mark.parametrize(
    "model",
    [
        SharedLora(name="m", source=ModelSource("b"), adapter_path="somewhere"),
        IndependentLora(name="m", source=ModelSource("b"), adapters_dir="somewhere"),
        HyCora(name="m", source=ModelSource("b"), checkpoint="somewhere", roles="roles.json", cache_dir="somewhere"),
    ],
)
def test_our_models_name_no_place(model: Any) -> None:
    found = identity_of(model)
    assert found["class"] == type(model).__name__ and "somewhere" not in str(found) and "source" not in found
    assert found["sampling"] == options(Sampling())


def test_a_new_option_of_a_third_party_is_in_the_identity_by_itself() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Picked(SharedLora):
        roles: tuple[str, ...] = ()  # selects roles; a family of ours has a path of that name
        lexicon: str = "words.txt"

    one, two = (Picked(name="m", source=ModelSource("b"), adapter_path="a", roles=roles) for roles in (("x",), ("y",)))
    assert identity_of(one) != identity_of(two) and identity_of(one)["lexicon"] == "words.txt"


def test_an_older_identity_gets_the_defaults_of_newer_options() -> None:
    assert with_defaults({"class": "Thing", "words": ["a"], "place": "x"}, Thing()) == identity_of(Thing()) | {
        "class": "Thing"
    }
    older = {"class": "Thing", "words": ["b"], "inner": {"passages": 2, "file": "gone"}}
    assert with_defaults(older, Thing()) == older | {"inner": {"passages": 2}}
