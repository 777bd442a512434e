-- Every member, or those of the zones whose hour has come.
SELECT m.id AS member_id, 0 AS purchase_id, 0 AS ordinal
FROM members m
WHERE {rows}
