/*
title    = "$name"
severity = "medium"
entity   = "flagged"
quiet    = "1 hour"
summary  = "{flagged} did it"
*/
SELECT
    time,
    $group AS flagged
FROM events
WHERE ($filter)
    AND $group <> ''
