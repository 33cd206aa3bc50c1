"""Training: recipes, losses, data, optimiser, and the Lightning module."""
