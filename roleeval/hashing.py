"""Hashes of values, files and folders: contents, not names or paths.

The store's keys, identities and manifests use them. Imports nothing from roleeval.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def digest(*parts: object) -> str:
    """SHA-256 (hex) of the canonical JSON of its arguments."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@lru_cache(maxsize=4096)
def _content_hash(path: str, size: int, mtime_ns: int, inode: int) -> str:
    # Size, time and inode are only there to drop a cached hash when the file changes.
    name = Path(path).resolve().name
    if len(name) == 64 and "/blobs/" in os.path.realpath(path):  # a hub snapshot links to blobs named by their SHA-256
        return name
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's content; computed once per process and state of the file."""
    stat = path.stat()
    return _content_hash(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def folder_fingerprint(folder: Path, *, names: Iterable[str] = (), suffixes: Iterable[str] = ()) -> str:
    """Hash of the named files and of the files with these suffixes, by name and content."""
    wanted, endings = set(names), set(suffixes)
    files = sorted(p for p in folder.iterdir() if p.is_file() and (p.name in wanted or p.suffix in endings))
    return digest([(p.name, file_hash(p)) for p in files])
