-- Members by the month and day of their birth, in either calendar: the exact day is computed.
SELECT m.id AS member_id, 0 AS purchase_id, 0 AS ordinal
FROM members m
WHERE m.birth_date IS NOT NULL AND {rows}
