"""The table: one row an image, the same columns in every part."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ..io import atomic_write
from .manifest import Layout

PARTS, TABLE = "table", "table.parquet"
FIGURES = ("min", "max", "mean", "x", "y", "peak_x", "peak_y", "area")
_FIXED = {
    "index": pa.int64(),
    "path": pa.string(),
    "label": pa.string(),
    "label_class": pa.int32(),
    "group": pa.string(),
    "status": pa.string(),
    "reason": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "orientation": pa.int8(),
    "left": pa.float32(),
    "top": pa.float32(),
    "right": pa.float32(),
    "bottom": pa.float32(),
    "mode": pa.string(),
    "frames": pa.int32(),
    "predicted": pa.int32(),
    "score": pa.float32(),
    "correct": pa.bool_(),
    "top_classes": pa.list_(pa.int32()),
    "top_scores": pa.list_(pa.float32()),
}


def schema(maps: Sequence[str], single: bool, scaled: bool) -> pa.Schema:
    """Names and types of the columns; of several targets an image, lists."""

    def each(kind: Any) -> Any:
        return kind if single else pa.list_(kind)

    columns = dict(_FIXED)
    columns["target"], columns["target_score"] = each(pa.int32()), each(pa.float32())
    for name in maps:
        columns[f"{name}_status"] = each(pa.string())
        columns |= {f"{name}_{figure}": each(pa.float32()) for figure in FIGURES}
        if scaled:
            columns[f"{name}_scale"] = each(pa.float32())
    return pa.schema(list(columns.items()))


def to_bytes(columns: dict[str, list[Any]], wanted: pa.Schema) -> bytes:
    """A part of the table as a Parquet file; columns that are missing are null."""
    rows = len(columns["index"])
    empty = [None] * rows
    table = pa.table(
        [pa.array(columns.get(field.name, empty), field.type) for field in wanted], wanted
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_table(folder: Path, layout: Layout, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows that are there, of a run that is complete or not; all columns, or some."""
    chosen = None if columns is None else list(columns)
    if (folder / TABLE).exists():
        return parquet.read_table(folder / TABLE, columns=chosen)
    scaled = any(array["dtype"] == "float16" for array in layout.arrays.values())
    empty = schema(layout.maps, layout.single, scaled).empty_table()
    empty = empty if chosen is None else empty.select(chosen)
    parts = sorted((folder / PARTS).glob("part-*.parquet"), key=lambda part: int(part.stem[5:]))
    try:
        return pa.concat_tables([empty, *(parquet.read_table(p, columns=chosen) for p in parts)])
    except FileNotFoundError:  # the run was completed just now
        return parquet.read_table(folder / TABLE, columns=chosen)


def join(parts: Sequence[Path], to: Path) -> None:
    """All parts in one file, row group after row group, in their order."""
    with atomic_write(to) as temporary:
        writer: Any = None
        try:
            for group in _groups(parts):
                table = pa.concat_tables(parquet.read_table(part) for part in group)
                if writer is None:
                    writer = parquet.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def _groups(parts: Sequence[Path], size: int = 128) -> list[Sequence[Path]]:
    return [parts[start : start + size] for start in range(0, len(parts), size)]
