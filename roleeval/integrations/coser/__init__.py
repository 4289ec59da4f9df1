"""CoSER: official evaluation files become result folders."""
