"""The first stage of the bundled model: a small SAM 2 that follows points, boxes and masks, and then remembers."""
