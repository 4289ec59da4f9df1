"""Why vLLM could not start, in one sentence with the keys that help.

Its engine runs in a process of its own, and the cause of an error is in that process's output among sixty lines.
That output goes to a file; the sentence is read from it.
"""

import math
import re

_PREFIX = re.compile(r"^\s*(?:\([^)]*pid=\d+\)\s*)?(?:(?:ERROR|WARNING|INFO|CRITICAL)\s[^\]]*\]\s?)?\s*")
_RAISED = re.compile(r"^(?:[a-z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Interrupt|Exit))(?::\s*(.*))?$")
# Said by processes of what another one has died of.
_SECOND_HAND = ("Engine core initialization failed", "Engine core proc", "Executor failed", "WorkerProc initialization")
_CACHE = re.compile(
    r"max seq len \((?P<length>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed.*?"
    r"memory \((?P<there>[\d.]+) GiB\)(?:.*?maximum model length is (?P<fits>\d+))?",
    re.DOTALL,
)
_LONGEST = 300


def cause(output: str, *, raised: str, cpu: bool) -> str:
    """The cause of a start that failed.

    Args:
        output: of the engine's processes.
        raised: what this process was told.
        cpu: whether the engine was to run on the CPU.
    """
    found = _last_error(output) or _one_line(raised)
    if match := _CACHE.search(found):
        return _too_small(match, cpu=cpu)
    if "No available memory for the cache blocks" in found:
        key = "engine.cpu_kv_cache_gib" if cpu else "engine.gpu_memory_utilization"
        return f"no memory is left for the KV cache; raise {key}, or use a smaller model"
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."


def _too_small(match: re.Match[str], *, cpu: bool) -> str:
    length, needed, there, fits = match["length"], float(match["needed"]), float(match["there"]), match["fits"]
    more = f"engine.cpu_kv_cache_gib={math.ceil(needed)}" if cpu else "a higher engine.gpu_memory_utilization"
    less = f"engine.max_model_len={fits}" if fits else "a lower engine.max_model_len"
    need = f"one sequence of {length} tokens needs {needed:g} GiB of KV cache"
    return f"{need}, and there are {there:g}; set {more} or {less}"


def _last_error(output: str) -> str:
    """The last error that a process raised itself, with the lines of its message."""
    lines = [_PREFIX.sub("", line, count=1).rstrip() for line in output.splitlines()]
    for number in range(len(lines) - 1, -1, -1):
        raised = _RAISED.match(lines[number])
        if raised and not any(words in lines[number] for words in _SECOND_HAND):
            return _one_line(f"{raised[1]}: {raised[2]}" if raised[2] else raised[1])
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
