/*
title    = "Service account used like a person"
severity = "critical"
entity   = "actor"
quiet    = "24 hours"
attack   = ["T1078", "T1552"]
summary  = "{actor} reached {customers} customers with a browser or from a private connection ({user_agent}, {network}), {deeds} times within a day"
why      = """
Keys of programs open every door, and nobody asks them for a ticket. A program does not change to a browser, nor does it move to a private connection,
a mobile network or an anonymiser.
"""
false_positives = """
A program that drives a browser (one that says so, like `HeadlessChrome`, is left out where `device_type` is known), or moves into customers' homes:
silent once it has done so for a day. Somebody who tests a program by hand.
"""
blind_spots = """
A person who copies the program's agent and works from a data centre. Without `network` the agent alone tells. A private connection tells nothing of a
service that is younger than a day. A thief who goes on for a day becomes usual: look at the first alert.
"""
validation = """
Send `live_view` with `actor_type` `service` and a browser as `user_agent`.
"""
runbook  = """
1. List all events with this `actor` and this `ip` or `user_agent`: `account`, `resource_label`, from the first one on.
2. Change the key of this service at once, and find out who can read it: vault, repository, build log, former staff.
3. Find the person behind `ip` by the logins of staff around that time. Take it to whoever answers for privacy.
"""
*/
WITH strange AS (
    SELECT
        time,
        actor,
        actor_type,
        account,
        ip,
        action,
        outcome,
        resource,
        resource_label,
        network,
        user_agent,
        account_age_days,
        max(time) OVER habit AS used_before
    FROM events
    WHERE actor_type = 'service'
        AND actor <> ''
        AND outcome <> 'failure'
        AND (
            (user_agent LIKE 'Mozilla/%' AND coalesce(device_type, '') <> 'bot')
            OR network IN ('residential', 'mobile', 'vpn', 'relay', 'tor')
        )
    WINDOW habit AS (
        PARTITION BY actor, network, split_part(user_agent, '/', 1)
        ORDER BY time
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND INTERVAL '1' DAY PRECEDING
    )
)
SELECT
    time,
    actor,
    actor_type,
    account,
    ip,
    action,
    resource,
    resource_label,
    network,
    user_agent,
    count(*) OVER last_day AS deeds,
    count(DISTINCT account) OVER last_day AS customers
FROM strange
WHERE used_before IS NULL
    AND (user_agent LIKE 'Mozilla/%' OR account_age_days >= 1)
    AND action IN (
        'live_view', 'recording_view', 'recording_download', 'two_way_talk', 'siren', 'settings_change', 'share_grant',
        'email_change', 'password_change', 'mfa_change'
    )
WINDOW
    last_day AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
