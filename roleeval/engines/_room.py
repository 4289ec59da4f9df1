"""Whether a prompt and what is asked for after it fit into a model's context; the same sentence for every engine."""

from roleeval.errors import ContextOverflowError


def require_room(prompt: int, new: int, *, context: int, model: str, limited: bool, what: str = "new tokens") -> None:
    """Refuses a request that no run of the model could answer.

    Args:
        prompt: its tokens.
        new: tokens that may be written, or are to be scored.
        context: tokens that both may have together.
        model: its path, for the message.
        limited: the context is shorter than the model's own, so that an option can raise it.
        what: the new tokens, in words.

    Raises:
        ContextOverflowError: they are more than the context.
    """
    if prompt + new <= context:
        return
    raise ContextOverflowError(
        f"a prompt of {prompt} tokens and {new} {what} exceed the limit of {context} for {model}"
        + ("" if limited else ", which is the model's own"),
        longer="max_model_len" if limited else "",
        shorter=what == "new tokens" and prompt < context,
    )
