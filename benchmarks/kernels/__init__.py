"""Hot kernels one by one: ``python -m pytest benchmarks/kernels``."""
