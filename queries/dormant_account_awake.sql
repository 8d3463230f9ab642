/*
title    = "Sleeping account wakes up with a new device and network"
severity = "medium"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078"]
summary  = "{account} was not used since {account_seen_at} and logged in from {ip}, by a device and from a network that are new to it"
why      = """
Nobody misses an account that nobody uses: the owner does not see the notice, and an old password was stolen long ago. Its first login
after three weeks by a stranger's machine from a stranger's network deserves a look.
"""
false_positives = """
The owner of a holiday home who bought a telephone over the winter and logs in from elsewhere without a second factor or password reset.
"""
blind_spots = """
An account that a device in the house keeps alive by refreshing its session. Accounts asleep for more than 90 days are unknown again.
An intruder from the owner's own network, or one who reset the password.
"""
validation = """
Let an account rest for three weeks, then log in with a new device behind a new network.
"""
runbook = """
1. Compare `ip`, `device` and `user_agent` with what this `account` used before `account_seen_at`.
2. List what this `session` did since: `live_view`, `recording_view`, `recording_download`, `email_change`, `share_grant`.
3. Ask the owner by telephone or letter: the e-mail address of a sleeping account may have fallen too.
"""
*/
WITH acts AS (
    SELECT
        time,
        action,
        outcome,
        account,
        ip,
        CASE WHEN ip_prefix <> '' THEN ip_prefix ELSE ip END AS place,
        device,
        session,
        user_agent
    FROM events
    WHERE action IN ('login', 'session_refresh', 'password_reset')
        AND actor_type IN ('customer', 'shared_user')
        AND account <> ''
),
histories AS (
    SELECT
        *,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND device <> '')
            OVER same_device AS device_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND place <> '')
            OVER same_place AS place_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_account AS account_seen_at,
        max(time) FILTER (WHERE action = 'password_reset' AND outcome = 'success') OVER account_day AS reset_at
    FROM acts
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
        ),
        same_account AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
        ),
        account_day AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
        )
)
SELECT
    time,
    account,
    ip,
    device,
    session,
    user_agent,
    account_seen_at
FROM histories
WHERE action = 'login'
    AND outcome = 'success'
    AND place <> ''
    AND device_seen_at IS NULL
    AND place_seen_at IS NULL
    AND reset_at IS NULL
    AND account_seen_at < time - INTERVAL '21' DAY
