"""Packing saves tokens and must change no loss; nothing may be lost or trained on twice."""

from roleeval.zoo._pack import IGNORED, Encoded, collate, pack

DOCUMENTS = [
    Encoded((7, 8, 9), tuple(range(20 + 5 * i, 25 + 5 * i)), 2) for i in range(4)
] + [Encoded((), (30, 31, 32, 33), 1), Encoded((), (40, 41), 1)]  # fmt: skip


def test_every_answer_token_is_a_label_once() -> None:
    for limit in (5, 12, 1000):
        packs = pack(DOCUMENTS, max_tokens=limit, seed=3)
        labels = sorted(label for row in packs for label in row.labels if label != IGNORED)
        assert labels == sorted(token for d in DOCUMENTS for token in d.body[d.prompt_length :])


def test_losses_are_those_of_the_documents_one_by_one() -> None:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from roleeval.zoo._train import answer_loss, hidden_states

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).eval()
    total, count = 0.0, 0
    for document in DOCUMENTS:
        ids = torch.tensor([[*document.prefix, *document.body]])
        start = len(document.prefix) + document.prompt_length
        logits = model(ids).logits[0, start - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, ids[0, start:], reduction="sum").item()
        count += ids.shape[1] - start
    batch = collate(pack(DOCUMENTS, max_tokens=1000, seed=0))
    loss = answer_loss(model, hidden_states(model, batch.ids, batch), batch.labels)
    assert abs(loss.item() - total / count) < 1e-5


def test_documents_of_a_pack_share_the_role_and_their_ends_are_known() -> None:
    documents = [Encoded((7,), (10 + role, 20 + role, 30 + role), 1, role=role) for role in (0, 1, 0)]
    batch = collate(pack(documents, max_tokens=1000, seed=0))
    assert sorted(batch.roles.tolist()) == [0, 1]
    for role, ids, ends in zip(batch.roles.tolist(), batch.ids, batch.ends, strict=True):
        assert ids[ends].tolist() == [30 + role] * (2 if role == 0 else 1)
