"""Why vLLM did not start, in one sentence with the keys that help; and how large its cache is to be on the CPU."""

import json
import logging
from pathlib import Path

import pytest

from roleeval.engines import ModelSource
from roleeval.engines.vllm import _cache
from roleeval.engines.vllm._cache import Cache, cpu_cache
from roleeval.engines.vllm._cause import cause

TOLD = "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"
WHERE = "(EngineCore pid=1947) ERROR 11-26 19:55:20 [core.py:1510]"
CACHE = f"""
{WHERE} EngineCore failed to start.
{WHERE} Traceback (most recent call last):
{WHERE}   File "core.py", line 1484, in run_engine_core
{WHERE} ValueError: To serve at least one request with the model's max seq len (32768), (1.5 GiB KV cache is needed, \
which is larger than the available KV cache memory (1.0 GiB). Based on the available memory, the estimated maximum \
model length is 21760. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or \
decreasing `max_model_len` when initializing the engine.
(EngineCore pid=1947) Process EngineCore:
(EngineCore pid=1947) Traceback (most recent call last):
(EngineCore pid=1947) ValueError: To serve at least one request with the model's max seq len (32768), (1.5 GiB KV cache\
 is needed, which is larger than the available KV cache memory (1.0 GiB). Based on the available memory, the estimated\
 maximum model length is 21760. Try increasing
"""
SHORT = "one sequence of 32768 tokens needs 1.5 GiB of KV cache, and there are 1; set"


def test_a_cache_that_is_too_small_names_the_keys_and_the_values_that_do() -> None:
    on_cpu = cause(CACHE, raised=TOLD, cpu=True)
    assert on_cpu == f"{SHORT} engine.cpu_kv_cache_gib=2 or engine.max_model_len=21760"
    on_gpu = cause(CACHE, raised=TOLD, cpu=False)
    assert on_gpu == f"{SHORT} a higher engine.gpu_memory_utilization or engine.max_model_len=21760"


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("", TOLD),
        ("nothing that looks like an error", TOLD),
        (f"{WHERE} torch.OutOfMemoryError: CUDA out of memory.\nRuntimeError: {TOLD}", "OutOfMemoryError: CUDA out of"),
        ("KeyError: 'lm_head'", "KeyError: 'lm_head'"),
        ("RuntimeError: " + "x" * 5000, "RuntimeError: x"),
        ("ValueError: No available memory for the cache blocks. Try", "raise engine.cpu_kv_cache_gib"),
    ],
)
def test_the_last_error_that_a_process_raised_itself_is_the_cause(output: str, found: str) -> None:
    said = cause(output, raised=TOLD, cpu=True)
    assert found in said
    assert len(said) <= 310
    assert "\n" not in said


def model(folder: Path, longest: int) -> ModelSource:
    """Only a configuration: 2 * 24 layers * 2 heads * 64 numbers of 4 bytes are 24 KiB a token."""
    shape = {"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "hidden_size": 896}
    (folder / "config.json").write_text(
        json.dumps({"model_type": "qwen2", "max_position_embeddings": longest, **shape})
    )
    return ModelSource(str(folder))


def cache(source: ModelSource, **changes: int | None) -> Cache:
    return cpu_cache(source, dtype="auto", **{"max_model_len": None, "copies": 1, **changes})  # type: ignore[arg-type]


def test_the_cache_holds_one_longest_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_cache, "free_memory", lambda: 16 * 2**30)
    assert cache(model(tmp_path, 32768)) == Cache(1)
    assert cache(model(tmp_path, 131072)) == Cache(4)
    assert cache(model(tmp_path, 131072), max_model_len=2048) == Cache(1)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_cache_grows_with_what_is_in_flight_up_to_half_of_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cache, "free_memory", lambda: 16 * 2**30)
    source = model(tmp_path, 32768)
    assert cache(source, wanted=200_000) == Cache(5) and cache(source, wanted=10**9) == Cache(8)
    assert cache(source, wanted=10_000) == Cache(1) == cache(source, wanted=40_000, copies=2)
    each = cache(source).tokens
    assert each is not None and 41_000 < each < 44_000  # 24 KiB a token, in whole blocks
    given = [cache(source, given=3, wanted=wanted).tokens for wanted in (0, 10**9)]
    assert given == [pytest.approx(3 * each, abs=3)] * 2


def test_where_memory_is_short_the_context_is_cut_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_cache, "free_memory", lambda: 4 * 2**30)
    assert cache(model(tmp_path, 131072)) == Cache(2, max_model_len=83200)
    assert "the context is cut to 83200 tokens" in caplog.text
    assert "engine.cpu_kv_cache_gib=4" in caplog.text
    # one that was asked for is never cut: vLLM then says that it does not fit
    assert cache(model(tmp_path, 131072), max_model_len=131072) == Cache(4)
    assert cache(model(tmp_path, 131072), copies=2) == Cache(1, max_model_len=41472)


def test_a_model_that_does_not_say_its_shape_gets_the_least(tmp_path: Path) -> None:
    assert cache(ModelSource(str(tmp_path))) == Cache(1)
