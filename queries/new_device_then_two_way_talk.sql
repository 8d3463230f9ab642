/*
title    = "A new device and network speaks through a camera or sounds its siren"
severity = "critical"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078"]
summary  = "{action} at {resource_label} of {account} from {ip}, by a device and from a network that are new to it, within an hour of such a login at {strange_login_at}"
why      = """
Strangers have used two-way talk and sirens to insult and frighten people, children among them, in their own bedrooms. A voice from a
device and a network that are new to the account, within an hour of the login and without a second factor, is that.
"""
false_positives = """
An owner's new phone on a mobile network that the account never used, which answers the door within an hour of its login, where no second factor is asked for.
"""
blind_spots = """
An intruder who waits for more than an hour, who passed the second factor, who reset the password, who stole a session and so needs no
login, who comes from the owner's own network, with the owner's device id, or from the owner's provider with the owner's program. Accounts seen for less than two days, or for less than a week and hardly.
"""
validation = """
Log in from a new device behind a new network to an account in use for weeks, and speak.
"""
runbook = """
1. End all sessions of this `account` now, and call the household: somebody may be talking to a child.
2. List `live_view`, `recording_view`, `siren` and `settings_change` with this `account` and `ip` from one hour before `started_at`.
3. Look how it got in: alerts of success_after_attack with this `account` or `ip`, or a `login` at first try (a reused password).
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
        user_agent,
        resource_label
    FROM events
    WHERE action IN ('login', 'session_refresh', 'mfa_verify', 'password_reset', 'two_way_talk', 'siren')
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
            OVER days_ago AS days_ago_seen_at,
        count(*) FILTER (WHERE action = 'mfa_verify' AND outcome = 'success') OVER same_device_hour AS second_factors
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
        ),
        same_device_hour AS (
            PARTITION BY account, device
            ORDER BY time
            RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
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
        min(time) FILTER (WHERE action = 'login' AND outcome = 'success') OVER recent AS strange_login_at,
        max(time) FILTER (WHERE action = 'password_reset' AND outcome = 'success') OVER last_day AS reset_at
    FROM strangers
    WINDOW
        recent AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
        ),
        last_day AS (
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
    resource_label,
    device,
    session,
    user_agent,
    strange_login_at
FROM entries
WHERE action IN ('two_way_talk', 'siren')
    AND outcome <> 'failure'
    AND strange_login_at IS NOT NULL
    AND reset_at IS NULL
    AND second_factors = 0
