"""`python -m benchmarks.gpu`: kernels and whole runs on a CUDA device, checked and timed."""
