"""lm-eval: our tasks for it, our models on its command line, and results in its layout."""
