-- Orders with no later valid one of the same member for a while: the member may be slipping away.
SELECT p.member_id AS member_id, p.id AS purchase_id, 0 AS ordinal
FROM purchases p JOIN members m ON m.id = p.member_id
WHERE p.status = 'paid' AND {rows}
  AND NOT EXISTS (
    SELECT 1 FROM purchases q
    WHERE q.member_id = p.member_id AND q.status = 'paid'
      AND q.purchased_at >= p.purchased_at AND q.purchased_at <= p.purchased_at + $6
      AND (q.purchased_at > p.purchased_at OR {bytes q.order_id} > p.order_id)
  )
