"""Measured beside others, each in a process of its own: ``fastxai bench`` and `benchmarks/`.

`harness` starts processes and times them, `child` is what runs in them (in any interpreter,
with nothing of fastxai), `fits` one fit of one library there; `compare` does all that for a
user's data, `tables` and `picture` show it.
"""
