"""Hot loops of fastxai: arrays and numbers in, arrays and numbers out.

Three rooms with the same furniture: ``reference`` (NumPy float64, the specification),
``cpu`` (Numba) and ``gpu`` (Triton).
"""
