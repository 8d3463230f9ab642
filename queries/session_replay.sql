/*
title    = "Session used by another client from a new network"
severity = "high"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1539", "T1550.004"]
summary  = "session {session} of {account} came from {ip} with another client ({agent} on {os}, was {agent_before} on {os_before}); the network is new to the account"
why      = """
Whoever steals a session cookie needs no password and no second factor. He carries the token to his own machine: another TLS stack,
program or system, behind a network the account never used. A telephone that hops between home and carrier stays the same client.
"""
false_positives = """
A company network that breaks TLS open, on the first day there. A session that moves with a restored backup to a new telephone while
away from home.
"""
blind_spots = """
A thief with the same program and the same TLS fingerprint, or with another version of the program: apps update themselves. One behind a
network of the owner. Sessions older than 30 days between two
uses; with the owner's program and provider, 7 days. Without TLS fingerprints only another program, system or device is seen, and only where the ASN is known.
"""
validation = """
Copy a session token to another machine on another network and refresh it with a second client.
"""
runbook = """
1. End this `session` and all others of this `account`, so that stolen refresh tokens die too.
2. List everything of this `session` from `ip` since `started_at`: `live_view`, `recording_view`, `recording_download`, `email_change`, `share_grant`.
3. Ask the owner which device was infected or phished; look for the same `tls_fingerprint` in sessions of other accounts.
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
        device,
        session,
        user_agent,
        agent,
        os,
        tls_fingerprint
    FROM events
    WHERE actor_type IN ('customer', 'shared_user')
        AND account <> ''
        AND session <> ''
        AND outcome <> 'failure'
)
SELECT
    time,
    account,
    session,
    action,
    ip,
    asn,
    device,
    user_agent,
    agent,
    os,
    tls_fingerprint,
    max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND place <> '')
        OVER same_place AS place_seen_at,
    max(time) OVER same_session AS used_at,
    last_value(ip) FILTER (WHERE ip <> '') OVER same_session AS ip_before,
    last_value(asn) FILTER (WHERE ip <> '') OVER same_session AS asn_before,
    last_value(device) FILTER (WHERE device <> '') OVER same_session AS device_before,
    last_value(user_agent) FILTER (WHERE user_agent <> '') OVER same_session AS user_agent_before,
    last_value(agent) FILTER (WHERE agent <> '') OVER same_session AS agent_before,
    last_value(os) FILTER (WHERE os <> '') OVER same_session AS os_before,
    last_value(tls_fingerprint) FILTER (WHERE tls_fingerprint <> '') OVER same_session AS tls_fingerprint_before
FROM acts
WINDOW
    same_place AS (
        PARTITION BY account, place
        ORDER BY time
        RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING
    ),
    same_session AS (
        PARTITION BY account, session
        ORDER BY time
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING
    )
QUALIFY place <> ''
    AND place_seen_at IS NULL
    AND (
        (
            tls_fingerprint <> tls_fingerprint_before
            AND user_agent = user_agent_before
            AND (asn <> asn_before OR used_at > time - INTERVAL '7' DAY)
        )
        OR (asn <> asn_before AND (agent <> agent_before OR os <> os_before OR device <> device_before))
    )
