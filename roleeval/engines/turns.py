"""Chats in the form that a model's template takes: no system turn, no two turns of one role in a row."""

import re
from collections.abc import Sequence

from roleeval.engines._protocol import ModelSource
from roleeval.types import Message

_REFUSALS = {
    "fold_system": (r"system (?:role|turn|message|prompt)s?\W.*(?:not support|not allowed|unsupported)", r"no system"),
    "merge_neighbours": (r"\balternat(?:e|ing)\b",),
}
OPTIONS = {
    "fold_system": "the system turn then opens the first user turn",
    "merge_neighbours": "turns of one role in a row then become one",
}


def fitted(messages: Sequence[Message], source: ModelSource) -> tuple[Message, ...]:
    """A chat in the form that a model's template takes (ModelSource.fold_system, .merge_neighbours)."""
    chat = list(messages)
    if source.fold_system:
        chat = _folded(chat)
    if source.merge_neighbours:
        chat = _merged(chat)
    return tuple(chat)


def _folded(chat: Sequence[Message]) -> list[Message]:
    """Each system turn at the beginning of the next user turn; one without a user turn after it becomes one."""
    found: list[Message] = []
    waiting: list[str] = []
    for message in chat:
        if message.role == "system":
            waiting.append(message.content)
            continue
        if message.role == "user" and waiting:
            message = Message("user", "\n\n".join([*waiting, message.content]))
            waiting = []
        elif waiting:
            found.append(Message("user", "\n\n".join(waiting)))
            waiting = []
        found.append(message)
    return [*found, *([Message("user", "\n\n".join(waiting))] if waiting else [])]


def _merged(chat: Sequence[Message]) -> list[Message]:
    found: list[Message] = []
    for message in chat:
        if found and found[-1].role == message.role:
            found[-1] = Message(message.role, f"{found[-1].content}\n\n{message.content}")
        else:
            found.append(message)
    return found


def turns_hint(message: str) -> str:
    """The option that helps where a server's message says that its template refuses system turns or neighbours."""
    said = message.casefold()
    names = [name for name, words in _REFUSALS.items() if any(re.search(word, said) for word in words)]
    ways = [f"model.source.{name}=true ({OPTIONS[name]})" for name in names]
    return f". Set {' or '.join(ways)}" if ways else ""
