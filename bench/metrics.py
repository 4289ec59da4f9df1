"""How much faster the ROUGE of roleeval is than the packages whose numbers it reproduces, on the same rows.

    python bench/metrics.py [--rows N]

Rows are RoleGPT's answers to RoleBench where $ROLEEVAL_SHARED (or ../shared) has them, else synthetic text. Each pair
is timed in turn in one process, ours without remembered stems, and must agree on every row before a time is printed.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from roleeval.metrics import RougeGoogle, RougePltrdy, rouge_google  # noqa: E402
from roleeval.types import Language  # noqa: E402

Row = tuple[str, Sequence[str]]
EN_SPECIFIC = "rolebench-eng/instruction-generalization/role_specific"
ZH_SPECIFIC = "rolebench-zh/role_specific"


def main() -> None:
    parser = argparse.ArgumentParser(description="Times roleeval's ROUGE against the packages it reproduces.")
    parser.add_argument("--rows", type=int, default=1000, help="rows per language (default 1000)")
    limit = parser.parse_args().rows
    english, chinese = rows("en", limit), rows("zh", limit)
    print(f"{'recipe':<28}{'rows':>6}{'ours rows/s':>14}{'package rows/s':>16}{'ratio':>8}")
    compare("rougeL_recall_pltrdy_max", english, ours(RougePltrdy(), "en", 0), pltrdy)
    compare("rougeL_recall_pltrdy_max zh", chinese, ours(RougePltrdy(), "zh", 0), spaced_pltrdy)
    compare("rougeL_f1_google_max", english, ours(RougeGoogle(stem=False), "en", 0), google())
    # Ours scores both English recipes here, the package the stemmed one alone.
    compare("rougeL_f1_google_stem_max", english, ours(RougeGoogle(), "en", 1), google(use_stemmer=True))
    by_character = SimpleNamespace(tokenize=rouge_google.char_tokens)
    compare(
        "rougeL_f1_google_char_max", chinese, ours(RougeGoogle(jieba=False), "zh", 0), google(tokenizer=by_character)
    )


def compare(name: str, data: Sequence[Row], mine: Callable[[Row], float], theirs: Callable[[Row], float]) -> None:
    """Prints one line; stops where a row differs, since a fast wrong number is worth nothing."""
    mine(data[0])  # imports
    rouge_google._stemmer.cache_clear()
    seconds, values = [], []
    for score in (mine, theirs):
        start = time.perf_counter()
        values.append([score(row) for row in data])
        seconds.append(time.perf_counter() - start)
    if values[0] != values[1]:
        sys.exit(f"{name}: ours and the package's values differ.")
    fast, slow = (len(data) / second for second in seconds)
    print(f"{name:<28}{len(data):>6}{fast:>14,.0f}{slow:>16,.0f}{fast / slow:>7.1f}x")


def ours(metric: RougePltrdy | RougeGoogle, language: Language, position: int) -> Callable[[Row], float]:
    return lambda row: list(metric.values(row[0], row[1], language).values())[position]


def pltrdy(row: Row) -> float:
    from rouge import Rouge

    answer, references = row
    scorer = Rouge(metrics=["rouge-l"])
    return max(float(scorer.get_scores(answer, reference)[0]["rouge-l"]["r"]) for reference in references)


def spaced_pltrdy(row: Row) -> float:
    return pltrdy((" ".join(row[0]), [" ".join(reference) for reference in row[1]]))


def google(**options: Any) -> Callable[[Row], float]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], **options)
    return lambda row: max(float(scorer.score(reference, row[0])["rougeL"].fmeasure) for reference in row[1])


def rows(language: Language, limit: int) -> list[Row]:
    """RoleGPT's answers joined to the references on the exact (role, question), or synthetic rows."""
    shared = Path(os.environ.get("ROLEEVAL_SHARED") or REPOSITORY.parent / "shared")
    folder = shared / "data" / "rolebench" / (ZH_SPECIFIC if language == "zh" else EN_SPECIFIC)
    if not folder.is_dir():
        print(f"{folder} is missing: synthetic text instead of RoleBench ({language}).")
        return [(text, [reference]) for text, reference in synthetic(language, limit)]
    answers = {
        (line["role"], line["question"]): line["generated"][0] for line in lines(folder / "rolegpt_baseline.jsonl")
    }
    joined = [(answers[line["role"], line["question"]], line["generated"]) for line in lines(folder / "test.jsonl")]
    return joined[:: max(1, len(joined) // limit)][:limit]


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def synthetic(language: Language, limit: int) -> Iterator[tuple[str, str]]:
    """Pairs of some 85 and 75 words (or characters), frequent ones often, with a full stop now and then."""
    draw = random.Random(0)
    words = [chr(0x4E00 + i) if language == "zh" else f"word{i}" for i in range(2000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    joint, stop = ("", "。") if language == "zh" else (" ", ".")
    for _ in range(limit):
        yield tuple(  # type: ignore[misc]
            joint.join(word + stop * (draw.random() < 0.06) for word in draw.choices(words, weights, k=length))
            for length in (85, 75)
        )


if __name__ == "__main__":
    main()
