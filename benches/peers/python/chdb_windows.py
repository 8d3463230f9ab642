"""chdb_windows.py PARQUET CASE ENGINE THREADS: the query of B2 by ClickHouse, inside this process."""

import sys
import time

from chdb import session

from tell import tell

file, case, engine, threads = sys.argv[1:]
# A RANGE frame over times needs them as numbers.
QUERY = f"""
SELECT count(), sum(counts), sum(failures), sum(distinct_values)
FROM (
    SELECT
        count() OVER w AS counts,
        sum(failed) OVER w AS failures,
        count(DISTINCT value) OVER w AS distinct_values
    FROM (
        SELECT toUnixTimestamp64Micro(time) AS time_micros, key, value, failed
        FROM file('{file}', Parquet)
    )
    WINDOW w AS (
        PARTITION BY key ORDER BY time_micros RANGE BETWEEN 300000000 PRECEDING AND CURRENT ROW
    )
)
SETTINGS max_threads = {int(threads)}
"""

connection = session.Session()
connection.query("SELECT 1")
started = time.perf_counter()
rows, *sums = (int(cell) for cell in str(connection.query(QUERY, "TSV")).split())
tell(case, engine, rows, time.perf_counter() - started, sums)
