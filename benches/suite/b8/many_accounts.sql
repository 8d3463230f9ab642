/*
title    = "Failed logins of many accounts from one address"
severity = "medium"
entity   = "ip"
quiet    = "10 minutes"
summary  = "failed logins of {accounts} accounts from {ip} within ten minutes"
*/
SELECT
    time,
    ip,
    count(DISTINCT account) OVER recent AS accounts
FROM events
WHERE action = 'login'
    AND outcome = 'failure'
WINDOW recent AS (
    PARTITION BY ip
    ORDER BY time
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY accounts >= 10
