/*
title    = "Recording used after the end of its retention"
severity = "medium"
entity   = "resource"
quiet    = "24 hours"
attack   = ["T1213"]
summary  = "{action} of {resource} ({account}) by {actor} ({actor_type}), recorded at {recorded_at}, {age_days} days ago"
why      = """
What the service promises to delete after 30 days must not be there for staff or programs on day 32. It is a broken promise, and training on it has to
be undone.
"""
false_positives = """
Plans with longer retention, and recordings that are kept for a court. Change the number of days in this rule, or join a table of accounts with longer plans.
"""
blind_spots = """
Uses logged without `recorded_at`. What customers and their guests watch themselves. The day after the end, in which it is cleared away.
"""
validation = """
Send a `recording_view` by an `employee` with a `recorded_at` of 32 days ago.
"""
runbook  = """
1. List all events with this `resource`: who still uses it, and which `source` gives it out?
2. Ask this system which other recordings are older than the retention; check its last clearing run.
3. Take it to whoever answers for privacy; a model that has read it has to be trained again without it.
"""
*/
SELECT
    time,
    resource,
    account,
    ip,
    action,
    actor,
    actor_type,
    resource_label,
    ticket,
    recorded_at,
    (CAST(time AS BIGINT) - CAST(recorded_at AS BIGINT)) / 86400000000 AS age_days
FROM events
WHERE action IN ('recording_view', 'recording_download', 'model_training_read')
    AND actor_type IN ('employee', 'contractor', 'service')
    AND outcome <> 'failure'
    AND recorded_at IS NOT NULL
    AND recorded_at < time - INTERVAL '31' DAY
