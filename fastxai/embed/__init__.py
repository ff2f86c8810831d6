"""The embedders and the stages they share: one estimator or one stage a file."""
