"""Text: tokens and vocabularies, n-gram models, word translation, and decoding."""
