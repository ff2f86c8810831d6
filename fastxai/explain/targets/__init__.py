"""What is explained of each image."""

from .request import TASKS, Request, check_task, read_target
from .targets import Targets

__all__ = ["Request", "TASKS", "Targets", "check_task", "read_target"]
