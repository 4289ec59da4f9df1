"""Whether a PEFT adapter will be applied, whole and as it was trained: found out before an engine loads.

From the base model and adapter_config.json follows which tensors there must be. Each of them must be there, with the
right shape; each tensor that is there must be one of them; and an option that serving would ignore is refused by name.
PEFT and vLLM leave out what they do not recognise, and answer with the base model's texts.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.engines._adapter_files import CONFIG, LORA, Tensor, load_pickle, read_config, read_tensors, weights_file
from roleeval.engines._base_modules import EMBEDDINGS, Modules, built_modules, safetensors_shapes, stored_modules
from roleeval.engines._protocol import ModelSource
from roleeval.errors import AdapterError

_log = logging.getLogger(__name__)

_PREFIX = "base_model.model."
_NAMED = re.compile(r"\.lora_(?:embedding_)?[AB]\.(?P<name>(?!weight$|bias$)[^.]+)(?:\.weight)?$")

# Options of PEFT's LoraConfig that change what an adapter does and are not served, with a word on each.
_REFUSED = {
    "use_dora": "DoRA adapters are not supported",
    "lora_bias": "a bias beside lora_B is not supported",
    "modules_to_save": "whole modules that were trained together with the LoRA are not supported",
    "alora_invocation_tokens": "activated LoRA (applied after an invocation only) is not supported",
    "trainable_token_indices": "trained token embeddings are not supported",
    "layer_replication": "replicated layers are not supported",
    "use_qalora": "QA-LoRA (pooled inputs) is not supported",
    "use_bdlora": "block-diagonal LoRA is not supported",
    "target_parameters": "LoRA on parameters (experts of a mixture) is not supported",
    "arrow_config": "routing between adapters (Arrow) is not supported",
    "kasa_config": "KaSA, which changes the base's weights, is not supported",
    "monteclora_config": "MonteCLoRA is not supported",
    "megatron_config": "Megatron's parallel layers are not supported",
    "ensure_weight_tying": "tied adapters are not supported",
}
# Of those that say how training began; PEFT repeats the others on loading and changes the base's weights.
_PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
_KNOWN = """
    auto_mapping peft_version base_model_name_or_path revision peft_type task_type inference_mode r target_modules
    exclude_modules lora_alpha lora_dropout fan_in_fan_out bias use_rslora init_lora_weights layers_to_transform
    layers_pattern rank_pattern alpha_pattern megatron_core loftq_config eva_config corda_config lora_ga_config
    velora_config qalora_group_size runtime_config
"""


@dataclass(frozen=True, slots=True)
class Inspected:
    """An adapter that will be served.

    Attributes:
        modules: number of modules that it is on.
        zero: lora_A or lora_B is all zero in every one of them: it changes nothing.
    """

    modules: int
    zero: bool


class _DiffersError(AdapterError):
    """Tensors and base do not fit, as far as the base's files name its modules."""


def inspect_adapter(folder: Path, source: ModelSource, *, patterns: bool = True) -> Inspected:
    """Reads a whole adapter against its base model.

    Args:
        folder: a PEFT folder.
        source: the base model.
        patterns: the engine serves rank_pattern and alpha_pattern.

    Raises:
        AdapterError: names the file and the option, module or tensor because of which it would not be served as it is.
    """
    config = read_config(folder)
    _check_options(folder, config, patterns=patterns)
    file = weights_file(folder)
    tensors = read_tensors(file)
    try:
        modules = _fitted(file, config, tensors, source)
    except re.error as error:
        raise AdapterError(
            f"{folder / CONFIG}: {error.pattern!r} is not a valid pattern for module names ({error})"
        ) from error
    zero = all(tensors[a].zero or tensors[b].zero for a, b in modules.values())
    return Inspected(len(modules), zero)


def _fitted(
    file: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], source: ModelSource
) -> dict[str, tuple[str, str]]:
    stored = stored_modules(source)
    try:
        return _Adapter(file, config, tensors, stored or built_modules(source), source).checked()
    except _DiffersError as error:
        # Files may name or pack modules otherwise than the model does; it takes seconds to ask the model itself.
        built = built_modules(source) if stored else {}
        if not built:
            raise AdapterError(*error.args) from None
    try:
        return _Adapter(file, config, tensors, built, source).checked()
    except _DiffersError as error:
        raise AdapterError(*error.args) from None


def largest_rank(config: Mapping[str, Any]) -> int:
    """The largest rank that an adapter_config.json names, in r or rank_pattern."""
    pattern = config.get("rank_pattern") or {}
    ranks = pattern.values() if isinstance(pattern, Mapping) else ()
    return max(int(config["r"]), *(rank for rank in ranks if isinstance(rank, int)), 0)


def _check_options(folder: Path, config: Mapping[str, Any], *, patterns: bool) -> None:
    file = folder / CONFIG
    for key, words in _REFUSED.items():
        if config.get(key):
            raise AdapterError(f"{file}: {key} is set: {words}; merge the adapter into its base, or train a plain LoRA")
    if config.get("bias") not in (None, "none"):
        raise AdapterError(f"{file}: bias={config['bias']!r}: trained biases are not supported; train with bias='none'")
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        raise AdapterError(
            f"{file}: init_lora_weights={init!r} changes the base model's weights on loading; save it as a plain LoRA"
            " (PEFT: save_pretrained with path_initial_model_for_weight_conversion)"
        )
    if not isinstance(config.get("lora_alpha"), int | float) or isinstance(config["lora_alpha"], bool):
        raise AdapterError(
            f"{file}: lora_alpha is {config.get('lora_alpha')!r}; without it the adapter's scale is unknown. Give the"
            " value that it was trained with"
        )
    targets = config.get("target_modules")
    if not targets or not (isinstance(targets, str) or (isinstance(targets, list) and all(map(_is_text, targets)))):
        raise AdapterError(f"{file}: target_modules is {targets!r}, which names no module")
    for key in ("rank_pattern", "alpha_pattern"):
        if not isinstance(config.get(key) or {}, Mapping):
            raise AdapterError(f"{file}: {key} is not an object of module: number")
        if config.get(key) and not patterns:
            raise AdapterError(f"{file}: {key} is set, which this vLLM ignores; use engine=hf or a newer vLLM")
    for key in sorted(config.keys() - _REFUSED.keys() - set(_KNOWN.split())):
        if config[key]:
            _log.warning("%s: the option %s is unknown and is ignored, as by PEFT", file, key)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


class _Adapter:
    """One adapter's tensors compared with what its base and its configuration require."""

    def __init__(
        self, file: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], base: Modules, source: ModelSource
    ) -> None:
        self._file = file
        self._config = config
        self._tensors = tensors
        self._base = base
        self._source = source
        self._targeted = _targets(config)

    def checked(self) -> dict[str, tuple[str, str]]:
        """Module -> names of its lora_A and lora_B.

        Raises:
            AdapterError: something is missing, left over or of another shape.
        """
        if not self._tensors:
            raise self._wrong("contains no tensors, so texts would be the base's. Save the adapter again")
        found: dict[str, dict[str, str]] = {}
        for name, tensor in self._tensors.items():
            if not all(tensor.shape):
                raise self._wrong(
                    f"tensor {name} is empty (shape {list(tensor.shape)}); under DeepSpeed ZeRO-3 weights must be"
                    " gathered before they are saved. Save the adapter again (for example with zero_to_fp32.py)"
                )
            match = self._parsed(name)
            if match is not None:
                found.setdefault(match["module"], {})[match["side"]] = name
        pairs = {module: self._pair(module, sides) for module, sides in found.items()}
        self._check_missing(pairs)
        for name, tensor in self._tensors.items():
            if not tensor.finite:
                raise self._wrong(f"tensor {name} has values that are infinite or not a number; training diverged")
        return pairs

    def _wrong(self, words: str) -> AdapterError:
        return AdapterError(f"adapter {self._file}: {words}")

    def _differs(self, words: str) -> AdapterError:
        return _DiffersError(f"adapter {self._file}: {words}")

    def _parsed(self, name: str) -> re.Match[str] | None:
        """The parts of a LoRA tensor's name; None for a copy of the base's own embeddings."""
        inner = name.removeprefix(_PREFIX)
        match = LORA.fullmatch(inner)
        if match is not None and name != inner and bool(match["embedding"]) != bool(match["weight"]):
            module = match["module"]
            if self._targeted(module) and (not self._base or module in self._base):
                return match
            raise self._differs(self._unused(name, module))
        if self._copies_base(inner):
            return None
        raise self._wrong(self._foreign(name))

    def _unused(self, name: str, module: str) -> str:
        for part, words in (
            ("_orig_mod.", "it was saved from a compiled model (torch.compile): take '_orig_mod.' out of the names"),
            (_PREFIX, f"the prefix {_PREFIX!r} is there twice: save the adapter from the PEFT model itself"),
            (
                "language_model.",
                "it was trained on a model of text and images: take 'language_model.' out of the names",
            ),
        ):
            plain = f"{module}.".replace(part, "")[:-1]
            if part in f"{module}." and (not self._base or plain in self._base):
                return f"tensor {name} is of no module of the base model {self._source.path}; {words}"
        if self._base and module not in self._base:
            return (
                f"tensor {name}: target module {module} does not exist in the base model {self._source.path}; it was"
                " trained on another base"
            )
        return (
            f"tensor {name} is of a module that target_modules in {CONFIG} does not name: PEFT would leave it out and"
            " vLLM would apply it. Correct target_modules (or layers_to_transform), or save the adapter again"
        )

    def _foreign(self, name: str) -> str:
        if "_orig_mod." in name:
            return f"tensor {name}: saved from a compiled model (torch.compile); take '_orig_mod.' out of the names"
        if named := _NAMED.search(name):
            return (
                f"tensor {name} has the adapter's own name {named['name']!r} in it, and would not be applied; save with"
                " PEFT's save_pretrained instead of state_dict()"
            )
        if "lora_magnitude_vector" in name:
            return f"tensor {name} belongs to a DoRA adapter, which is not served; merge it into the base"
        if name.endswith((".bias", ".lora_B.bias")):
            return f"tensor {name}: trained biases are not supported; train with bias='none'"
        if "modules_to_save" in name or "trainable_tokens" in name or not LORA.fullmatch(name):
            return f"tensor {name} is not a LoRA weight of a linear layer or an embedding, and would not be served"
        return (
            f"tensor {name} does not begin with {_PREFIX!r}, so that it would not be applied; save with PEFT's"
            " save_pretrained, or add the prefix to every name"
        )

    def _copies_base(self, inner: str) -> bool:
        """Whether a tensor is a copy of the base's embeddings, which PEFT saves next to adapters on them.

        Raises:
            AdapterError: it is another matrix: tokens were added or trained.
        """
        module = inner.removesuffix(".weight").removesuffix(".base_layer")
        if not inner.endswith(".weight") or module.rpartition(".")[2] not in (*EMBEDDINGS, "lm_head"):
            return False
        name, base = f"{_PREFIX}{inner}", self._base.get(module)
        if name not in self._tensors:
            return False
        shape = self._tensors[name].shape
        if base is not None and shape != base:
            raise self._differs(
                f"tensor {name} has {shape[0]} rows, the base model {self._source.path} has {base[0]}: new tokens are"
                " not supported; merge the adapter into its base"
            )
        if base is None or not _same_as_base(self._file, name, module, Path(self._source.path)):
            raise self._differs(
                f"tensor {name} is a trained embedding, not the base model's; these are not supported together with a"
                " LoRA. Merge the adapter into its base, or save it with save_embedding_layers=False"
            )
        return True

    def _pair(self, module: str, sides: Mapping[str, str]) -> tuple[str, str]:
        if len(sides) < 2:
            have, lacks = ("A", "B") if "A" in sides else ("B", "A")
            raise self._wrong(f"{module} has a lora_{have} without a lora_{lacks}; the file is incomplete")
        names = sides["A"], sides["B"]
        a, b = (self._tensors[name].shape for name in names)
        rank = _by_pattern(self._config.get("rank_pattern"), module, self._config["r"])
        embedding = "lora_embedding_" in names[0]
        if embedding != ("lora_embedding_" in names[1]) or len(a) != 2 or len(b) != 2:
            raise self._wrong(f"the tensors of {module} are not a matching pair of matrices")
        if (a[0], b[1]) != (rank, rank):
            raise self._wrong(
                f"{module} has rank {a[0]} in lora_A and {b[1]} in lora_B, {CONFIG} says {rank}; its scale would be"
                " wrong. Correct r (or rank_pattern) in it"
            )
        self._check_widths(module, (b[0], a[1]), embedding=embedding)
        return names

    def _check_widths(self, module: str, have: tuple[int, int], *, embedding: bool) -> None:
        want = self._base.get(module)
        if want is None:
            return
        if embedding != (module.rpartition(".")[2] in EMBEDDINGS):
            raise self._differs(f"{module} is {'no' if embedding else 'an'} embedding, but its tensors are not")
        wanted = want[::-1] if embedding else want
        for width, of, to in zip(("output", "input"), have, wanted, strict=True):
            if of != to:
                raise self._differs(
                    f"{module} has {width} width {of}, the base model {self._source.path} has {to};"
                    " it was trained on another base"
                )

    def _check_missing(self, pairs: Collection[str]) -> None:
        expected = [module for module in self._base if self._targeted(module)]
        missing = [module for module in expected if module not in pairs]
        if missing:
            raise self._differs(
                f"has no tensors for {len(missing)} of {len(expected)} modules that {CONFIG} names, the first of them"
                f" {missing[0]}; the file is incomplete, or target_modules (layers_to_transform) is wrong"
            )
        if not pairs:
            raise self._wrong("contains no LoRA weights, so texts would be the base's")


def _targets(config: Mapping[str, Any]) -> Callable[[str], bool]:
    """PEFT's rule on which modules an adapter is on (its check_target_module_exists)."""
    targets, layers = config["target_modules"], config.get("layers_to_transform")
    excluded, patterns = config.get("exclude_modules") or [], config.get("layers_pattern") or []
    numbers = [layers] if isinstance(layers, int) else (layers or [])
    patterns = [patterns] if isinstance(patterns, str) else patterns

    def named(module: str, names: Any) -> bool:
        if isinstance(names, str):
            return re.fullmatch(names, module) is not None
        return any(module == name or module.endswith(f".{name}") for name in names)

    def of_layer(module: str) -> bool:
        found = [re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", module) for pattern in patterns]
        match = next(filter(None, found), None) if patterns else re.match(r".*?\.[^.]*\.(\d+)\.", module)
        return match is not None and int(match[1]) in numbers

    def targeted(module: str) -> bool:
        if named(module, excluded):
            return False
        if targets == "all-linear":
            last = module.rpartition(".")[2]
            return last not in EMBEDDINGS and last != "lm_head"
        return named(module, targets) and (not numbers or isinstance(targets, str) or of_layer(module))

    return targeted


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, otherwise: Any) -> Any:
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return otherwise


def _same_as_base(file: Path, name: str, module: str, base: Path) -> bool:
    """Whether a tensor of an adapter holds the base's values, in the adapter's precision."""
    import torch
    from safetensors import safe_open

    def stored(path: Path, names: Collection[str]) -> Iterator[Any]:
        with safe_open(path, "pt") as tensors:
            yield from (tensors.get_tensor(n) for n in names if n in tensors.keys())  # noqa: SIM118

    own = load_pickle(file)[name] if file.suffix == ".bin" else next(stored(file, [name]))
    paths = sorted(base.glob("*.safetensors"))
    there = safetensors_shapes(base)
    name_there = f"{module}.weight"
    if name_there not in there:  # tied: stored once
        name_there = next((n for n in there if n.removesuffix(".weight").rpartition(".")[2] in EMBEDDINGS), "")
    theirs = next((tensor for path in paths for tensor in stored(path, [name_there])), None)
    if theirs is None or theirs.shape != own.shape:
        return False
    return bool(torch.equal(theirs.to(own.dtype), own)) or bool(torch.equal(theirs, own.to(theirs.dtype)))
