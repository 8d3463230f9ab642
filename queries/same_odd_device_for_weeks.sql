/*
title    = "Odd device stays in the account"
severity = "low"
entity   = "account"
quiet    = "7 days"
attack   = ["T1078", "T1125"]
summary  = "device {device} came to {account} within the last three weeks, was there {device_visits} times, last from {ip}, and was never on a network that another device of the account uses"
why      = """
An intruder who only watches changes nothing and stays for weeks. Devices of a household meet: at home, sooner or later, all of them use one
network. A device that came later than the others, comes again and again and never meets them belongs to somebody else.
"""
false_positives = """
A relative in another town who got the password; they should have a share of their own. A new work laptop that never comes home. An
old telephone that was given away and still refreshes.
"""
blind_spots = """
The first week of the intruder. Accounts younger than three weeks. Intruders behind the owner's provider, without a device id, or with a
new one each time. Without `asn` the address prefix is the network, and IPv6 homes with changing prefixes look like many.
"""
validation = """
Use an account for weeks, then log in with a second device on another network, and come back for a week.
"""
runbook = """
1. Look at the first `login` of this `device`: an alert of unfamiliar_login or success_after_attack then?
2. List what it watched: `live_view` and `recording_view` with this `device`; always the same camera, at night?
3. Ask the owner whose device it is. If nobody's, end its session and force a new password.
"""
*/
WITH acts AS (
    SELECT
        time,
        outcome,
        account,
        ip,
        coalesce(CAST(asn AS VARCHAR), CASE WHEN ip_prefix <> '' THEN ip_prefix ELSE ip END) AS net,
        device,
        session,
        user_agent
    FROM events
    WHERE action IN ('login', 'session_refresh')
        AND actor_type = 'customer'
        AND account <> ''
        AND device <> ''
        AND outcome = 'success'
),
meetings AS (
    SELECT
        *,
        count(DISTINCT device) OVER same_net AS devices_here,
        count(DISTINCT device) OVER account_week AS devices_in_use,
        max(time) OVER account_before AS account_seen_at,
        max(time) OVER device_before AS device_seen_long_ago_at,
        max(time) OVER device_last_week AS device_seen_at
    FROM acts
    WINDOW
        same_net AS (
            PARTITION BY account, net
            ORDER BY time
            RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
        ),
        account_week AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
        ),
        account_before AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '21' DAY PRECEDING
        ),
        device_before AS (
            PARTITION BY account, device
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '21' DAY PRECEDING
        ),
        device_last_week AS (
            PARTITION BY account, device
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING
        )
)
SELECT
    time,
    account,
    ip,
    device,
    session,
    user_agent,
    devices_in_use,
    count(*) OVER device_month AS device_visits,
    max(devices_here) OVER device_month AS devices_met
FROM meetings
WINDOW device_month AS (
    PARTITION BY account, device
    ORDER BY time
    RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
)
QUALIFY device_seen_at IS NOT NULL
    AND device_seen_long_ago_at IS NULL
    AND account_seen_at IS NOT NULL
    AND devices_met = 1
    AND devices_in_use >= 2
    AND device_visits >= 8
