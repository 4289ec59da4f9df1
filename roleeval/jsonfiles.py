"""Reading the JSON files that people give: what is wrong is a ValueError in a few words, whatever it is.

A byte order mark is allowed, lines end at line feeds alone (U+2028 is text), and half of a surrogate pair, which no
UTF-8 file can hold, is refused where it is read and not where it is written again.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BOM = b"\xef\xbb\xbf"
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def json_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbers, from 1, and contents of a file's lines; blank ones are left out.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            text = line.removeprefix(_BOM) if number == 1 else line
            if text.strip():
                yield number, text


def read_json(file: Path, *, check_halves: bool = True) -> Any:
    """The value in a file.

    Args:
        file: with or without a byte order mark.
        check_halves: refuse half of a surrogate pair; False leaves that to who knows which part it stands in.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no JSON; says why.
    """
    return parse_json(file.read_bytes().removeprefix(_BOM), check_halves=check_halves)


def parse_json(content: bytes, *, check_halves: bool = True) -> Any:
    """The value in a text; see `read_json`.

    Raises:
        ValueError: it is no JSON; says why.
    """
    try:
        value = json.loads(content.decode("utf-8"))
        if check_halves and _ESCAPED_HALF.search(content):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start + 1})") from error
    except UnicodeEncodeError as error:
        raise ValueError("holds half of a surrogate pair, which is not text") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error.msg} at line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("not valid JSON (nested too deeply)") from error
    return value


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: half of a surrogate pair cannot."""
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False
