"""The embedders' steps on a GPU: torch tensors from the first to the last, no way over the host."""
