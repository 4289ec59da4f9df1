"""An engine that knows its lines: what plays train scenes and train sessions."""

from dataclasses import dataclass, field

from roleeval.types import Completion, Message, Request


@dataclass
class Script:
    """Answers calls with its replies, in order, and keeps what it was sent.

    Attributes:
        replies: what it says, call by call.
        sent: (messages of the call, the reply to it).
    """

    replies: list[str]
    sent: list[tuple[tuple[Message, ...], str]] = field(default_factory=list)

    async def generate(self, request: Request) -> Completion:
        """The next reply."""
        assert request.messages is not None
        reply = self.replies[len(self.sent)]
        self.sent.append((request.messages, reply))
        return Completion(reply, "stop", 0, 0)
