/*
title    = "One address fails at many accounts"
severity = "high"
entity   = "ip"
quiet    = "10 minutes"
summary  = "{failures} failed logins to {accounts} accounts from {ip}"
*/
SELECT time, ip, failures, accounts
FROM (
    SELECT
        time,
        ip,
        count(*) OVER recent AS failures,
        count(DISTINCT account) OVER recent AS accounts
    FROM events
    WHERE action = 'login' AND outcome = 'failure'
    WINDOW recent AS (
        PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    )
) AS counted
WHERE failures >= 15 AND accounts >= 10
