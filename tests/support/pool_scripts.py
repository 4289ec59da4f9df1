"""Scripts of the stand-in engine in a pool's workers."""

import logging


def warns(request: object) -> str:
    """Says something that a user should see."""
    logging.getLogger("roleeval.engines.stub").warning("this adapter has no effect")
    return "well"
