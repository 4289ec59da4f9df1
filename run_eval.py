"""Runs an evaluation: `python run_eval.py [group=choice] [key=value] [-m]`; --help lists groups and keys."""

import sys

from roleeval.cli.hydra_app import main

if __name__ == "__main__":
    sys.exit(main())
