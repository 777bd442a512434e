-- Members who had not bought anything a while after they joined.
SELECT m.id AS member_id, 0 AS purchase_id, 0 AS ordinal
FROM members m
WHERE {rows}
  AND NOT EXISTS (
    SELECT 1 FROM purchases q
    WHERE q.member_id = m.id AND q.status = 'paid' AND q.purchased_at <= m.joined_at + $6
  )
