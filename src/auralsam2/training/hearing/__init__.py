"""The encoder of sound of the bundled model: it learns to hear by telling what sounds, where, and whether."""
