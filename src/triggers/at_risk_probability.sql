-- Orders whose lag, which depends on the number of visits and the days between the first and the last,
-- ends in the window.
SELECT p.member_id AS member_id, p.id AS purchase_id, 0 AS ordinal
FROM {json $4: visits BIGINT, tenure_days BIGINT, low BIGINT, high BIGINT, lag BIGINT}
JOIN purchases p ON p.visits = r.visits AND p.tenure_days = r.tenure_days
  AND p.purchased_at > r.low AND p.purchased_at <= r.high
WHERE p.next_at IS NULL OR p.next_at > p.purchased_at + r.lag
