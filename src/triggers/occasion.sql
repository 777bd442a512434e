-- Every member, or those of the zones in which the day begins.
SELECT m.id AS member_id, 0 AS purchase_id, 0 AS ordinal
FROM members m
WHERE {rows}
