"""HyCoRA as a family: every role is an adapter that one hyper-network generates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from roleeval.errors import UnsupportedRoleError
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.models._role_paths import located, nfc
from roleeval.models._sizes import AdapterParameters
from roleeval.models.families import Base
from roleeval.models.hycora._adapters import cached_adapter, default_cache
from roleeval.models.hycora._checkpoint import Checkpoint, check_base, open_checkpoint
from roleeval.models.hycora._manifest import read_manifest
from roleeval.models.hycora._parameters import Parameters, count_parameters
from roleeval.types import AdapterRef, Persona


@dataclass(frozen=True, kw_only=True)
class HyCora(Base):
    """A HyCoRA network over a base model (conf/model/hycora.yaml).

    Each role's LoRA is made once and kept in a cache. A role that is not in the manifest is unsupported: to the network
    a role is the index of an embedding and nothing else.

    Attributes:
        checkpoint: its folder, or "zoo:NAME".
        roles: the role manifest, a file that names the roles in the order of their ids; or "zoo:NAME/FILE".
        cache_dir: where adapters are kept; None: roleeval/hycora in the user's cache folder.
        system_prompt: "none" is what the network was trained with.
        prompt_format: see Base; "llama", "qwen2" and "chatglm2" are the raw prompts of HyCoRA's own evaluation.

    Source: spec/hycora.md.
    """

    checkpoint: str = field(metadata=OUTSIDE_IDENTITY)
    roles: str = field(metadata=OUTSIDE_IDENTITY)
    cache_dir: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    system_prompt: Literal["persona", "none"] = "none"

    @property
    def family(self) -> str:
        return "hycora"

    @cached_property
    def network(self) -> Checkpoint:
        """The opened checkpoint, checked against the base where that is a local folder."""
        checkpoint = open_checkpoint(located(self.checkpoint, "checkpoint"))
        check_base(checkpoint, Path(self.source.path))
        return checkpoint

    @cached_property
    def role_ids(self) -> dict[str, int]:
        """Role -> id, in the manifest's order."""
        names = read_manifest(located(self.roles, "roles"), roles=self.network.shape.roles)
        return {name: number for number, name in enumerate(names)}

    @cached_property
    def _called(self) -> dict[str, str]:
        """Role in Unicode's composed form (NFC) -> as the manifest writes it."""
        return {nfc(role): role for role in self.role_ids}

    @property
    def parameters(self) -> Parameters:
        """What the network costs."""
        return count_parameters(self.network.shape)

    def adapter_parameters(self) -> AdapterParameters:
        """The network's trainable parameters; one more role is one more row of its role embedding."""
        return AdapterParameters(self.parameters.trainable, self.parameters.per_added_role)

    @cached_property
    def _made(self) -> dict[str, AdapterRef]:
        return {}

    def _make(self, role: str) -> AdapterRef:
        if role not in self._made:
            cache = Path(self.cache_dir).expanduser() if self.cache_dir else default_cache()
            self._made[role] = cached_adapter(self.network, self.role_ids[role], role, cache)
        return self._made[role]

    def adapters(self) -> Sequence[AdapterRef]:
        return tuple(self._make(role) for role in self.role_ids)

    def adapter(self, persona: Persona) -> AdapterRef | None:
        role = self._called.get(nfc(persona.role))
        if role is None:
            raise UnsupportedRoleError(
                f"role {persona.role!r} is not in {self.roles}, which has {len(self.role_ids)} roles; the network can"
                " play no other"
            )
        return self._make(role)
