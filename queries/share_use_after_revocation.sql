/*
title    = "Guest looks into a home after the share was taken back"
severity = "high"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1078"]
summary  = "{actor} used {account} ({action}) at {time}, share taken back at {revoked_at}"
why      = """
People take a share back when they part, move out, or are afraid. A guest who still sees their home is the reason why they did it. Grants after the
revocation make it good again.
"""
false_positives = """
A share that was given again by a way that is not logged as `share_grant`. A guest with two shares, of which one was taken back.
"""
blind_spots = """
Shares that name the guest in another way than `actor` does. Revocations more than 400 days ago. The first
30 seconds, for clocks that differ; refreshed sessions without a look. A revocation that arrives later than the lateness finds nothing.
"""
validation = """
`share_revoke` with a guest in `resource`, and a minute later `live_view` with this `actor`.
"""
runbook  = """
1. List all events with this `account` and `actor` after `revoked_at`: which cameras, how long, did they talk or sound the siren?
2. End all sessions of this guest for this account, and find out why the revocation did not.
3. Tell the customer what was seen. Ask first whether it is safe to call: it may be a case of violence in the family.
"""
*/
WITH guests AS (
    SELECT
        time,
        account,
        actor,
        actor_type,
        ip,
        action,
        outcome,
        resource,
        resource_label,
        device,
        max(time) FILTER (WHERE action = 'share_revoke' AND outcome <> 'failure') OVER share AS revoked_at,
        max(time) FILTER (WHERE action = 'share_grant' AND outcome <> 'failure') OVER share AS granted_at
    FROM events
    WHERE action IN ('share_grant', 'share_revoke')
        OR actor_type = 'shared_user'
    WINDOW share AS (
        PARTITION BY account, CASE WHEN action IN ('share_grant', 'share_revoke') THEN resource ELSE actor END
        ORDER BY time
        RANGE BETWEEN INTERVAL '400' DAY PRECEDING AND CURRENT ROW
    )
)
SELECT
    time,
    account,
    actor,
    actor_type,
    ip,
    action,
    resource,
    resource_label,
    device,
    revoked_at
FROM guests
WHERE action NOT IN ('share_grant', 'share_revoke', 'session_refresh', 'logout')
    AND outcome <> 'failure'
    AND revoked_at < time - INTERVAL '30' SECOND
    AND (granted_at IS NULL OR granted_at < revoked_at)
