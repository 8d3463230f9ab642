-- The accounts that it names, and those that fell and are not among them.
INSERT INTO incident_accounts (incident_id, account, fallen, fell_at, how, viewed)
SELECT
    coalesce(touched.id, fallen.id),
    coalesce(touched.account, fallen.account),
    fallen.account IS NOT NULL,
    fallen.fell_at,
    fallen.how,
    viewed.account IS NOT NULL
FROM (
    SELECT DISTINCT d ->> 'id' AS id, a.account
    FROM jsonb_array_elements($1::jsonb) AS d, jsonb_array_elements_text(d -> 'accounts') AS a (account)
) AS touched
FULL JOIN (
    SELECT
        d ->> 'id' AS id,
        f.item ->> 'account' AS account,
        (f.item ->> 'fell_at')::timestamptz AS fell_at,
        f.item ->> 'how' AS how
    FROM
        jsonb_array_elements($1::jsonb) AS d,
        jsonb_array_elements(jsonb_path_query_array(d, '$.fallen[*]')) AS f (item)
) AS fallen ON fallen.id = touched.id AND fallen.account = touched.account
LEFT JOIN (
    SELECT DISTINCT d ->> 'id' AS id, v.item ->> 'account' AS account
    FROM
        jsonb_array_elements($1::jsonb) AS d,
        jsonb_array_elements(jsonb_path_query_array(d, '$.viewed[*]')) AS v (item)
) AS viewed
    ON viewed.id = coalesce(touched.id, fallen.id)
    AND viewed.account = coalesce(touched.account, fallen.account)
