"""How long things take on the device: medians by its own events."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch


class Clock:
    """Times calls on a device; in Triton's interpreter by the clock on the wall."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.copy_rate = float("nan")

    @property
    def real(self) -> bool:
        """Whether there is a GPU."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Until the device is idle."""
        if self.real:
            torch.cuda.synchronize(self.device)

    def usable(self) -> bool:
        """Whether the device still does what it is told: some errors spoil it for the process."""
        try:
            self.wait()
        except RuntimeError:
            return False
        return True

    def once(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds of one call, and its result."""
        self.wait()
        start = time.perf_counter()
        result = work()
        self.wait()
        return time.perf_counter() - start, result

    def median_ms(self, work: Callable[[], Any]) -> float:
        """Milliseconds of a call, the median of some after one that compiles."""
        first = self.once(work)[0]
        if not self.real:
            return first * 1e3
        repeats = self.repeats if self.once(work)[0] < 1 else 3
        found = []
        for _ in range(repeats):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            found.append(begin.elapsed_time(end))
        return float(median(found))

    def measure_copy(self, size: int) -> float:
        """Bytes a second, read and written, of a copy on the device."""
        a = torch.empty(size, dtype=torch.uint8, device=self.device)
        b = torch.empty_like(a)
        self.copy_rate = 2 * size / (self.median_ms(lambda: b.copy_(a)) * 1e-3)
        return self.copy_rate

    def figures(self, work: Callable[[], Any], bytes_: float, flops: float) -> dict[str, float]:
        """Milliseconds, and what share of the copy's bandwidth the bytes that must move make."""
        ms = self.median_ms(work)
        return {
            "ms": round(ms, 4),
            "gigabytes": round(bytes_ / 1e9, 4),
            "share_of_copy": round(bytes_ / (ms * 1e-3) / self.copy_rate, 4),
            "tflops": round(flops / (ms * 1e-3) / 1e12, 4),
        }
