"""MiniMax Role-play Bench: sessions of 100 messages, scored by their errors. See docs/minimax.md."""
