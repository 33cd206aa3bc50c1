"""The room `baselines`: other ways to make a frozen SAM 2 hear, under the same recipes and commands."""
