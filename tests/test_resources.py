"""Where a file lies that an option names: a path, a shipped one, or one of an installed package."""

from pathlib import Path

import pytest

from roleeval.errors import ConfigError
from roleeval.prompts import load_prompt_pack
from roleeval.resources import located


def test_a_third_partys_file_is_found_wherever_its_package_lies(root: Path) -> None:
    inn = root / "tests" / "support" / "third_party" / "inn"
    assert located("pkg://inn/data/evenings.jsonl") == inn / "data" / "evenings.jsonl"
    assert load_prompt_pack("pkg://inn/prompts").sha256 == load_prompt_pack(str(inn / "prompts")).sha256
    assert located("judges/rubric").resolve() == root / "judges" / "rubric"


@pytest.mark.parametrize("place", ["pkg://no_such_package/x", "pkg://", "pkg://inn.data/x", "pkg://inn_replies/x"])
def test_a_package_that_is_none_is_named(place: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no package '.*'; install it, or put its folder on PYTHONPATH"):
        located(place)


def test_a_template_is_taken_in_a_language_where_the_pack_has_it(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("name: p\nversion: 1\n")
    for name in ("user.txt", "user.zh.txt", "system.txt"):
        (tmp_path / name).write_text(name)
    pack = load_prompt_pack(str(tmp_path))
    assert [pack.template("user.txt", language=each) for each in ("", "en", "zh")] == [
        "user.txt",
        "user.txt",
        "user.zh.txt",
    ]
    assert pack.template("system.txt", language="zh") == "system.txt"
