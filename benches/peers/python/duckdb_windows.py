"""duckdb_windows.py PARQUET CASE ENGINE THREADS: the query of B2 by DuckDB."""

import sys
import time

import duckdb

from tell import tell

file, case, engine, threads = sys.argv[1:]
QUERY = """
SELECT count(*), sum(counts), sum(failures), sum(distinct_values)
FROM (
    SELECT
        count(*) OVER w AS counts,
        sum(failed) OVER w AS failures,
        count(DISTINCT value) OVER w AS distinct_values
    FROM read_parquet(?)
    WINDOW w AS (
        PARTITION BY key ORDER BY time RANGE BETWEEN INTERVAL 5 MINUTE PRECEDING AND CURRENT ROW
    )
)
"""

connection = duckdb.connect()
connection.execute(f"SET threads = {int(threads)}")
started = time.perf_counter()
rows, *sums = connection.execute(QUERY, [file]).fetchone()
tell(case, engine, rows, time.perf_counter() - started, sums)
