/*
title    = "$name"
severity = "medium"
entity   = "flagged"
quiet    = "1 hour"
horizon  = "$horizon"
summary  = "{flagged} tries faster than a bucket of $capacity leaks"
why      = """
A leaky bucket: each event pours one in, one leaks out every $leak seconds, and it overflows when it would
hold more than $capacity. That is so when, for some n, the newest n events came within less than
n - $capacity leaks: n - 1 events ago was that close. Each condition says so for one n.
"""
blind_spots = """
The newest $events events are looked at. So who needs more to fill the bucket, at hardly more than one each $leak
seconds, overflows a real bucket and not this rule. Whatever this rule finds, a bucket finds. A bucket
pours in the order of arrival, and leaks twice when times go back; here events come in the order of their times.
A bucket empties when it overflows: it gives several alerts where here more rows match.
"""
*/
SELECT
    time,
    $group AS flagged,
    $overflow AS is_over
FROM events
WHERE ($filter)
    AND $group <> ''
WINDOW earlier AS (PARTITION BY $group ORDER BY time)
QUALIFY is_over
