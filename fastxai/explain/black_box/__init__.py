"""Methods that ask a model for answers only."""
