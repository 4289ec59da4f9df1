"""`python -m roleeval`: the same as the console script."""

from roleeval.cli.main import app

if __name__ == "__main__":
    app(prog_name="roleeval")
