"""Where a judge has never judged, its schema says how long its replies are: every example fits it."""

import json

import pytest

from roleeval.judging import read_schema, read_verdict
from roleeval.stages.plan._replies import JudgedBefore
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


def test_few_judgements_do_not_outweigh_the_schema_and_many_do() -> None:
    one, many = JudgedBefore("1 judgement", None, 10.0, 1), JudgedBefore("60 judgements", 9, 10.0, 60)
    assert one.expected(70) == 50 and one.expected(None) == 10
    assert many.expected(70) == 10
