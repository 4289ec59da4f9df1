"""Our additions to vLLM on the CPU: a faster start, batched LoRA products, vLLM's own C++ norms.

    start.py       vLLM's engine process as a fork of a server that imports vLLM ahead
    worker.py      vLLM's CPU worker with our LoRA products and its own norms; imported in vLLM's process
    products.py    the LoRA products; torch alone

They are not used with an untested version of vLLM (see ../_compat.py).
"""
