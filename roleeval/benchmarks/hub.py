"""Downloading a benchmark's data from the Hugging Face hub, at a pinned revision only."""

import re
from collections.abc import Sequence
from pathlib import Path

from roleeval.errors import ConfigError, DataError

_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})$")


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
