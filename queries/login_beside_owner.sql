/*
title    = "Stranger logs in while the owner is at home"
severity = "low"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078"]
summary  = "{account} logged in from {ip} by a device and from a network that are new to it, while {device_elsewhere} used it at {ip_elsewhere} ({elsewhere_at})"
why      = """
An owner who logs in with a new device somewhere else leaves the old one in the pocket, not in use at home. Two at once, one of them
unknown in device, network and program or from a data centre, are two people.
"""
false_positives = """
A family with one password: the second one's new device, away from home, while the first one looks at the door.
"""
blind_spots = """
An intruder who waits for the night, or comes from the owner's provider. Tablets on the wall that refresh all day are use, too.
Silent without `asn`. Accounts seen for less than a week.
"""
validation = """
Use an account at home, and log in within half an hour from a new device behind a new provider.
"""
runbook = """
1. Compare both: `device`, `agent`, `ip`. Which of them was known a week ago?
2. List what the new `session` did since its login: `live_view`, `recording_download`, `email_change`, `share_grant`.
3. Call the household; they are at home, and can say whether anybody else has the password.
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
        network,
        device,
        session,
        user_agent,
        agent
    FROM events
    WHERE action IN ('login', 'session_refresh', 'live_view', 'password_reset')
        AND actor_type = 'customer'
        AND account <> ''
),
histories AS (
    SELECT
        *,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND device <> '')
            OVER same_device AS device_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND place <> '')
            OVER same_place AS place_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_asn AS asn_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER weeks_ago AS weeks_ago_seen_at,
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
        weeks_ago AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING
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
    asn,
    device,
    session,
    user_agent,
    max(time) FILTER (WHERE device_seen_at IS NOT NULL AND place_seen_at IS NOT NULL AND outcome = 'success')
        OVER just_now AS elsewhere_at,
    last_value(ip) FILTER (WHERE device_seen_at IS NOT NULL AND place_seen_at IS NOT NULL AND outcome = 'success')
        OVER just_now AS ip_elsewhere,
    last_value(device) FILTER (WHERE device_seen_at IS NOT NULL AND place_seen_at IS NOT NULL AND outcome = 'success')
        OVER just_now AS device_elsewhere
FROM histories
WINDOW just_now AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '30' MINUTE PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
)
QUALIFY action = 'login'
    AND outcome = 'success'
    AND place <> ''
    AND asn IS NOT NULL
    AND device_seen_at IS NULL
    AND place_seen_at IS NULL
    AND asn_seen_at IS NULL
    AND reset_at IS NULL
    AND weeks_ago_seen_at IS NOT NULL
    AND elsewhere_at IS NOT NULL
