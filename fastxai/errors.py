"""What fastxai raises and warns with."""


class FastxaiError(Exception):
    """Base class of the errors that fastxai raises."""


class InvalidInputError(FastxaiError, ValueError):
    """Input that can not be worked with; the message says what, where, and what to do."""


class NotEnoughMemoryError(FastxaiError, MemoryError):
    """The work would need more memory than there is."""


class MissingDependencyError(FastxaiError, ImportError):
    """An optional package is needed that is not installed."""


class DivergedError(FastxaiError, ArithmeticError):
    """An optimisation left the numbers that can be worked with; nothing of it is returned."""


class ModelError(FastxaiError, RuntimeError):
    """The user's model raised, or returned what can not be explained; the cause is chained."""


class NoGradientError(FastxaiError, RuntimeError):
    """No gradient reaches what was asked about, so that there is nothing to show."""


class StorageError(FastxaiError, OSError):
    """An output can not be written: disk full, read-only, or another run writes there."""


class FastxaiWarning(UserWarning):
    """Base class of the warnings that fastxai issues."""
