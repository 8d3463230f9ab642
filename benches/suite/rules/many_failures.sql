/*
title    = "Many failures of one account"
severity = "high"
entity   = "account"
quiet    = "10 minutes"
summary  = "{failures} failed logins to {account} from {addresses} addresses"
*/
SELECT time, account, failures, addresses
FROM (
    SELECT
        time,
        account,
        count(*) OVER recent AS failures,
        count(DISTINCT ip) OVER recent AS addresses
    FROM events
    WHERE action = 'login' AND outcome = 'failure'
    WINDOW recent AS (
        PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    )
) AS counted
WHERE failures >= 20 AND addresses < 5
