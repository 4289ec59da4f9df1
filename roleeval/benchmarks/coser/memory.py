"""The characters' past: relevant passages from earlier in the book, retrieved with a vector index.

CoSER retrieves from whole books, which its test file does not contain. It only has summaries of a character's earlier
plots in the same book; a file with more passages can be given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.benchmarks.coser.data import Scene
from roleeval.errors import ConfigError, DataError
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.jsonfiles import json_lines, parse_json

# (plot number, text)
Passage = tuple[int, str]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Options of the retrieval.

    Attributes:
        passages: for each character at most; 0 is off.
        file: JSON lines {"book", "character", "text", "i_p"}; None: the summaries of earlier plots in the data file.
    """

    passages: int = 0
    file: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)

    def __post_init__(self) -> None:
        if self.passages < 0:
            raise ConfigError(f"benchmark.retrieval.passages: {self.passages} is invalid; give 0 (off) or more")


class Memory:
    """Passages by book and character."""

    def __init__(self, options: Retrieval, scenes: Iterable[Scene]) -> None:
        """Reads the passages.

        Raises:
            ConfigError: scikit-learn is not installed.
            DataError: the file cannot be read; names file and line.
        """
        self._wanted = options.passages
        self._passages: dict[tuple[str, str], list[Passage]] = {}
        if not self._wanted:
            return
        try:
            import sklearn  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "benchmark.retrieval.passages: needs scikit-learn: pip install 'roleeval[retrieval]', or set it to 0"
            ) from error
        found = _from_file(Path(options.file)) if options.file else _from_plots(scenes)
        for key, passage in found:
            known = self._passages.setdefault(key, [])
            if passage not in known:
                known.append(passage)

    def background(self, scene: Scene, motivation_keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each character the passages that fit the scene and its motivation best, in the book's order."""
        if not self._wanted:
            return {}
        return {
            name: self.recall(scene, name, f"{scene.scenario}\n{scene.motivation(name, motivation_keys)}")
            for name in scene.characters
        }

    def recall(self, scene: Scene, name: str, query: str) -> tuple[str, ...]:
        """A character's passages nearest to a query, from plots before the scene's only: it knows no future."""
        past = [passage for passage in self._passages.get((scene.book, name), ()) if passage[0] < scene.plot]
        if len(past) <= self._wanted:
            return tuple(text for _, text in sorted(past))
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.neighbors import NearestNeighbors

        vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        index = NearestNeighbors(n_neighbors=self._wanted, metric="cosine", algorithm="brute")
        index.fit(vectors.fit_transform([text for _, text in past]))
        nearest = index.kneighbors(vectors.transform([query]), return_distance=False)[0]
        return tuple(text for _, text in sorted(past[int(place)] for place in nearest))


def _from_plots(scenes: Iterable[Scene]) -> Iterable[tuple[tuple[str, str], Passage]]:
    for scene in scenes:
        for name, text in scene.histories.items():
            if text:
                yield (scene.book, name), (scene.plot, text)


def _from_file(file: Path) -> Iterable[tuple[tuple[str, str], Passage]]:
    try:
        lines = list(json_lines(file))
    except OSError as error:
        raise DataError(f"benchmark.retrieval.file: {file} cannot be read ({error})") from error
    for number, line in lines:
        try:
            yield _passage(parse_json(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}, line {number}: expected book, character, text and i_p ({error!r})") from error


def _passage(data: Mapping[str, Any]) -> tuple[tuple[str, str], Passage]:
    book, name, text, plot = (data[key] for key in ("book", "character", "text", "i_p"))
    if not all(isinstance(part, str) for part in (book, name, text)) or not isinstance(plot, int):
        raise TypeError("book, character and text must be strings, i_p a whole number")
    return (book, name), (plot, text)
