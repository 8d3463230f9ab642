"""polars_windows.py PARQUET CASE ENGINE THREADS: the query of B2 by Polars. POLARS_MAX_THREADS must be
THREADS: it is read when Polars is loaded."""

import sys
import time

import polars

from tell import tell

file, case, engine, threads = sys.argv[1:]
assert polars.thread_pool_size() == int(threads)

started = time.perf_counter()
sums = (
    polars.scan_parquet(file)
    # Twice as fast as to leave the grouping to `rolling`. The rows of a key stay in the order of time.
    .sort("key", maintain_order=True)
    .rolling("time", period="5m", closed="both", group_by="key")
    .agg(
        polars.len().alias("counts"),
        polars.col("failed").sum().alias("failures"),
        polars.col("value").n_unique().alias("distinct_values"),
    )
    .select(polars.len().alias("rows"), polars.sum("counts", "failures", "distinct_values"))
    .collect()
    .row(0)
)
tell(case, engine, sums[0], time.perf_counter() - started, sums[1:])
