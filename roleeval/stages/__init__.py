"""The words of stages=[...]: generate, score, judge; and what a run needs to do them."""
