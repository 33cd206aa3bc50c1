"""A small RoBERTa that reads the expressions of StampAVS: the text encoder of the bundled model."""
