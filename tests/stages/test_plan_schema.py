"""Where a judge has never judged, its schema says how long its replies are: every example fits it."""

import json

import pytest

from roleeval.judging import read_schema, read_verdict
from roleeval.stages.plan._schema import example

SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "minLength": 3, "maxLength": 300},
        "winner": {"type": "string", "enum": ["A", "B", "tie"]},
        "flaws": {
            "type": "array",
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {"severity": {"type": "integer", "minimum": 1, "maximum": 5}},
                "required": ["severity"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["reason", "winner", "flaws"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("shortest", [True, False])
def test_an_example_fits_its_schema(shortest: bool) -> None:
    text = json.dumps(SCHEMA)
    found = example(text, shortest=shortest)
    assert read_verdict(found, read_schema(text, "schema"), judged="") == json.loads(found)
    assert len(json.loads(found)["flaws"]) == (0 if shortest else 1)
