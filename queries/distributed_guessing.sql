/*
title    = "Distributed guessing on one account"
severity = "high"
entity   = "account"
quiet    = "6 hours"
attack   = ["T1110.001"]
summary  = "{failures_hour} failed logins to {account} within an hour ({failures_day} within a day) from {addresses_day} addresses that never logged in to it before"
why      = """
One account is guessed from many addresses, a few tries from each, so that no address and no lock-out counter stands out. Only failures
count that come neither from a device nor from a network that let the account in before.
"""
false_positives = """
An owner whose new phone leaves its carrier by a new address each time: it is one device, and five are needed. Without device
ids such an owner, after ten failures within an hour, looks the same.
"""
blind_spots = """
Fewer than 10 failures an hour and 30 a day. Several addresses that all send one device id (brute_force counts them, at 20 an hour).
"""
validation = """
Fail 10 times within an hour on one account from 5 addresses and 5 devices that never logged in to it.
"""
runbook = """
1. List failed `login` events of this `account` in the 24 hours before `updated_at` by `ip`: hosting or proxy networks, or one `tls_fingerprint` over all, confirm it.
2. Look for `outcome = 'success'` from a new `ip` or `device` after `started_at`: if there is one, end all sessions and force a new password.
3. Ask which other accounts the same `ips` tried within the day; ask for a second factor at this account's next login.
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
QUALIFY (failures_hour >= 10 AND addresses_hour >= 5 AND clients_hour >= 5)
    OR (failures_day >= 30 AND addresses_day >= 10 AND clients_day >= 10)
