"""The room `media`: files in, frames and sound on one clock out, and the way back to a video file."""
