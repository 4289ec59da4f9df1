"""MiniMax Role-play Bench: official transcripts and scores become result folders."""
