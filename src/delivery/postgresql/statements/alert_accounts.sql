INSERT INTO alert_accounts (alert_id, started_at, position, account)
SELECT d ->> 'id', (d ->> 'started_at')::timestamptz, a.position, a.account
FROM
    jsonb_array_elements($1::jsonb) AS d,
    jsonb_array_elements_text(d -> 'accounts') WITH ORDINALITY AS a (account, position)
