"""write_parquet.py ROWS PARQUET: the raw rows of B1 and B2 (benches/README.md) as Parquet."""

import sys

import numpy
import pyarrow
import pyarrow.parquet

ROW = numpy.dtype([("time", "<i8"), ("key", "<u4"), ("value", "<u4"), ("failed", "<u4"), ("zero", "<u4")])
# DuckDB's own default: small enough for all engines to share the file among their threads.
GROUP_ROWS = 122_880

rows = numpy.fromfile(sys.argv[1], dtype=ROW)
columns = {name: rows[name].astype("i4") for name in ("key", "value", "failed")}
times = pyarrow.array(rows["time"], pyarrow.timestamp("us"))
table = pyarrow.table({"time": times, **columns})
pyarrow.parquet.write_table(table, sys.argv[2], row_group_size=GROUP_ROWS, compression="none")
