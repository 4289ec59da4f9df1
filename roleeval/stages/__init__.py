"""The stages of stages=[...]: generate, score, judge; and what a run needs for them."""
