"""An engine on the CPU says before it is loaded how much of the chats in flight it will remember."""

import json
from pathlib import Path

import pytest

from roleeval.engines import Holds, LoraNeed, ModelSource
from roleeval.engines.vllm import VllmOptions, _cache


def test_the_cache_is_settled_before_the_start_and_grows_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cache, "free_memory", lambda: 16 * 2**30)
    shape = {"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "hidden_size": 896}
    config = {"model_type": "qwen2", "max_position_embeddings": 32768, **shape}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    engine = VllmOptions().build(ModelSource(str(tmp_path)), LoraNeed())
    assert isinstance(engine, Holds)
    if not engine._vllm.cpu:
        assert engine.hold(10**6) is None
        return
    little, more, again, most = (engine.hold(tokens) for tokens in (1000, 100_000, 1000, 10**9))
    assert little is not None and more is not None and most is not None
    assert 40_000 < little < 100_000 <= more == again < most < 400_000
    assert engine._launch().cache == _cache.Cache(8)


@pytest.mark.parametrize(("free", "given"), [(16, None), (2, None), (2, 4096)])
def test_the_context_is_the_one_that_is_served_and_not_the_models_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, given: int | None
) -> None:
    monkeypatch.setattr(_cache, "free_memory", lambda: free * 2**30)
    shape = {"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 14, "hidden_size": 896}
    config = {"model_type": "qwen2", "max_position_embeddings": 32768, **shape}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    engine = VllmOptions(max_model_len=given).build(ModelSource(str(tmp_path)), LoraNeed())
    context = engine.abilities.context
    assert context is not None
    if given or not engine._vllm.cpu or free > 8:
        assert context == (given or 32768)
        return
    assert context == engine._launch().sized().max_model_len and 0 < context < 32768
