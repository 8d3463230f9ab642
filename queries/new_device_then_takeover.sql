/*
title    = "Account changed from a new device and network"
severity = "high"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1098", "T1556.006"]
summary  = "{action} of {account} from {ip}, by a device and from a network that are new to it, after such a login at {strange_login_at}"
why      = """
Whoever takes an account over locks the owner out or lets himself in for good: new e-mail address, password or second factor, a share to a
stranger, several settings within the hour. Owners do that from the sofa.
"""
false_positives = """
An owner who logs in with a new phone away from home and changes the password or gives a share that day.
"""
blind_spots = """
An intruder who waits for more than a day, who comes from the owner's own network or carrier exit, or from the owner's provider with the
owner's program, or who stole a session and so needs no login. Accounts seen for less than two days, or for less than a week and hardly. `password_reset` does not count: it is what people do who forgot. One setting alone.
"""
validation = """
Log in from a new device behind a new network to an account in use for weeks, and grant a share.
"""
runbook = """
1. Compare `ip`, `device` and `user_agent` with the successes of this `account` in the 30 days before: other country, network or system?
2. List what this `session` did since its login: `live_view`, `recording_view`, `share_grant`, `two_way_talk`.
3. Ask the owner by the old e-mail address or telephone; if it was not the owner, undo the change and end all sessions.
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
        asn,
        agent,
        device,
        session,
        user_agent
    FROM events
    WHERE action IN ('login', 'session_refresh', 'password_change', 'email_change', 'mfa_change', 'share_grant', 'settings_change')
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
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND asn IS NOT NULL)
            OVER same_asn AS asn_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_agent AS agent_seen_at,
        count(*) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_account AS visits,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER weeks_ago AS weeks_ago_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER days_ago AS days_ago_seen_at
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
        same_asn AS (
            PARTITION BY account, asn
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        same_agent AS (
            PARTITION BY account, agent
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        same_account AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
        ),
        weeks_ago AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING
        ),
        days_ago AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '2' DAY PRECEDING
        )
),
homes AS (
    SELECT
        *,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND device_seen_at IS NOT NULL)
            OVER place_day AS known_device_here_at
    FROM histories
    WINDOW place_day AS (
        PARTITION BY account, place
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
),
strangers AS (
    SELECT
        *
    FROM homes
    WHERE place <> ''
        AND device_seen_at IS NULL
        AND place_seen_at IS NULL
        AND known_device_here_at IS NULL
        AND (asn_seen_at IS NULL OR agent_seen_at IS NULL)
        AND (
            (weeks_ago_seen_at IS NOT NULL AND visits >= 5)
            OR (days_ago_seen_at IS NOT NULL AND visits >= 8)
        )
),
entries AS (
    SELECT
        *,
        min(time) FILTER (WHERE action = 'login' AND outcome = 'success') OVER recent AS strange_login_at
    FROM strangers
    WINDOW recent AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
)
SELECT
    time,
    account,
    ip,
    action,
    device,
    session,
    user_agent,
    strange_login_at,
    count(*) FILTER (WHERE action = 'settings_change' AND outcome <> 'failure') OVER settings_hour AS settings_changed
FROM entries
WINDOW settings_hour AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY action NOT IN ('login', 'session_refresh')
    AND outcome <> 'failure'
    AND strange_login_at IS NOT NULL
    AND (action <> 'settings_change' OR settings_changed >= 2)
