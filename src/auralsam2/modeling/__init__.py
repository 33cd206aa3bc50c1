"""Layers: image, audio and text encoders, AuralFuser, mask decoder, memory, and the network built from them."""
