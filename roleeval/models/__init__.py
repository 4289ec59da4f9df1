"""Persona models: what a family of role-playing models adds over an engine."""

from roleeval.models._protocol import PersonaModel, lora_need
from roleeval.models.families import Api, Base, SharedLora
from roleeval.models.hycora import HyCora
from roleeval.models.independent import IndependentLora
from roleeval.models.reply import parse_plain

__all__ = ["Api", "Base", "HyCora", "IndependentLora", "PersonaModel", "SharedLora", "lora_need", "parse_plain"]
