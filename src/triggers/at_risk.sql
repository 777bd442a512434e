-- Orders with no later valid one of the same member for a while: the member may be slipping away.
SELECT p.member_id AS member_id, p.id AS purchase_id, 0 AS ordinal
FROM purchases p JOIN members m ON m.id = p.member_id
WHERE p.visits IS NOT NULL AND {rows} AND (p.next_at IS NULL OR p.next_at > p.purchased_at + $6)
