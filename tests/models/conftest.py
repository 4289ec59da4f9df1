"""A toy base with its HyCoRA checkpoint and manifest on disk; one torch thread, because the nets are tiny."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from network import Network, Toy, manifest


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Files:
    """Where things are."""

    toy: Toy
    network: Network
    checkpoint: Path
    base: Path
    roles: Path


@pytest.fixture
def files(tmp_path: Path, toy_base: Path) -> Files:
    toy = Toy()
    network = Network(toy)
    return Files(toy, network, network.save(tmp_path / "checkpoint"), toy_base, manifest(tmp_path / "roles.json"))


@pytest.fixture(scope="package")
def toy_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "base"
    Toy().base().save_pretrained(folder)  # type: ignore[operator]
    return folder
