"""Baselines on the same frozen SAM 2, with the same recipes and commands as AuralSAM2."""
