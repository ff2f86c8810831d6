"""Measured against others: `python -m benchmarks --help`.

Every figure comes from a fresh process (`ours.py` in this environment, `peers.py` in the
peers') on the same .npy file; `rows/` says what is compared, `report.py` writes the tables.
"""
