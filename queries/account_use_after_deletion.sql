/*
title    = "Account used after its deletion was asked for"
severity = "high"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078"]
summary  = "{action} on {account} by {actor} ({actor_type}) at {time}, deletion asked for at {deleted_at}"
why      = """
A deleted account that still lets somebody in, or whose cameras and recordings are still looked at, is an intruder's account or a broken
promise. What tidies up after a deletion (revoking shares, deleting recordings, logging out) is not a use. A deletion that arrives late is put in its
place by event time, as far as the lateness reaches.
"""
false_positives = """
A deletion that was taken back, or a name that was given to a new customer (there is no action for either).
"""
blind_spots = """
Deletions more than 400 days ago. Failed attempts. In the first minute only looking, listening and speaking count: apps finish what they were doing.
A deletion that arrives later than the lateness (`order.lateness`) is set aside with the late events, and finds nothing.
"""
validation = """
`account_delete`, then `live_view` with this `account`.
"""
runbook = """
1. List all events with this `account` after `deleted_at`: which `actor`, `actor_type`, `ip`, `device` and `source`?
2. If a customer's `session` lived on, end it, and find out why the deletion did not.
3. If staff or a service read video, take it to whoever answers for privacy.
"""
*/
WITH uses AS (
    SELECT
        time,
        account,
        ip,
        action,
        outcome,
        actor,
        actor_type,
        resource,
        resource_label,
        device,
        max(time) FILTER (WHERE action = 'account_delete' AND outcome <> 'failure') OVER before AS deleted_at
    FROM events
    WHERE account <> ''
    WINDOW before AS (
        PARTITION BY account
        ORDER BY time
        RANGE BETWEEN INTERVAL '400' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
    )
)
SELECT
    time,
    account,
    ip,
    action,
    actor,
    actor_type,
    resource,
    resource_label,
    device,
    deleted_at
FROM uses
WHERE outcome <> 'failure'
    AND action NOT IN ('account_delete', 'recording_delete', 'share_revoke', 'logout')
    AND (
        action IN (
            'live_view', 'recording_view', 'recording_download', 'two_way_talk', 'siren', 'model_training_read'
        )
        OR deleted_at <= time - INTERVAL '1' MINUTE
    )
    AND deleted_at IS NOT NULL
