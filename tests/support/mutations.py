"""Documents with something wrong in them, for the tests that any file is read or refused in one sentence."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["", " ", "\ud83d", "..", "a/b", "\x00", "\x1b[2J", "nan", "1e999", 10**400, -1, "x" * 300, "{x}"]
    )
    | st.text(max_size=4)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
BYTES = st.sampled_from(
    [b"", b"\xff", b"\xef\xbb\xbf", b"\x00", b"[" * 3000, b'{"a":' * 3000, b"\\ud83d", b"\r", b"\n", b"'"]
)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A document in which up to three places hold something else, or are gone, or are there twice."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        parent, node = None, found
        key: Any = None
        for _ in range(draw(st.integers(1, 8))):
            if not isinstance(node, dict | list) or not node:
                break
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            parent, key = node, draw(st.sampled_from(keys))
            node = parent[key]
        if parent is None:
            return draw(VALUES)
        change = draw(st.sampled_from(["value", "value", "value", "gone", "renamed"]))
        if change == "value":
            parent[key] = draw(VALUES)
        elif isinstance(parent, list):
            parent.insert(0, parent[key]) if change == "renamed" else parent.pop(key)
        else:
            value = parent.pop(key)
            if change == "renamed":
                parent[draw(st.text(max_size=3))] = value
    return found


def contents(document: Any, *, lines: bool = False) -> st.SearchStrategy[bytes]:
    """A mutated document as JSON (or its parts as JSON lines), or a good one with bytes put in or cut off."""

    def dumped(value: Any) -> bytes:
        if lines and isinstance(value, list):
            return b"\n".join(json.dumps(each).encode() for each in value)
        return json.dumps(value).encode()

    whole = dumped(document)
    places = st.integers(0, len(whole))
    spoilt = st.builds(lambda place, extra, cut: whole[:place] + extra + whole[place + cut :], places, BYTES, places)
    return mutated(document).map(dumped) | mutated(document).map(dumped) | spoilt
