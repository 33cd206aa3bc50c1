"""Measurements of speed, memory and prompting cost."""
