"""What a panel makes of its judges' rows."""

from roleeval.judging import points_info
from roleeval.stages.judge_record import pooled_rows, shared_infos
from roleeval.types import Persona, Sample, Score

SAMPLES = [Sample(name, index, "s", name, Persona("", "", "en"), "", {}) for index, name in enumerate("ab")]


def test_a_metric_that_a_judge_has_no_value_for_is_not_pooled_there() -> None:
    """Where there is nothing to say (no error, no mean severity) a judge has no row, and nothing is missing."""
    one = [(SAMPLES[0], [Score("j1/wit", 2.0)]), (SAMPLES[1], [Score("j1/wit", 3.0)])]
    two = [(SAMPLES[0], [Score("j2/wit", 4.0)]), (SAMPLES[1], [])]
    pooled = pooled_rows({"j1": one, "j2": two}, ["wit"], "p")
    assert [[(row.metric, row.value) for row in rows] for _, rows in pooled] == [[("p/wit", 3.0)], []]


def test_metrics_of_one_name_on_two_scales_are_not_shared() -> None:
    five, ten = ({"wit": points_info("wit", "Wit.", low=1, high=high)} for high in (5, 10))
    assert shared_infos([five, five]) == five and shared_infos([five, ten]) == {}
