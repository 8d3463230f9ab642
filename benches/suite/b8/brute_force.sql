/*
title    = "Many failed logins of one account"
severity = "medium"
entity   = "account"
quiet    = "10 minutes"
summary  = "{failures} failed logins of {account} within ten minutes"
*/
SELECT
    time,
    account,
    count(*) OVER recent AS failures
FROM events
WHERE action = 'login'
    AND outcome = 'failure'
WINDOW recent AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 10
