"""Where models come from: registry, download, conversion of released checkpoints."""
