"""Sources of models: registry, download, conversion of released checkpoints."""
