"""How well masks meet the truth: scores, named protocols, and the run over a data set."""
