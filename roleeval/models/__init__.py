"""Persona models: what a family of role-playing models adds over an engine."""

from roleeval.models._her_reply import heard_her, parse_her
from roleeval.models._her_tags import tags_in
from roleeval.models._protocol import Hears, PersonaModel, lora_need
from roleeval.models._role_paths import nfc
from roleeval.models._sizes import AdapterParameters, base_parameters
from roleeval.models.families import Api, Base, OptionalLora, SharedLora
from roleeval.models.her import Her
from roleeval.models.hycora import HyCora
from roleeval.models.independent import IndependentLora
from roleeval.models.rar import Rar
from roleeval.models.reply import parse_plain

__all__ = [
    "AdapterParameters",
    "Api",
    "Base",
    "Hears",
    "Her",
    "HyCora",
    "IndependentLora",
    "OptionalLora",
    "PersonaModel",
    "Rar",
    "SharedLora",
    "base_parameters",
    "heard_her",
    "lora_need",
    "nfc",
    "parse_her",
    "parse_plain",
    "tags_in",
]
