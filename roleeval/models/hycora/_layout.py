"""Which linear modules a HyCoRA checkpoint adapts, in the order that its module ids count them.

module_id = type_index * layers + layer: another order of the types gives a wrong adapter without an error, so the order
is defined only here.
"""

from collections.abc import Collection
from dataclasses import dataclass

from roleeval.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Layout:
    """One architecture's adapted modules.

    Attributes:
        name: what a person calls it.
        layers: where its decoder layers are, in the base model's names.
        modules: the module types in the order of module ids, named from the layer on.
        Source: spec/hycora.md, section 1.
    """

    name: str
    layers: str
    modules: tuple[str, ...]

    def base_module(self, module: str, layer: int) -> str:
        """Name of a module in the base model."""
        return f"{self.layers}.{layer}.{module}"

    def peft_key(self, module: str, layer: int, side: str) -> str:
        """Name of an adapter's tensor in a PEFT file; side is "A" or "B"."""
        return f"base_model.model.{self.base_module(module, layer)}.lora_{side}.weight"

    def targets(self) -> list[str]:
        """PEFT's target_modules."""
        return [module.rpartition(".")[2] for module in self.modules]


LAYOUTS = (
    Layout(
        "llama or qwen2",
        "model.layers",
        (
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.up_proj",
            "mlp.down_proj",
            "mlp.gate_proj",
        ),
    ),
    Layout(
        "chatglm2",
        "transformer.encoder.layers",
        ("self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    ),
)


def layout_of(modules: Collection[str], where: str) -> Layout:
    """The layout that adapted module types belong to; it may have further ones, which are then missing.

    Raises:
        AdapterError: no known architecture has these modules.
    """
    for layout in LAYOUTS:
        if modules and set(modules) <= set(layout.modules):
            return layout
    known = ", ".join(layout.name for layout in LAYOUTS)
    raise AdapterError(
        f"{where}: unknown architecture: it adapts {', '.join(sorted(modules)) or 'no module'}; known: {known}"
    )
