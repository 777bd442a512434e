-- Valid orders, each with its ordinal among the member's valid orders where the trigger counts; of
-- orders that follow each other closely only the first, where the campaign says so.
SELECT p.member_id AS member_id, p.id AS purchase_id, {ordinal} AS ordinal
FROM purchases p JOIN members m ON m.id = p.member_id
WHERE p.status = 'paid' AND {rows}{opens}
