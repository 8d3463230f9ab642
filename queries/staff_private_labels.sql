/*
title    = "Staff member seeks out bedrooms, bathrooms and nurseries"
severity = "high"
entity   = "actor"
quiet    = "7 days"
attack   = ["T1078", "T1213"]
summary  = "{actor} ({actor_type}) looked into bedrooms, bathrooms or nurseries of {customers} customers within 30 days, {private_looks} of {looks} looks that no case of a customer explains"
why      = """
Who works on a case looks at the camera that is broken; who seeks something else looks at the label. Counted are looks without a case that the customer
opened.
"""
false_positives = """
Phone support that opens its cases itself and has a week of baby monitors. Labels with such a word for another place ("Bedroom window").
"""
blind_spots = """
Labels without the room ("Camera 2"), with a nickname, or in a language that is not in the list: add words to the regular expression in this rule.
Viewers for whom three in ten looks are at other rooms. Fewer than five customers in 30 days.
"""
validation = """
As `employee`, open a ticket for each of five accounts and view their `Bedroom`.
"""
runbook  = """
1. List the accesses of this `actor` of the last 30 days by `account`, `resource_label` and `fault`.
2. Ask the ticket system for the customers' words in these cases: did anybody ask for help with this camera?
3. Suspend the access, keep the log, and take it to whoever handles staff matters: do not ask the person first.
"""
*/
WITH accesses AS (
    SELECT
        time,
        action,
        account,
        actor,
        actor_type,
        ip,
        ticket,
        resource,
        resource_label,
        last_value(account) FILTER (WHERE action = 'ticket_open') OVER same_ticket AS ticket_account,
        last_value(actor) FILTER (WHERE action = 'ticket_open') OVER same_ticket AS ticket_opened_by,
        max(time) FILTER (WHERE action = 'ticket_open') OVER same_ticket AS ticket_opened_at,
        max(time) FILTER (WHERE action = 'ticket_close') OVER same_ticket AS ticket_closed_at,
        max(time) FILTER (
            WHERE action = 'ticket_open'
                AND actor_type NOT IN ('employee', 'contractor')
        ) OVER same_account AS case_opened_at,
        max(time) FILTER (WHERE action = 'ticket_close') OVER same_account AS case_closed_at,
        max(time) FILTER (WHERE action = 'ticket_open') OVER long_ago AS tickets_known_at,
        max(time) FILTER (WHERE ticket <> '' AND actor <> account) OVER same_pair AS ticket_used_at
    FROM events
    WHERE outcome <> 'failure'
        AND (
            action IN ('ticket_open', 'ticket_close')
            OR (
                action IN ('live_view', 'recording_view', 'recording_download', 'two_way_talk', 'siren')
                AND actor_type IN ('employee', 'contractor')
                AND actor <> ''
                AND actor <> account
            )
        )
    WINDOW
        same_ticket AS (
            PARTITION BY ticket
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND CURRENT ROW
        ),
        same_account AS (
            PARTITION BY account
            ORDER BY time
            RANGE BETWEEN INTERVAL '14' DAY PRECEDING AND CURRENT ROW
        ),
        same_pair AS (
            PARTITION BY actor, account
            ORDER BY time
            RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW
        ),
        long_ago AS (
            ORDER BY time
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '14' DAY PRECEDING
        )
),
judged AS (
    SELECT
        *,
        CASE
            WHEN coalesce(ticket, '') = '' THEN CASE
                WHEN case_opened_at > coalesce(case_closed_at, case_opened_at - INTERVAL '1' DAY)
                    OR case_closed_at >= time - INTERVAL '1' HOUR
                    OR (tickets_known_at IS NULL AND ticket_used_at IS NOT NULL) THEN ''
                ELSE 'no ticket'
            END
            WHEN ticket_account <> account THEN 'ticket of another customer'
            WHEN ticket_closed_at > coalesce(ticket_opened_at, ticket_closed_at - INTERVAL '1' DAY)
                AND ticket_closed_at < time - INTERVAL '1' HOUR THEN 'closed ticket'
            WHEN ticket_opened_by = actor THEN 'ticket of their own'
            WHEN ticket_opened_at IS NULL AND tickets_known_at IS NOT NULL THEN 'ticket that nobody opened'
            ELSE ''
        END AS fault
    FROM accesses
    WHERE action NOT IN ('ticket_open', 'ticket_close')
),
unexplained AS (
    SELECT
        *,
        CASE WHEN regexp_like(
            resource_label,
            'bed ?room|bath ?room|nursery|\b(kid|child|boy|girl|baby|guest|dressing|changing|rest)[a-z]*[''’]?s? ?room|\bcrib|shower|toilet|\bwc\b|\bbaby\b|'
            || 'schlaf|kinderzi|babyzi|badezi|\bbad\b|gästezi|umkleide|dusche|'
            || '\bchambre|salle (de bain|d.eau)|bébé|enfants?\b|douche|dormitor|habitaci|recámara|alcoba|niñ[oa]s|\bbaño|ducha|'
            || 'slaapk|kinderk|babyk|badk|sypialni|łazienk|niemowl|dziec|'
            || 'sovrum|barnrum|barnkam|badrum|toalett|soverom|soveværelse|barnerom|børneværelse|badeværelse|makuuhuone|lastenhuone|kylpyhuone|'
            || '\bquartos?\b|banheiro|casa de banho|crian[çc]as|beb[êeé]|camera da letto|cameretta|\bbagno|ložnice|koupelna|dětsk|'
            || '寝室|子供|子ども|ベビー|赤ちゃん|浴室|風呂|トイレ|洗面|卧室|臥室|儿童|兒童|婴儿|卫生间|침실|욕실|아기|아이 ?방|'
            || 'hálószoba|fürdő|gyerekszoba|babaszoba|\bbaie\b|copiilor|υπνοδωμ|μπάνιο|παιδικό|phòng ngủ|phòng tắm|kamar tidur|kamar mandi|ห้องนอน|ห้องน้ำ|'
            || 'спальн|детск|дитяч|ванн|туалет|yatak|çocuk|banyo|bebek|غرفة نوم|حمام|أطفال|बेडरूम|शयन|बच्चों',
            'i'
        ) THEN account END AS private_account
    FROM judged
    WHERE fault <> ''
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
    ticket,
    fault,
    count(*) OVER last_month AS looks,
    count(private_account) OVER last_month AS private_looks,
    count(DISTINCT private_account) OVER last_month AS customers
FROM unexplained
WINDOW
    last_month AS (
        PARTITION BY actor
        ORDER BY time
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
    )
QUALIFY private_account IS NOT NULL
    AND customers >= 5
    AND private_looks >= 0.7 * looks
