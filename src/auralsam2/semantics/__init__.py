"""Second stage: classes for masks without classes, by a guided Mask2Former in the manner of Stepping Stones."""
