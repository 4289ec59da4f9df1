"""The sizes of a HyCoRA network and what they cost in parameters."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModuleShape:
    """One module type: input and output width of its linear layers, and the width h of its head."""

    inputs: int
    outputs: int
    head: int


@dataclass(frozen=True, slots=True)
class HyCoraShape:
    """All sizes of a network; symbols as in spec/hycora.md, section 1.

    Attributes:
        roles: R.
        role_dim: d_r.
        layer_dim: d_l.
        hidden: H.
        blocks: n_b, residual blocks of the encoder.
        rank: r.
        layers: L, decoder layers of the base.
        modules: the module types in the order of module ids.
        norm_input: a layer norm before the encoder.
        norm_output: a layer norm after it.
    """

    roles: int
    role_dim: int
    layer_dim: int
    hidden: int
    blocks: int
    rank: int
    layers: int
    modules: tuple[ModuleShape, ...]
    norm_input: bool = True
    norm_output: bool = True


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameter counts.

    Attributes:
        trainable: all that training changes.
        inference: of these, what adapters are made from.
        per_added_role: what one more role adds.
        adapter: one role's materialised LoRA.
    """

    trainable: int
    inference: int
    per_added_role: int
    adapter: int


def count_parameters(shape: HyCoraShape) -> Parameters:
    """Counts the parameters of a network.

    Source: spec/hycora.md, section 1, "Parameters".
    """
    hidden, rank = shape.hidden, shape.rank
    width = shape.role_dim + shape.layer_dim
    embeddings = shape.roles * shape.role_dim + len(shape.modules) * shape.layers * shape.layer_dim
    norms = 2 * width * shape.norm_input + 2 * hidden * shape.norm_output
    encoder = (width + 1) * hidden + shape.blocks * (2 * hidden**2 + 4 * hidden)
    heads = sum(hidden * m.head + m.head + (m.head + 1) * m.inputs * rank for m in shape.modules)
    shared_b = rank * shape.layers * sum(m.outputs for m in shape.modules)
    inference = embeddings + norms + encoder + heads + shared_b
    model_width = shape.modules[0].inputs
    contrastive = (model_width + 1) * shape.role_dim + (shape.role_dim + 1) * shape.role_dim
    adapter = rank * shape.layers * sum(m.inputs + m.outputs for m in shape.modules)
    return Parameters(inference + contrastive, inference, shape.role_dim, adapter)
