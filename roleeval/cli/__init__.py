"""The command line: run_eval.py's Hydra application, and the console script `roleeval` with one file a sub-command."""
