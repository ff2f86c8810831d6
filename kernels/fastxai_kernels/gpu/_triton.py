"""How kernels of this room are declared and launched.

A kernel names the types of its arguments and the configurations it ships: those, and no
others, are what `launch` takes and what the ahead-of-time compiler builds.  Whole numbers are
not specialised on their value, so that a configuration is compiled once whatever the sizes;
they must fit into 32 bits (a 64-bit seed travels as two halves or in an array).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import triton

WARP = 32


class Configuration(NamedTuple):
    """Compile-time constants of a kernel, and the warps a program runs on."""

    constants: tuple[tuple[str, Any], ...]
    num_warps: int


class Kernel:
    """A Triton function with the types of its arguments and the configurations it ships."""

    def __init__(
        self, function: Callable[..., Any], types: str, configurations: Sequence[Mapping[str, Any]]
    ) -> None:
        self.name = f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}"
        self.types = dict(part.split(":") for part in types.split())
        names = list(inspect.signature(function).parameters)
        self._constants = [name for name in names if name not in self.types]
        if names[: len(self.types)] != list(self.types):
            raise TypeError(f"{self.name}: arguments {names} are not typed as {list(self.types)}")
        self.configurations = [self._configuration(**chosen) for chosen in configurations]
        self._shipped = {c.constants: c for c in self.configurations}
        plain = [name for name, kind in self.types.items() if not kind.startswith("*")]
        self.function = triton.jit(do_not_specialize=plain)(function)

    def _configuration(self, num_warps: int = 4, **constants: Any) -> Configuration:
        return Configuration(tuple((name, constants[name]) for name in self._constants), num_warps)

    def launch(self, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        """Run one program for each point of the grid; none where the grid is empty.

        On the device of the first argument, a tensor: Triton by itself takes the current one.

        Raises
        ------
        KeyError
            If the constants are not those of a configuration that ships.
        """
        if min(grid) == 0:
            return
        found = self._shipped[tuple((name, constants[name]) for name in self._constants)]
        LAUNCHED.add((self.name, found))
        options = {"num_warps": found.num_warps, "enable_fp_fusion": True}
        with torch.cuda.device_of(arguments[0]):
            self.function[grid](*arguments, **dict(found.constants), **options)


KERNELS: dict[str, Kernel] = {}
LAUNCHED: set[tuple[str, Configuration]] = set()


def kernel(
    types: str, configurations: Sequence[Mapping[str, Any]]
) -> Callable[[Callable[..., Any]], Kernel]:
    """Declare a kernel.

    Parameters
    ----------
    types : str
        ``name:type`` for each argument that is no constant, in order, e.g.
        ``"x:*fp32 out:*i64 n:i32 scale:fp32"``.
    configurations : sequence of mappings
        For each one a value of every constant, and ``num_warps`` (default 4).
    """

    def declare(function: Callable[..., Any]) -> Kernel:
        declared = Kernel(function, types, configurations)
        KERNELS[declared.name] = declared
        return declared

    return declare


def interpreting() -> bool:
    """Whether kernels run in Triton's interpreter, on tensors of the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


def ceil_div(a: int, b: int) -> int:
    """How many blocks of b hold a."""
    return -(-a // b)


def power_of_two(n: int, least: int = 1) -> int:
    """The smallest power of two that is at least n, and at least ``least``."""
    return max(least, 1 << max(n - 1, 0).bit_length())
