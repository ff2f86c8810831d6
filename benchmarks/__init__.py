"""Measured against others: `python -m benchmarks --help`.

Processes are started and timed by `fastxai.bench`, which ``fastxai bench`` runs on a user's
data; whole runs are its `fits`.  Every figure comes from a fresh process (`ours*.py` in this
environment, `peers*.py` in the peers') on the same .npy file; `rows/` says what is compared,
`report.py` writes the tables.
"""
