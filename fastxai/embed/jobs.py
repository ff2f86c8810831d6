"""scikit-learn's ``n_jobs`` as a number of threads."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ..errors import InvalidInputError


def resolve_jobs(n_jobs: Any) -> int:
    """The number of threads that ``n_jobs`` stands for, to be given to ``threads(...)``.

    Parameters
    ----------
    n_jobs : int or None
        None: what the surroundings grant (an enclosing ``threads(...)``, else all that this
        process may use); k > 0: k threads; -1: all that it may use; -2: all but one; and so on.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InvalidInputError
        If ``n_jobs`` is 0, or no whole number.

    Examples
    --------
    >>> resolve_jobs(3)
    3
    """
    from fastxai_kernels.cpu._threads import available_threads, thread_count

    if n_jobs is None:
        return thread_count()
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0:
        raise InvalidInputError(
            f"n_jobs={n_jobs!r}: give a number of threads, -1 for all of them, -2 for all but "
            "one, or None"
        )
    count = int(n_jobs)
    return count if count > 0 else max(1, available_threads() + 1 + count)
