/*
title    = "Recording used after its deletion was asked for"
severity = "high"
entity   = "resource"
quiet    = "24 hours"
attack   = ["T1213"]
summary  = "{action} of {resource} ({account}) by {actor} ({actor_type}) at {time}, deletion asked for at {deleted_at}"
why      = """
What a customer deleted must be gone: for other people, for staff, and for model training. Each use after the request is a breach of a
promise, and has been a breach of law. A deletion that arrives late is put in its place by event time, and what was read since is found, as far as the
lateness reaches.
"""
false_positives = """
A deletion that was taken back (there is no action for it); a player that was open when the deletion came.
"""
blind_spots = """
Uses logged without `resource`, or under another id (clips, thumbnails, copies). Deletions more than 400 days ago. A deletion that arrives later than
the lateness (`order.lateness`) is set aside with the late events: no use of that recording is found, before it came or after.
"""
validation = """
`recording_delete`, then `recording_view` of the same `resource` a second later.
"""
runbook = """
1. List all events with this `resource` after `deleted_at`: who (`actor`, `actor_type`), which `source`, how often?
2. Ask the system in `source` why it still holds the recording; check its other deletions of that day.
3. Take it to whoever answers for privacy: a use by `model_training_read` or by staff has to be undone and may have to be reported.
"""
*/
WITH uses AS (
    SELECT
        time,
        resource,
        account,
        ip,
        action,
        outcome,
        actor,
        actor_type,
        resource_label,
        max(time) FILTER (WHERE action = 'recording_delete' AND outcome <> 'failure') OVER before AS deleted_at
    FROM events
    WHERE action IN ('recording_delete', 'recording_view', 'recording_download', 'model_training_read')
        AND resource <> ''
    WINDOW before AS (
        PARTITION BY account, resource
        ORDER BY time
        RANGE BETWEEN INTERVAL '400' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
    )
)
SELECT
    time,
    resource,
    account,
    ip,
    action,
    actor,
    actor_type,
    resource_label,
    deleted_at
FROM uses
WHERE action <> 'recording_delete'
    AND outcome <> 'failure'
    AND deleted_at IS NOT NULL
