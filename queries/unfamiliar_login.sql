/*
title    = "Login with nothing familiar about it"
severity = "medium"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078"]
summary  = "{account} logged in from {ip} ({country}, {network}) by {agent} on {os}: device, network and provider are new to it, and so is the country or the program, or it is a data centre or Tor"
why      = """
Somebody who knows the password comes from his own place with his own machine. One new thing is life; device, network, provider and
country or program new at once, on an account with habits, is a stranger until shown otherwise. Named at the login, before any deed.
"""
false_positives = """
An owner on a journey who logs in with a borrowed computer. A household's second device that is used once in some months, away from home.
"""
blind_spots = """
Accounts first seen within a day; those seen for less than a week or hardly ever, unless country and program are new after three visits or
a week, or it is a data centre.
An intruder behind VPN, relay, a mobile or an unlisted network in another country who has the owner's program, or from the owner's provider. Logins
within a day of a password reset. Without `asn`, `country` and `agent` it is silent.
"""
validation = """
Log in to an account that is used for weeks from a rented server, with a browser it never used.
"""
runbook = """
1. Compare `ip`, `country`, `agent` and `device` with the logins of this `account` in the 30 days before. `risk` far above `risk_usual` speaks for a stranger.
2. List what this `session` did since: `live_view`, `recording_download`, `two_way_talk`, `email_change`, `share_grant`. Any of them: end all sessions now.
3. Ask the owner by a channel the intruder cannot read. If it was not him, force a new password and look for other accounts from this `ip`.
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
        country,
        coalesce(network, 'unknown') AS network,
        device,
        session,
        user_agent,
        agent,
        os,
        risk,
        risk_usual
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
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER same_asn AS asn_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER same_country AS country_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER same_agent AS agent_seen_at,
        count(*) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_account AS visits,
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
        same_country AS (
            PARTITION BY account, country
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
    country,
    asn,
    network,
    device,
    session,
    user_agent,
    agent,
    os,
    risk,
    risk_usual,
    visits,
    country_seen_at,
    agent_seen_at
FROM histories
WHERE action = 'login'
    AND outcome = 'success'
    AND place <> ''
    AND device_seen_at IS NULL
    AND place_seen_at IS NULL
    AND asn_seen_at IS NULL
    AND reset_at IS NULL
    AND visits >= 1
    AND (
        network IN ('hosting', 'tor')
        OR (
            (weeks_ago_seen_at IS NOT NULL OR visits >= 3)
            AND agent_seen_at IS NULL
            AND country_seen_at IS NULL
            AND network NOT IN ('vpn', 'relay', 'mobile')
        )
        OR (
            weeks_ago_seen_at IS NOT NULL
            AND visits >= 5
            AND (agent_seen_at IS NULL OR (country_seen_at IS NULL AND network NOT IN ('vpn', 'relay', 'mobile', 'unknown')))
        )
    )
