-- Valid orders, each with its ordinal among the member's valid orders where the trigger counts.
SELECT p.member_id AS member_id, p.id AS purchase_id, {ordinal} AS ordinal
FROM purchases p JOIN members m ON m.id = p.member_id
WHERE p.status = 'paid' AND {rows}
