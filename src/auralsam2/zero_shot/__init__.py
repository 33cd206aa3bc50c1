"""The zero-shot pipeline: external models tell what sounds and where it is, SAM 2 follows it. Nothing is trained."""
