"""Layers: encoders of image, sound and text, AuralFuser, mask decoder, memory, and the network made of them."""
