/*
title    = "One account is used from many addresses"
severity = "medium"
entity   = "account"
quiet    = "10 minutes"
summary  = "{account} was used from {addresses} addresses"
*/
SELECT time, account, acts, addresses
FROM (
    SELECT
        time,
        account,
        count(*) OVER recent AS acts,
        count(DISTINCT ip) OVER recent AS addresses
    FROM events
    WINDOW recent AS (
        PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    )
) AS counted
WHERE addresses >= 4
