"""Persona models: what a family of role-playing models adds over an engine."""

from roleeval.models._protocol import PersonaModel, lora_need
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
    "Her",
    "HyCora",
    "IndependentLora",
    "OptionalLora",
    "PersonaModel",
    "Rar",
    "SharedLora",
    "base_parameters",
    "lora_need",
    "parse_plain",
]
