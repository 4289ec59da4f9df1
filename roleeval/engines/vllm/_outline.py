"""The names that a module of an installed package defines, read from its source: nothing is imported.

An engine's fingerprint depends on whether vLLM runs with our additions and must be known before anything is loaded.
Importing vLLM takes seconds; reading the source of the few modules involved takes milliseconds.
"""

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace


def outline(module: str) -> SimpleNamespace | None:
    """A stand-in for a module: its classes, functions and other names as attributes.

    Classes have their methods and fields, functions a signature; every other value is a placeholder.

    Args:
        module: dotted name; its top package may not be a namespace.

    Returns:
        None where the package or the module is not there, or cannot be read.
    """
    package, *inner = module.split(".")
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent.joinpath(*inner)
    file = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    if file is None:
        return None
    try:
        return _names(ast.parse(file.read_bytes()).body)
    except (OSError, SyntaxError, ValueError):
        return None


def _names(body: Sequence[ast.stmt]) -> SimpleNamespace:
    found = SimpleNamespace()
    for node in _flat(body):
        if isinstance(node, ast.ClassDef):
            setattr(found, node.name, _names(node.body))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            setattr(found, node.name, _stand_in(_signature(node.args)))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                setattr(found, alias.asname or alias.name.partition(".")[0], SimpleNamespace())
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    setattr(found, target.id, SimpleNamespace())
    return found


def _stand_in(signature: inspect.Signature) -> Callable[[], None]:
    def function() -> None:
        raise NotImplementedError

    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements with those inside `if` and `try`: a name may be defined in either branch."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _flat([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _flat([*node.body, *(s for handler in node.handlers for s in handler.body), *node.orelse])
        else:
            yield node


def _signature(arguments: ast.arguments) -> inspect.Signature:
    kinds = [
        *((a.arg, inspect.Parameter.POSITIONAL_ONLY) for a in arguments.posonlyargs),
        *((a.arg, inspect.Parameter.POSITIONAL_OR_KEYWORD) for a in arguments.args),
        *([(arguments.vararg.arg, inspect.Parameter.VAR_POSITIONAL)] if arguments.vararg else []),
        *((a.arg, inspect.Parameter.KEYWORD_ONLY) for a in arguments.kwonlyargs),
        *([(arguments.kwarg.arg, inspect.Parameter.VAR_KEYWORD)] if arguments.kwarg else []),
    ]
    return inspect.Signature([inspect.Parameter(name, kind) for name, kind in kinds])
