"""Photos in files, in the order of a list, a folder or a table."""

from __future__ import annotations

import os
from typing import Any

from ...errors import InvalidInputError
from ...explain.networks.photos import PhotoError
from ...explain.networks.reading import check_file
from ..decoding import Prepare, Sample, describe_prepare, failed, read_photo_file
from ..labels import Label
from .base import Source
from .paths import from_text


class PhotoSource(Source):
    """Photos in files; ``prepare`` makes the model's input of one."""

    def __init__(
        self,
        kind: str,
        paths: list[str],
        labels: list[Label],
        groups: list[str | None],
        prepare: Prepare,
    ) -> None:
        super().__init__(paths, labels, groups)
        self.kind, self.prepare = kind, prepare

    def _read(self, i: int) -> Sample:
        if not self.paths[i]:
            return failed("the table has no path in this row")
        return read_photo_file(from_text(self.paths[i]), self.prepare)

    def _part(self, start: int, stop: int) -> Source:
        rows = slice(start, stop)
        return PhotoSource(
            self.kind, self.paths[rows], self.labels[rows], self.groups[rows], self.prepare
        )

    def _details(self) -> dict[str, Any]:
        return {"preprocess": describe_prepare(self.prepare)}


def check_readable(paths: list[str], where: str) -> None:
    """Find out whether there is anything to be read, before any work.

    Raises
    ------
    InvalidInputError
        If none of the files can be opened.
    """
    fault = ""
    for path in paths:
        try:
            check_file(from_text(path))
            if os.access(from_text(path), os.R_OK):
                return
            fault = fault or f"{path} can not be read: permission denied"
        except PhotoError as error:
            fault = fault or str(error)
    raise InvalidInputError(f"none of the {len(paths):,} files of {where} can be read: {fault}")
