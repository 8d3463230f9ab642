/*
title    = "Password spraying from one address"
severity = "high"
entity   = "ip"
quiet    = "6 hours"
attack   = ["T1110.003"]
summary  = "{failures_day} failed logins to {failed_accounts_day} accounts from {ip} within a day, few for each, {succeeded_accounts_day} accounts let in"
why      = """
A few common passwords, or one leaked password each, are tried on many accounts, slowly, so that no account is locked and no fast counter fills.
Only failures count that come neither from a device nor from a network that the account knew a day ago. People who slip get in soon after.
"""
false_positives = """
An address where several people log in for the first time, all fail, and nobody gets in for a day: a broken kiosk, a probe with expired passwords.
Carriers, campuses and outages stay silent: there more accounts get in than fail, or the devices are known.
"""
blind_spots = """
An address that tries 4 accounts a day or fewer (see spraying_from_many_sources, rotating_addresses). More than 3 tries an account. An attacker
who gets in to half as many accounts as he fails on. Fast lists are left to credential_stuffing.
"""
validation = """
Fail once on each of 5 accounts that never used this address, within a day and over more than 10 minutes.
"""
runbook = """
1. List failed `login` events of this `ip` over the 24 hours before `updated_at`; sort by `account`: one or two for each means spraying.
2. Check `action = 'login'` with `outcome = 'success'` from this `ip` in the same time: treat those accounts as taken.
3. Look for neighbours (same /24, same `user_agent` or `tls_fingerprint`) that do the same at the same pace; challenge them all.
"""
*/
WITH logins AS (
    SELECT
        time,
        ip,
        account,
        outcome,
        reason,
        user_agent,
        coalesce(device_known_days, 0) < 1
            AND coalesce(ip_known_days, 0) < 1
            AND coalesce(prefix_known_days, 0) < 1 AS unfamiliar,
        outcome = 'failure' AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout') AS refused
    FROM events
    WHERE action = 'login'
        AND ip <> ''
)
SELECT
    time,
    ip,
    account,
    outcome,
    reason,
    user_agent,
    count(*) FILTER (WHERE refused AND unfamiliar) OVER recent AS failures_minutes,
    count(DISTINCT account) FILTER (WHERE refused AND unfamiliar) OVER recent AS failed_accounts_minutes,
    count(*) FILTER (WHERE refused AND unfamiliar) OVER last_day AS failures_day,
    count(DISTINCT account) FILTER (WHERE refused AND unfamiliar) OVER last_day AS failed_accounts_day,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER last_day AS succeeded_accounts_day,
    min(time) FILTER (WHERE refused AND unfamiliar) OVER last_day AS first_failure_day
FROM logins
WINDOW
    recent AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    ),
    last_day AS (
        PARTITION BY ip
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
QUALIFY unfamiliar
    AND (refused OR outcome = 'success')
    AND (failures_minutes < 15 OR failed_accounts_minutes < 10)
    AND failed_accounts_day >= 5
    AND failures_day <= 3 * failed_accounts_day
    AND failed_accounts_day > 2 * succeeded_accounts_day
    AND first_failure_day <= time - INTERVAL '10' MINUTE
