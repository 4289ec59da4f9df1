"""The network that is trained is the network that is loaded: training, checkpoint and adapters give the same logits."""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import Qwen2Config, Qwen2ForCausalLM

from roleeval.models.hycora import export
from roleeval.zoo._hycora import HyCoraSize, HyperLora
from roleeval.zoo._pack import Encoded, collate, pack
from roleeval.zoo._train import hidden_states

ROLES = ("Ada", "王熙凤", "A/B")


def _base() -> Qwen2ForCausalLM:
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, initializer_range=0.1,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).eval()


def test_adapters_of_the_saved_network_play_as_in_training(tmp_path: Path) -> None:
    size = HyCoraSize(roles_emb_dim=8, layers_emb_dim=6, hyper_hidden_dim=24, head=5, rank_dim=4, dropout=0.0)
    network = HyperLora(_base(), ROLES, size).eval()
    with torch.no_grad():
        for b in network.lora_b.values():
            b.normal_(std=0.01)
    documents = [Encoded((), tuple(range(20 + role, 30 + role)), 2, role=role) for role in range(len(ROLES))]
    batch = collate(pack(documents, max_tokens=100, seed=0))
    with torch.no_grad():
        network.play(batch.roles)
        trained = hidden_states(network.base, batch.ids, batch)
    network.save(tmp_path)
    _base().save_pretrained(tmp_path / "base")

    folders = export(tmp_path, tmp_path / "base", tmp_path / "roles.json", tmp_path / "adapters")
    assert tuple(folders) == ROLES
    for row, role in enumerate(batch.roles.tolist()):
        tuned = PeftModel.from_pretrained(_base(), folders[ROLES[role]]).eval()
        with torch.no_grad():
            expected = tuned.base_model.model.model(input_ids=batch.ids[row : row + 1]).last_hidden_state
        torch.testing.assert_close(trained[row : row + 1], expected, atol=1e-5, rtol=0)


def test_only_the_network_is_trained_and_the_contrast_prefers_the_own_role() -> None:
    network = HyperLora(_base(), ROLES, HyCoraSize())
    assert all(name.startswith("base.") != p.requires_grad for name, p in network.named_parameters())
    roles = torch.tensor([0, 0, 1, 2])
    with torch.no_grad():
        network.role_to_role.weight.copy_(torch.eye(32))
        network.hidden_to_role.weight.copy_(torch.eye(32))
        right, wrong = network.roles_emb(roles), network.roles_emb(roles.roll(1))
        assert network.contrastive_loss(right, roles) < network.contrastive_loss(wrong, roles)
        # All alike: every one of n is equally likely, so the loss is log(n).
        network.roles_emb.weight.fill_(1.0)
        loss = network.contrastive_loss(torch.ones(4, 32), roles)
    torch.testing.assert_close(loss, torch.tensor(4.0).log())
