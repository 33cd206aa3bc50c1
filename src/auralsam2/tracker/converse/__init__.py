"""A session that goes on: prompts come and go, on any frame, and masks follow in both directions."""
