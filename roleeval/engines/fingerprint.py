"""Fingerprints: identify a model, a tokenizer or an adapter in the store's keys and in manifests.

Contents, not names: two folders with the same files have the same fingerprint, and a changed byte changes it.
"""

import re
from dataclasses import replace
from pathlib import Path

from roleeval.engines._protocol import ModelSource
from roleeval.errors import EngineError
from roleeval.hashing import digest, file_hash, folder_fingerprint
from roleeval.jsonfiles import read_json

_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
_CONFIG = ("config.json", "generation_config.json", "adapter_config.json", "quantize_config.json")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)


def pinned(source: ModelSource) -> ModelSource:
    """The same source with a hub revision resolved to the commit it means now; a local folder as it is.

    Without this, a branch that moves on would go by the texts of its former weights.

    Raises:
        EngineError: the path is neither a folder nor an id that the hub (or its local cache) knows.
    """
    if Path(source.path).is_dir() or (source.revision and _COMMIT.fullmatch(source.revision)):
        return source
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    revision = source.revision or "main"
    try:
        commit = HfApi().model_info(source.path, revision=revision, timeout=20).sha
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        cached = Path(HF_HUB_CACHE) / f"models--{source.path.replace('/', '--')}" / "refs" / revision
        commit = cached.read_text().strip() if cached.is_file() else None
        if commit is None:
            raise EngineError(
                f"model.source.path={source.path}: not a folder, and the hub did not return it ({error});"
                " check the path, or set model.source.revision to a commit that is in the local cache"
            ) from error
    return replace(source, revision=commit)


def model_fingerprint(source: ModelSource) -> str:
    """Hash of weights, configuration, tokenizer and chat template of a base model.

    A local folder is hashed by content. A hub id stands for itself with its commit (see `pinned`).
    """
    folder = Path(source.path)
    template = file_hash(Path(source.chat_template)) if source.chat_template else ""
    options = source.prompt_options
    if not folder.is_dir():
        return digest("hub", source.path, source.revision, template, *options)
    files = folder_fingerprint(folder, names=(*_CONFIG, *_TOKENIZER), suffixes=_WEIGHTS)
    return digest("local", files, template, *options)


def adapter_fingerprint(folder: Path) -> str:
    """Hash of an adapter folder's weights and adapter_config.json.

    The base model's recorded path is left out: it names where the adapter was trained, not what it is.
    """
    config = read_json(folder / "adapter_config.json")
    config.pop("base_model_name_or_path", None)
    return digest(config, folder_fingerprint(folder, suffixes=(".safetensors", ".bin")))
