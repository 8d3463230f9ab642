/*
title    = "Credential stuffing from one address"
severity = "high"
entity   = "ip"
quiet    = "30 minutes"
attack   = ["T1110.004"]
summary  = "{failures} failed logins to {failed_accounts} accounts from {ip} within 10 minutes, {succeeded_accounts} accounts let in"
why      = """
Lists of leaked names and passwords are tried one after the other, fast, from one address. People type a wrong password for
one account or two; nobody owns ten. More than 55,000 customers of one camera maker lost their accounts this way.
"""
false_positives = """
A school or an office where many people log in for the first time and all fail. Failures from a device or network that the account
has known for a day, and failures of the service itself, do not count: outages, app releases and integrations stay silent.
"""
blind_spots = """
A botnet in which no address makes 15 attempts in 10 minutes. Attempts on fewer than 5 accounts (see brute_force). Attempts that are
logged without an address. An attacker who owns half as many valid accounts as he tries, and logs in to them all. In the first
days of a stream no device or network is known yet, and an outage or integration may fire.
"""
validation = """
Fail 15 logins to 10 accounts within 10 minutes from one address that is new to them.
"""
runbook = """
1. List `action = 'login'` with this `ip` from one hour before `started_at`: does `user_agent`, `tls_fingerprint` or the pace look like one program?
2. Look for alerts of success_after_attack with this `ip`: those accounts fell; end their sessions and force a new password.
3. Block or challenge the `ip`, then list other addresses with the same `tls_fingerprint` in the same hour.
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
    count(*) FILTER (WHERE refused AND unfamiliar) OVER recent AS failures,
    count(DISTINCT account) FILTER (WHERE refused AND unfamiliar) OVER recent AS failed_accounts,
    count(DISTINCT account) FILTER (WHERE outcome = 'success') OVER recent AS succeeded_accounts
FROM logins
WINDOW recent AS (
    PARTITION BY ip
    ORDER BY time
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY unfamiliar
    AND (refused OR outcome = 'success')
    AND ((failures >= 15 AND failed_accounts >= 10) OR (failures >= 30 AND failed_accounts >= 5))
    AND failed_accounts > 2 * succeeded_accounts
