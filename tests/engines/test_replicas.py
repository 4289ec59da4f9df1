"""Copies of a model: what shares a prefix stays together, and no copy waits while another is flooded."""

from contextlib import ExitStack

from roleeval.engines._replicas import _SLACK, Replicas


def test_a_conversation_stays_on_the_copy_that_was_idlest_when_it_began() -> None:
    replicas = Replicas(2)
    with ExitStack() as under_way:
        first = under_way.enter_context(replicas.serving("scene 1"))
        second = under_way.enter_context(replicas.serving("scene 2"))
        assert {first, second} == {0, 1}
        for _ in range(5):
            with replicas.serving("scene 1") as again:
                assert again == first


def test_a_copy_that_falls_behind_hands_over() -> None:
    replicas = Replicas(3)
    with ExitStack() as under_way:
        served = [under_way.enter_context(replicas.serving("the only adapter")) for _ in range(90)]
        counts = sorted(served.count(copy) for copy in range(3))
        assert counts[-1] - counts[0] <= _SLACK + 1
    with replicas.serving("the only adapter") as home:
        assert home == served[0]


def test_requests_without_a_key_are_spread() -> None:
    replicas = Replicas(2)
    with ExitStack() as under_way:
        served = [under_way.enter_context(replicas.serving("")) for _ in range(10)]
    assert served.count(0) == served.count(1) == 5


def test_a_request_that_fails_counts_no_longer() -> None:
    replicas = Replicas(2)
    for _ in range(3):
        try:
            with replicas.serving("") as copy:
                assert copy == 0
                raise RuntimeError
        except RuntimeError:
            continue
