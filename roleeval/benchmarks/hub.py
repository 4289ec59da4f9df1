"""Where a benchmark's data is: embedded, in a folder, or on the Hugging Face hub, at a pinned revision only."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from roleeval.errors import ConfigError, DataError
from roleeval.resources import resource

_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})$")


def data_folder(data_dir: str | None, *, embedded: str, fetch: Callable[[str], Path]) -> Path:
    """The folder that `benchmark.data_dir` names.

    Args:
        data_dir: None is the embedded set; a folder; "hf://OWNER/NAME@COMMIT" is a pinned revision from the hub.
        embedded: the shipped folder.
        fetch: downloads a pinned revision.

    Raises:
        ConfigError, DataError: see fetch_pinned; the folder does not exist.
    """
    if data_dir is None:
        return resource(embedded)
    if data_dir.startswith("hf://"):
        return fetch(data_dir)
    folder = Path(data_dir)
    if not folder.is_dir():
        raise DataError(f"benchmark.data_dir: {folder} is not a folder")
    return folder


def fetch_pinned(address: str, patterns: Sequence[str], *, to: Path | None = None, example: str) -> Path:
    """Downloads files of a data set and returns its folder.

    Args:
        address: "hf://OWNER/NAME@COMMIT", COMMIT being 40 hex digits.
        patterns: which files.
        to: where to put the files; None is the hub's own cache.
        example: an address, for messages.

    Raises:
        ConfigError: the address does not pin a commit.
        DataError: the hub did not deliver.
    """
    match = _HUB.match(address)
    if match is None:
        raise ConfigError(
            f"benchmark.data_dir: {address!r} does not pin a revision; give hf://OWNER/NAME@COMMIT with the full"
            f" commit hash from the data set's page, for example {example}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            match["repo"], repo_type="dataset", revision=match["revision"], allow_patterns=list(patterns), local_dir=to
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(f"{address}: download failed ({error}); check the name, the commit and the network") from error
    return Path(folder)
