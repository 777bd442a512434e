-- Members by the month and day on which they joined, in either calendar: the exact day is computed.
SELECT m.id AS member_id, 0 AS purchase_id, 0 AS ordinal
FROM members m
WHERE m.joined_at IS NOT NULL AND {rows}
