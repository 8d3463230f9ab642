/*
title    = "Known device does what intruders do from a strange household's network"
severity = "low"
entity   = "account"
quiet    = "24 hours"
attack   = ["T1550.004", "T1098"]
summary  = "{action} of {account} in session {session} from {ip} ({network}), a network and provider that are new to it, without a login there"
why      = """
A stolen session looks like the owner's device: same id, same program, same TLS if the thief takes care. What is left is the place, and what
is done there: owner locked out, share given, siren, several settings, recordings taken away.
"""
false_positives = """
An owner at a friend's house who sounds the siren or changes the password there for the first time.
"""
blind_spots = """
Silent where `network` is not known as residential, hosting or Tor: hotels and offices are too common. A thief who only watches, or who sits
behind a carrier, a VPN or the owner's own provider. Accounts seen for less than a week.
"""
validation = """
Carry a session to another household's network and change the e-mail address.
"""
runbook = """
1. List the places of this `session` in the last days: does it hop back to the home network while the new place is still in use?
2. List what was done from `ip`: `live_view`, `recording_download`, `settings_change`, `share_grant`.
3. Ask the owner whether they are away from home. If not, end all sessions and undo the change.
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
        network,
        device,
        session,
        user_agent
    FROM events
    WHERE action IN (
            'login', 'session_refresh', 'password_change', 'email_change', 'mfa_change', 'share_grant', 'settings_change', 'siren',
            'recording_download', 'password_reset'
        )
        AND actor_type = 'customer'
        AND account <> ''
),
histories AS (
    SELECT
        *,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND device <> '')
            OVER same_device AS device_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success' AND place <> '')
            OVER same_place AS place_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success') OVER same_asn AS asn_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'session_refresh') AND outcome = 'success')
            OVER weeks_ago AS weeks_ago_seen_at,
        max(time) FILTER (WHERE action IN ('login', 'password_reset') AND outcome = 'success') OVER account_day AS login_at
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
),
elsewhere AS (
    SELECT
        *
    FROM histories
    WHERE network IN ('residential', 'hosting', 'tor')
        AND place <> ''
        AND asn IS NOT NULL
        AND device_seen_at IS NOT NULL
        AND place_seen_at IS NULL
        AND asn_seen_at IS NULL
        AND weeks_ago_seen_at IS NOT NULL
        AND login_at IS NULL
)
SELECT
    time,
    account,
    ip,
    network,
    asn,
    action,
    device,
    session,
    user_agent,
    count(*) FILTER (WHERE action = 'settings_change' AND outcome <> 'failure') OVER last_hour AS settings_changed,
    count(*) FILTER (WHERE action = 'recording_download' AND outcome <> 'failure') OVER last_hour AS downloads
FROM elsewhere
WINDOW last_hour AS (
    PARTITION BY account
    ORDER BY time
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY outcome <> 'failure'
    AND (
        action IN ('password_change', 'email_change', 'mfa_change', 'share_grant', 'siren')
        OR (action = 'settings_change' AND settings_changed >= 2)
        OR (action = 'recording_download' AND downloads >= 3)
    )
