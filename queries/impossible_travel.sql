/*
title    = "Impossible travel between two logins"
severity = "low"
entity   = "account"
quiet    = "24 hours"
horizon  = "30 days"
attack   = ["T1078"]
summary  = "{account} logged in from {ip} ({country}), {km} km from its login {ip_before} ({country_before}) before, at {km_per_hour} km/h"
why      = """
One person cannot be in two far places within hours. Only logins of a device that is new to the account are looked at, only between
places that say where a person is: neither VPN, relay, Tor nor mobile networks, and no address that many accounts share.
"""
false_positives = """
Two people with one account in two cities. A company network that leaves in another country. Addresses whose position is out of date.
"""
blind_spots = """
An intruder near the owner, behind a VPN, or with the owner's device id. Sessions without a login. Silent without positions; radius unknown
is taken as 50 km. Addresses of more than 20 accounts are left out.
"""
validation = """
Log in, and an hour later with another device from an address a thousand kilometres away.
"""
runbook = """
1. Look at both logins: `device`, `agent` and `ip` known for weeks at one of them, new at the other?
2. List what the new `session` did since: `live_view`, `recording_download`, `email_change`, `share_grant`.
3. Two people of one household in two places are common: ask, and give the second a share of their own.
"""
*/
WITH steps AS (
    SELECT
        time,
        account,
        ip,
        device,
        session,
        agent,
        country,
        latitude,
        longitude,
        accuracy_km,
        device_known_days,
        prefix_known_days,
        lag(time) OVER own AS time_before,
        lag(ip) OVER own AS ip_before,
        lag(device) OVER own AS device_before,
        lag(country) OVER own AS country_before,
        lag(latitude) OVER own AS latitude_before,
        lag(longitude) OVER own AS longitude_before,
        lag(accuracy_km) OVER own AS accuracy_km_before
    FROM events
    WHERE action = 'login'
        AND outcome = 'success'
        AND actor_type = 'customer'
        AND account <> ''
        AND latitude IS NOT NULL
        AND coalesce(network, 'unknown') NOT IN ('vpn', 'relay', 'tor', 'mobile')
        AND coalesce(ip_accounts, 0) <= 20
    WINDOW own AS (PARTITION BY account ORDER BY time)
),
travel AS (
    SELECT
        *,
        round(
            distance_km(latitude_before, longitude_before, latitude, longitude)
            - coalesce(accuracy_km, 50) - coalesce(accuracy_km_before, 50)
        ) AS km,
        greatest((CAST(time AS BIGINT) - CAST(time_before AS BIGINT)) / 3600000000.0, 0.01) AS hours
    FROM steps
)
SELECT
    time,
    account,
    ip,
    country,
    device,
    agent,
    session,
    time_before,
    ip_before,
    country_before,
    device_before,
    km,
    round(km / hours) AS km_per_hour
FROM travel
WHERE km >= 500
    AND km / hours >= 900
    AND coalesce(device_known_days, 0) < 1
    AND coalesce(prefix_known_days, 0) < 1
