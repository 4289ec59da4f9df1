"""lm-eval where it is installed, without the network."""

from lm_eval_offline import lm_eval_installed, offline

__all__ = ["lm_eval_installed", "offline"]
