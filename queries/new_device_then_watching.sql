/*
title    = "A new device and network watches or downloads a lot"
severity = "medium"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078", "T1125"]
summary  = "{account}: {views} views and {downloads} downloads within the hour from {ip}, by a device and from a network that are new to it, after such a login at {strange_login_at}"
why      = """
A stranger in an account looks around: room after room, recording after recording, or takes them with him. An owner's new phone looks at
one or two cameras, or is registered or vouched for by a second factor.
"""
false_positives = """
An owner on a borrowed computer or a tablet not used for months, away from home, who looks through the night's recordings.
"""
blind_spots = """
An intruder who looks at less, who comes from the owner's own network, who stole a session, passed the second factor, reset the password,
or registers his device. Accounts seen for less than a week.
"""
validation = """
Log in from a new device behind a new network to an account in use for weeks, and open four views.
"""
runbook = """
1. List the views of this `session` since `strange_login_at`: which cameras, which `resource_label`, how fast?
2. Compare `ip`, `device` and `user_agent` with the successes of this `account` in the 30 days before.
3. Ask the owner. If it was a stranger, end all sessions, force a new password, and say which rooms were seen.
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
        device,
        session,
        user_agent
    FROM events
    WHERE action IN (
        'login', 'session_refresh', 'mfa_verify', 'device_register', 'password_reset', 'live_view', 'recording_view',
        'recording_download'
    )
        AND actor_type IN ('customer', 'shared_user')
        AND account <> ''
),
histories AS (
    SELECT
        *,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND device <> '')
            OVER same_device AS device_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND asn IS NOT NULL)
            OVER same_asn AS asn_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND place <> '')
            OVER same_place AS place_seen_at,
        count(*) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_account AS visits,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER weeks_ago AS weeks_ago_seen_at,
        count(*) FILTER (WHERE action IN ('mfa_verify', 'device_register') AND outcome = 'success')
            OVER same_device_hour AS vouched,
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
        same_asn AS (
            PARTITION BY account, asn
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
        same_device_hour AS (
            PARTITION BY account, device
            ORDER BY time
            RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
        ),
        account_day AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
        )
),
strangers AS (
    SELECT
        *
    FROM histories
    WHERE place <> ''
        AND device_seen_at IS NULL
        AND place_seen_at IS NULL
        AND asn_seen_at IS NULL
        AND weeks_ago_seen_at IS NOT NULL
        AND visits >= 5
        AND reset_at IS NULL
),
entries AS (
    SELECT
        *,
        min(time) FILTER (WHERE action = 'login' AND outcome = 'success') OVER recent AS strange_login_at,
        count(*) FILTER (WHERE action IN ('live_view', 'recording_view') AND outcome <> 'failure') OVER recent AS views,
        count(*) FILTER (WHERE action = 'recording_download' AND outcome <> 'failure') OVER recent AS downloads
    FROM strangers
    WINDOW recent AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
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
    views,
    downloads
FROM entries
WHERE action IN ('live_view', 'recording_view', 'recording_download')
    AND strange_login_at IS NOT NULL
    AND vouched = 0
    AND (views >= 4 OR downloads >= 3)
