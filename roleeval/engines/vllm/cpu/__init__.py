"""What vLLM gets from us on the CPU and nowhere else: a faster start, batched LoRA products, its own C++ norms.

    start.py       vLLM's engine process as a fork of a server that imports vLLM ahead
    worker.py      vLLM's CPU worker with our LoRA products and its own norms; imported in vLLM's process
    products.py    the LoRA products; torch alone

All of it is left out where this vLLM is not one that it was tested with (see ../_compat.py).
"""
