"""Who serves what: what shares a prefix or an adapter stays together, and nobody waits while another is flooded."""

from contextlib import ExitStack

import pytest

from roleeval.engines._router import SLACK, Router


def test_a_conversation_stays_on_the_copy_that_was_idlest_when_it_began() -> None:
    copies = Router(range(2))
    with ExitStack() as under_way:
        first = under_way.enter_context(copies.serving("scene 1"))
        second = under_way.enter_context(copies.serving("scene 2"))
        assert {first, second} == {0, 1}
        for _ in range(5):
            with copies.serving("scene 1") as again:
                assert again == first


def test_a_copy_that_falls_behind_hands_over() -> None:
    copies = Router(range(3))
    with ExitStack() as under_way:
        served = [under_way.enter_context(copies.serving(group="the only adapter")) for _ in range(90)]
        counts = sorted(served.count(copy) for copy in range(3))
        assert counts[-1] - counts[0] <= SLACK + 1
    with copies.serving(group="the only adapter") as home:
        assert home == served[0]


def test_requests_without_a_key_are_spread() -> None:
    copies = Router(range(2))
    with ExitStack() as under_way:
        served = [under_way.enter_context(copies.serving("")) for _ in range(10)]
    assert served.count(0) == served.count(1) == 5


def test_a_request_that_fails_counts_no_longer() -> None:
    copies = Router(range(2))
    for _ in range(3):
        try:
            with copies.serving("") as copy:
                assert copy == 0
                raise RuntimeError
        except RuntimeError:
            continue


def served(router: Router[str], conversation: str = "", *, group: str = "") -> str:
    """Who a request goes to that stays under way."""
    name = router.choose(conversation, group=group)
    assert name is not None
    router.begin(name)
    return name


def test_nobody_is_chosen_where_nobody_is() -> None:
    router: Router[str] = Router()
    assert router.choose("scene") is None
    router.join("a")
    assert router.choose("scene") == "a"
    router.leave("a")
    assert router.choose("scene") is None


def test_a_conversation_moves_for_good_when_its_worker_falls_behind() -> None:
    router = Router(["a", "b"], slack=2)
    home = served(router, "scene")
    (other,) = {"a", "b"} - {home}
    for _ in range(2):
        assert served(router, "scene") == home
    assert served(router, "scene") == other
    assert router.moves == 1
    for _ in range(4):
        router.end(home) if router.load(home) else router.end(other)
    assert router.choose("scene") == other  # its prefix is there now


def test_a_new_worker_gets_new_conversations_first() -> None:
    router = Router(["a"])
    for n in range(5):
        assert served(router, f"old {n}") == "a"
    router.join("b")
    assert [served(router, f"new {n}") for n in range(5)] == ["b"] * 5
    assert [router.choose(f"old {n}") for n in range(5)] == ["a"] * 5


def test_conversations_of_a_worker_that_left_go_elsewhere_and_count_as_moves() -> None:
    router = Router(["a", "b"])
    homes = {n: served(router, f"scene {n}") for n in range(6)}
    router.leave("a")
    router.end("a")  # the replies of a worker that has left come to nobody
    assert {router.choose(f"scene {n}") for n in homes} == {"b"}
    assert router.moves == 3


def test_an_adapter_is_loaded_by_few_workers() -> None:
    """95 roles' adapters on four workers: each is loaded once, and by others only where its worker falls behind."""
    router = Router(["a", "b", "c", "d"])
    homes: dict[int, set[str]] = {}
    for n in range(95 * 8):
        role = n % 95
        homes.setdefault(role, set()).add(served(router, f"question {n}", group=f"role {role}"))
    assert router.adoptions == sum(map(len, homes.values())) == 95
    assert max(map(router.load, "abcd")) - min(map(router.load, "abcd")) <= SLACK + 1


def test_one_adapter_for_all_is_spread_over_all() -> None:
    router = Router(["a", "b", "c", "d"])
    for n in range(400):
        served(router, f"scene {n}", group="shared")
    assert router.adoptions == 4
    assert min(map(router.load, "abcd")) >= 100 - SLACK


def test_servers_that_outlast_the_process_are_left_only_when_far_behind() -> None:
    router = Router(["http://a", "http://b"], slack=8, outlasting=True)
    home = served(router, "scene")
    assert [served(router, "scene") for _ in range(8)] == [home] * 8
    moved = served(router, "scene")
    assert moved != home
    again = Router(["http://b", "http://a"], slack=8, outlasting=True)
    assert again.choose("scene") == home


def test_the_conversations_of_a_server_that_is_down_come_back() -> None:
    router = Router(["http://a", "http://b"], outlasting=True)
    home = router.choose("scene")
    (other,) = {"http://a", "http://b"} - {home}
    assert router.choose("scene", among={other}) == other
    assert router.choose("scene") == home


def test_only_so_many_conversations_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roleeval.engines._router._REMEMBERED", 10)
    router = Router(["a", "b"])
    for n in range(1000):
        router.choose(f"question {n}")
    assert len(router._leases) == 10
