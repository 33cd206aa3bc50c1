"""StampAVS: generator of synthetic scenes from real images and sounds, with exact masks."""
