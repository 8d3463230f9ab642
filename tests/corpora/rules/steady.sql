/*
title    = "$name"
severity = "medium"
entity   = "flagged"
quiet    = "1 hour"
horizon  = "$horizon"
summary  = "{flagged} fails again and again, slowly"
why      = """
The newest four failures, without a success between them, none longer after the one before than $leak seconds: of
the three intervals the middle one is longer than $capacity seconds, that is, two of them are.
"""
*/
WITH failures AS (
    SELECT
        time,
        ip AS flagged,
        action,
        lag(time) FILTER (WHERE action <> 'auth_success') OVER own AS second,
        lag(time, 2) FILTER (WHERE action <> 'auth_success') OVER own AS third,
        lag(time, 3) FILTER (WHERE action <> 'auth_success') OVER own AS fourth,
        lag(time) FILTER (WHERE action = 'auth_success') OVER own AS success
    FROM events
    WHERE ($filter)
        AND $group <> ''
    WINDOW own AS (PARTITION BY $group ORDER BY time)
),
steps AS (
    SELECT
        *,
        CASE WHEN second < time - INTERVAL '$capacity seconds' THEN 1 ELSE 0 END
        + CASE WHEN third < second - INTERVAL '$capacity seconds' THEN 1 ELSE 0 END
        + CASE WHEN fourth < third - INTERVAL '$capacity seconds' THEN 1 ELSE 0 END AS long_steps
    FROM failures
    WHERE action <> 'auth_success'
        AND (success IS NULL OR success < fourth)
        AND second >= time - INTERVAL '$leak seconds'
        AND third >= second - INTERVAL '$leak seconds'
        AND fourth >= third - INTERVAL '$leak seconds'
)
SELECT
    time,
    flagged
FROM steps
WHERE long_steps >= 2
