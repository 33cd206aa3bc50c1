"""Utilities without a model: timing, background work, atomic files, configurations, weights."""
