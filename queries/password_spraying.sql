/*
title    = "Password spraying from one address"
severity = "high"
entity   = "ip"
quiet    = "6 hours"
attack   = ["T1110.003"]
summary  = "{failures_day} failed logins to {failed_accounts_day} accounts from {ip} within a day ({failed_accounts_hour} accounts within the last hour), few for each"
why      = """
A few common passwords are tried on many accounts, slowly, so that no account is locked and no fast counter fills. One or two
failures for each account look like slips of the finger; that they come from one address, and that hardly anybody gets in there, does not.
"""
false_positives = """
A shared address where nearly all logins fail for hours: an outage, a broken kiosk, a monitoring probe with expired passwords.
"""
blind_spots = """
Sprays from so many addresses that each tries fewer than 8 accounts an hour and 15 a day. Fast ones are left to credential_stuffing.
"""
runbook = """
1. List failed `login` events of this `ip` over the 24 hours before `updated_at`; sort by `account`: one or two for each means spraying.
2. Check `action = 'login'` with `outcome = 'success'` from this `ip` in the same time: treat those accounts as taken.
3. Look for neighbours (same /24, same `user_agent` or `tls_fingerprint`) that do the same at the same pace.
"""
*/
SELECT
    time,
    ip,
    account,
    reason,
    user_agent,
    count(*) FILTER (WHERE outcome = 'failure') OVER last_minutes AS failures_minutes,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure') OVER last_minutes AS failed_accounts_minutes,
    count(*) FILTER (WHERE outcome = 'failure') OVER last_hour AS failures_hour,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure') OVER last_hour AS failed_accounts_hour,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER last_hour AS succeeded_accounts_hour,
    min(time) FILTER (WHERE outcome = 'failure') OVER last_hour AS first_failure_hour,
    count(*) FILTER (WHERE outcome = 'failure') OVER last_day AS failures_day,
    count(DISTINCT account) FILTER (WHERE outcome = 'failure') OVER last_day AS failed_accounts_day,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER last_day AS succeeded_accounts_day,
    min(time) FILTER (WHERE outcome = 'failure') OVER last_day AS first_failure_day
FROM events
WHERE action = 'login'
    AND ip <> ''
WINDOW
    last_minutes AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    ),
    last_hour AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
    ),
    last_day AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
QUALIFY outcome = 'failure'
    AND (failures_minutes < 15 OR failed_accounts_minutes < 10)
    AND (
        (
            failed_accounts_hour >= 8
            AND failures_hour <= 3 * failed_accounts_hour
            AND failed_accounts_hour > 2 * succeeded_accounts_hour
            AND first_failure_hour <= time - INTERVAL '10' MINUTE
        )
        OR (
            failed_accounts_day >= 15
            AND failures_day <= 3 * failed_accounts_day
            AND failed_accounts_day > 3 * succeeded_accounts_day
            AND first_failure_day <= time - INTERVAL '10' MINUTE
        )
    )
