"""Independent LoRA: one PEFT adapter per role, from a folder of folders or from a mapping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from roleeval.engines import load_adapter
from roleeval.errors import AdapterError, ConfigError, UnsupportedRoleError
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.models._role_paths import folder_role, located, nfc
from roleeval.models._sizes import AdapterParameters, adapter_sizes, summed
from roleeval.models.families import Base
from roleeval.types import AdapterRef, Persona


@dataclass(frozen=True, kw_only=True)
class IndependentLora(Base):
    """One PEFT adapter per role (conf/model/independent_lora.yaml).

    A role without an adapter is unsupported and counted; it is never served by the base.

    Attributes:
        adapters_dir: a folder whose sub-folders are PEFT adapters named by role, as `roleeval adapters export` writes
            them (characters that cannot be in a folder name are percent escapes); or "zoo:NAME".
        adapters_map: role -> PEFT folder, where folders are not named by role; a YAML or JSON file of them; or
            their text ("{ROLE: FOLDER}"), for roles that no command line takes as keys. Exactly one of adapters_dir and
            adapters_map is given.
    """

    adapters_dir: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    adapters_map: Mapping[str, str] | str | None = field(default=None, metadata=OUTSIDE_IDENTITY)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.adapters_dir is None) == (self.adapters_map is None):
            given = "neither is given" if self.adapters_dir is None else "both are given"
            raise ConfigError(f"model.adapters_dir, model.adapters_map: {given}; give exactly one of them")

    @property
    def family(self) -> str:
        return "independent_lora"

    @cached_property
    def _folders(self) -> Mapping[str, Path]:
        if isinstance(self.adapters_map, str):
            return _from_map(_read_map(self.adapters_map))
        if self.adapters_map is not None:
            return _from_map(self.adapters_map)
        return _from_dir(located(str(self.adapters_dir), "adapters_dir"))

    @cached_property
    def _called(self) -> dict[str, str]:
        """Role in Unicode's composed form (NFC) -> as its folder writes it; file systems may use the other form."""
        called: dict[str, str] = {}
        for role, folder in self._folders.items():
            other = called.setdefault(nfc(role), role)
            if other != role:
                raise AdapterError(
                    f"model: {self._folders[other]} and {folder} are both role {nfc(role)!r}, in two Unicode forms;"
                    " keep one of them"
                )
        return called

    @cached_property
    def _loaded(self) -> dict[str, AdapterRef]:
        return {}

    def _load(self, role: str) -> AdapterRef:
        if role not in self._loaded:
            self._loaded[role] = load_adapter(self._folders[role], role)
        return self._loaded[role]

    def adapters(self) -> Sequence[AdapterRef]:
        return tuple(self._load(role) for role in self._folders)

    def adapter_parameters(self) -> AdapterParameters:
        """The sum over roles; one more role adds one more adapter, where all have the same size."""
        sizes = adapter_sizes(self.adapters())
        return AdapterParameters(summed(sizes), sizes[0] if len(set(sizes)) == 1 else None)

    def adapter(self, persona: Persona) -> AdapterRef | None:
        role = self._called.get(nfc(persona.role))
        if role is None:
            where = self.adapters_dir if self.adapters_dir is not None else "model.adapters_map"
            raise UnsupportedRoleError(
                f"role {persona.role!r} has no adapter in {where}, which has adapters of {len(self._folders)} roles"
            )
        return self._load(role)


def _from_dir(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise AdapterError(f"model.adapters_dir: {folder} is not a folder")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        role = folder_role(path.name)
        if role in found:
            raise AdapterError(f"model.adapters_dir: {found[role]} and {path} are both role {role!r}; keep one of them")
        found[role] = path
    if not found:
        raise AdapterError(f"model.adapters_dir: {folder} has no sub-folders; expected one PEFT folder per role")
    return found


def _read_map(given: str) -> Mapping[str, str]:
    """A mapping out of its text, or out of a YAML or JSON file."""
    import yaml

    where, text = "model.adapters_map", given
    try:
        if not given.lstrip().startswith("{"):
            where = f"model.adapters_map: {given}"
            text = Path(given).expanduser().read_text(encoding="utf-8-sig")
        found = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
        raise ConfigError(f"{where}: cannot be read ({reason})") from error
    if not isinstance(found, dict) or not all(isinstance(part, str) for pair in found.items() for part in pair):
        raise ConfigError(f"{where}: expected {{ROLE: FOLDER, ...}}, all of them texts; put quotes around others")
    return found


def _from_map(mapping: Mapping[str, str]) -> dict[str, Path]:
    if not mapping:
        raise ConfigError("model.adapters_map: empty; give role: PEFT folder for every role")
    found = {role: located(path, f"adapters_map.{role}") for role, path in mapping.items()}
    missing = [f"{role!r} -> {path}" for role, path in found.items() if not path.is_dir()]
    if missing:
        raise AdapterError(f"model.adapters_map: not a folder: {', '.join(missing)}")
    owner: dict[Path, str] = {}
    for role, path in found.items():
        other = owner.setdefault(path.resolve(), role)
        if other != role:
            raise AdapterError(
                f"model.adapters_map: roles {other!r} and {role!r} have the same folder {path}; for one adapter for all"
                " roles use model=shared_lora"
            )
    return found
