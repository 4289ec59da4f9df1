"""A family: a company of players that has parts for some roles only."""

from dataclasses import dataclass

from roleeval.errors import UnsupportedRoleError
from roleeval.models import Base
from roleeval.types import AdapterRef, Persona


@dataclass(frozen=True, kw_only=True)
class Company(Base):
    """A model with a way of speaking of its own (conf/model/inn_company.yaml).

    Attributes:
        roles: the roles that it plays; empty is all. `roles` chooses roles here, and is no path.
        manner: a sentence behind every system prompt.
    """

    roles: tuple[str, ...] = ()
    manner: str = ""

    @property
    def family(self) -> str:
        return "company"

    def adapter(self, persona: Persona) -> AdapterRef | None:
        if self.roles and persona.role not in self.roles:
            raise UnsupportedRoleError(f"{self.name} has no part for {persona.role}; it plays: {', '.join(self.roles)}")
        return None

    def messages(self, system, history):
        return super().messages(f"{system} {self.manner}".strip(), history)
