/*
title    = "Model trained on data that should be gone"
severity = "critical"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1213"]
summary  = "{actor} read {resource} of {account}: {reason_gone}; within a day {recordings} recordings of {customers} customers that should be gone"
why      = """
What a model has learned cannot be deleted from it. Reads of recordings that were deleted, whose account was deleted, or whose retention has ended have
to stop the run, not be found by an audit.
"""
false_positives = """
A job that lists recordings without reading them, if it logs that as a read. Plans with longer retention: change the number of days.
"""
blind_spots = """
Copies under another id. Deletions more than 400 days ago, or that are told later than the lateness: they re-check nothing.
"""
validation = """
`recording_delete`, then `model_training_read` of the same `resource`.
"""
runbook  = """
1. Stop the training job of this `actor`, and keep its list of inputs.
2. Compare the whole list with all deletions since the data was collected; find out where the job took the copy from.
3. Throw away the models that have read it, and take it to whoever answers for privacy.
"""
*/
WITH reads AS (
    SELECT
        time,
        account,
        resource,
        resource_label,
        recorded_at,
        action,
        outcome,
        actor,
        actor_type,
        ip,
        max(time) FILTER (WHERE action = 'recording_delete' AND outcome <> 'failure') OVER same_recording AS recording_deleted_at,
        max(time) FILTER (WHERE action = 'account_delete' AND outcome <> 'failure') OVER same_account AS account_deleted_at
    FROM events
    WHERE action IN ('recording_delete', 'account_delete', 'model_training_read')
    WINDOW
        same_recording AS (
            PARTITION BY account, resource
            ORDER BY time
            RANGE BETWEEN INTERVAL '400' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
        ),
        same_account AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '400' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
        )
),
gone AS (
    SELECT
        *,
        CASE
            WHEN recording_deleted_at IS NOT NULL AND resource <> '' THEN 'recording deleted'
            WHEN account_deleted_at IS NOT NULL THEN 'account deleted'
            WHEN recorded_at < time - INTERVAL '31' DAY THEN 'retention ended'
        END AS reason_gone
    FROM reads
    WHERE action = 'model_training_read'
        AND outcome <> 'failure'
)
SELECT
    time,
    actor,
    actor_type,
    account,
    ip,
    resource,
    resource_label,
    reason_gone,
    count(DISTINCT resource) OVER last_day AS recordings,
    count(DISTINCT account) OVER last_day AS customers
FROM gone
WHERE reason_gone IS NOT NULL
WINDOW
    last_day AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
    )
