/*
title    = "$name"
severity = "medium"
entity   = "flagged"
quiet    = "1 hour"
horizon  = "$horizon"
summary  = "{flagged}: two logins more than $capacity km apart"
why      = "The newest two logins of an account, while neither is $leak seconds older than the other."
*/
WITH steps AS (
    SELECT
        time,
        $distinct AS flagged,
        lag($distinct) OVER own AS flagged_before,
        latitude,
        longitude,
        lag(latitude) OVER own AS latitude_before,
        lag(longitude) OVER own AS longitude_before
    FROM events
    WHERE ($filter)
        AND $distinct <> ''
    WINDOW own AS (PARTITION BY $group ORDER BY time)
)
SELECT
    time,
    flagged,
    flagged_before
FROM steps
WHERE distance_km(latitude_before, longitude_before, latitude, longitude) > $capacity
