"""Data of the site as scripts: a page that was opened from a file may load a script, but cannot fetch.

    data/r0/t3.js    roleevalData("r0/t3", "<JSON as one string literal>");

The JSON is a string that the page parses, and no object literal: nothing that a model wrote is ever a program, not even
a key named __proto__, and a browser reads it faster.
"""

import json
from pathlib import Path
from typing import Any

import orjson

from roleeval.errors import ResultError

# A shard is closed when it is this long; a single longer item has a shard of its own. A reader needs one shard of texts
# at a time, and all of a list or a column.
SHARD_BYTES = 1_000_000
TEXT_SHARD_BYTES = 250_000
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def to_json(value: Any) -> bytes:
    """JSON of a value; numbers that are none are null, half a surrogate pair is escaped."""
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:  # half a surrogate pair in a name or a text
        return json.dumps(value).encode()


class ShardWriter:
    """Writes data scripts below a folder.

    Attributes:
        written: bytes written so far.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.written = 0

    def write(self, name: str, value: Any) -> None:
        """Writes one value; `name` is its path below data/ without the ending.

        Raises:
            ResultError: the file could not be written.
        """
        self.write_json(name, to_json(value))

    def write_json(self, name: str, text: bytes) -> None:
        """The same of a value that is JSON already."""
        content = b"roleevalData(%s,%s);\n" % (orjson.dumps(name), orjson.dumps(text.decode()))
        file = self._folder / f"{name}.js"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            raise ResultError(f"{file}: could not be written ({error})") from error
        self.written += len(content)


class Pieces:
    """Items in order, split into numbered shards of bounded size; a reader finds an item's shard by `starts`.

    Attributes:
        starts: the number of the first item of each shard.
    """

    def __init__(self, shards: ShardWriter, name: str, *, limit: int = SHARD_BYTES) -> None:
        self._shards, self._name, self._limit = shards, name, limit
        self._items: list[bytes] = []
        self._bytes = self._count = 0
        self.starts: list[int] = []

    def add(self, item: bytes) -> bool:
        """Adds the JSON of one item; True where the shard was closed after it."""
        self._items.append(item)
        self._bytes += len(item)
        if self._bytes < self._limit:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Writes what is not written yet."""
        if self._items:
            self._shards.write_json(f"{self._name}{len(self.starts)}", b"[%s]" % b",".join(self._items))
            self.starts.append(self._count)
            self._count += len(self._items)
            self._items, self._bytes = [], 0
