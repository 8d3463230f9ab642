/*
title    = "Brute force on one account"
severity = "high"
entity   = "account"
quiet    = "6 hours"
attack   = ["T1110.001"]
summary  = "{failures_hour} failed logins to {account} within an hour ({failures_day} within a day) from {addresses_day} addresses that never logged in to it before"
why      = """
One account is guessed again and again from one address or a few. Only failures count that come neither from a device nor from a
network that let the account in before: owners who forgot their password, and apps that repeat an old one all night, do so from home.
"""
false_positives = """
An owner with a new device in a new place who does not give up; a program with a wrong password on a new server.
"""
blind_spots = """
Fewer than 20 failures an hour and 50 a day (see slow_guessing). Guessing from the victim's own network or carrier exit (see
guessing_from_known_place). A device id or address that was let in before counts as known, also an intruder's. Guesses spread over many
addresses are left to distributed_guessing.
"""
validation = """
Fail 20 times within an hour on one account from an address that never logged in to it.
"""
runbook = """
1. List `login` events of this `account` from 24 hours before `started_at`: are `ip`, `device` and `user_agent` of the failures unlike those of the successes?
2. Look for `outcome = 'success'` after the failures from an `ip` of this alert: if there is one, end all sessions and force a new password.
3. Block or challenge the `ips`; tell the owner, and ask for a second factor at the next login.
"""
*/
WITH logins AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        CASE WHEN ip_prefix <> '' THEN ip_prefix ELSE ip END AS place,
        device,
        reason,
        user_agent,
        device_known_days,
        ip_known_days
    FROM events
    WHERE action IN ('login', 'session_refresh')
        AND account <> ''
),
histories AS (
    SELECT
        *,
        max(time) FILTER (WHERE outcome = 'success' AND device <> '') OVER same_device AS device_seen_at,
        max(time) FILTER (WHERE outcome = 'success' AND place <> '') OVER same_place AS place_seen_at
    FROM logins
    WINDOW
        same_device AS (
            PARTITION BY account, device
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        same_place AS (
            PARTITION BY account, place
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        )
),
strange AS (
    SELECT
        time,
        account,
        ip,
        device,
        reason,
        user_agent,
        CASE WHEN device <> '' THEN device ELSE ip END AS client
    FROM histories
    WHERE action = 'login'
        AND outcome = 'failure'
        AND device_seen_at IS NULL
        AND place_seen_at IS NULL
        AND coalesce(device_known_days, 0) = 0
        AND coalesce(ip_known_days, 0) = 0
        AND coalesce(reason, '') NOT IN ('service_unavailable', 'server_error', 'timeout')
)
SELECT
    time,
    account,
    ip,
    reason,
    user_agent,
    count(*) OVER last_hour AS failures_hour,
    count(DISTINCT ip) OVER last_hour AS addresses_hour,
    count(DISTINCT client) OVER last_hour AS clients_hour,
    count(*) OVER last_day AS failures_day,
    count(DISTINCT ip) OVER last_day AS addresses_day,
    count(DISTINCT client) OVER last_day AS clients_day
FROM strange
WINDOW
    last_hour AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
    ),
    last_day AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
QUALIFY (failures_hour >= 20 AND (addresses_hour < 5 OR clients_hour < 5))
    OR (failures_day >= 50 AND (addresses_day < 10 OR clients_day < 10))
