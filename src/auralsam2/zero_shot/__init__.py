"""Zero-shot pipeline: an audio tagger and an object detector provide prompts for SAM 2. Nothing is trained."""
