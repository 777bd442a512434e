-- Members by the month and day of their first valid order, in either calendar, with that order.
SELECT d.member_id AS member_id, COALESCE((
    SELECT p.id FROM purchases p WHERE p.member_id = d.member_id AND p.status = 'paid'
    ORDER BY p.purchased_at, {bytes p.order_id} LIMIT 1
  ), 0) AS purchase_id, 0 AS ordinal
FROM member_dates d JOIN members m ON m.id = d.member_id
WHERE d.name = {name} AND {rows}
