/*
title    = "$name"
severity = "medium"
entity   = "flagged"
quiet    = "1 hour"
summary  = "{flagged} tries other names faster than a bucket of $capacity leaks"
why      = """
A leaky bucket into which each value is poured once, one leaks out every $leak seconds, and it overflows when it
would hold more than $capacity. Each condition counts the values of one frame: more than fit and leak in its time.
"""
blind_spots = """
The bucket forgets which values it has seen when it overflows, or when nothing new came for as long as it takes to
empty. A frame forgets what has left it. So this rule finds what a bucket finds within $frames leaks, and besides
that sources who come back to the same values later.
"""
*/
SELECT
    time,
    $group AS flagged
FROM events
WHERE ($filter)
    AND $group <> ''
QUALIFY $overflow
