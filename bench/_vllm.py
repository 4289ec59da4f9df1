"""What several comparisons need of vLLM: the class that scripts use, and models in real shapes without weights."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from roleeval.resources import zoo_path

# hidden, intermediate, layers, heads, heads of keys and values, vocabulary
SHAPES = {
    "toy": (128, 256, 2, 4, 2, 4096),
    "llama2-7b": (4096, 11008, 32, 32, 32, 32000),
    "llama3-8b": (4096, 14336, 32, 32, 8, 128256),
}


def on_cpu() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def bare_llm(model: Path, *, dtype: str = "auto", **more: Any) -> Any:
    """vLLM's synchronous `LLM`, with vLLM's own operators and the settings of our engine.

    Args:
        model: its folder.
        dtype: "auto" is what it is for our engine.
        more: further arguments of `LLM`.
    """
    os.environ.update(VLLM_LOGGING_LEVEL="ERROR", VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1")
    from vllm import LLM
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    settings: dict[str, Any] = {"dtype": dtype, "enable_prefix_caching": True, "max_num_seqs": 256}
    if on_cpu():
        settings |= {
            "dtype": "float32" if dtype == "auto" else dtype,
            "enforce_eager": True,
            "enable_chunked_prefill": False,
            "block_size": 32,
            "distributed_executor_backend": UniProcExecutor,
        }
    return LLM(str(model), **settings | more)


def make_base(folder: Path, shape: str, *, vocabulary: int | None = None) -> Path:
    """The zoo's base; or a folder with a Llama configuration of a shape, the zoo's tokenizer and no weights.

    Args:
        folder: where it is made.
        shape: "zoo" or one of SHAPES.
        vocabulary: another size of it; the tokenizer's own lets every token that is drawn be read.
    """
    if shape == "zoo":
        return zoo_path("base")
    hidden, intermediate, layers, heads, kv_heads, tokens = SHAPES[shape]
    base = folder / shape
    base.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (zoo_path("base") / name).is_file():
            shutil.copy(zoo_path("base") / name, base / name)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary or tokens,
        "max_position_embeddings": 8192,
        "torch_dtype": "bfloat16",
    }
    (base / "config.json").write_text(json.dumps(config))
    return base
