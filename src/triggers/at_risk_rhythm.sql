-- Orders whose lag, which depends on the median gap between visits, may end in the window: by whole
-- days of the gap, then those of all gaps for which the lag is one and the same.
SELECT p.member_id AS member_id, p.id AS purchase_id, 0 AS ordinal
FROM {json $4: least_gap BIGINT, low BIGINT, high BIGINT, lag BIGINT}
JOIN purchases p ON p.gap_ms / 86400000 = r.least_gap / 86400000 AND p.purchased_at > r.low AND p.purchased_at <= r.high
WHERE p.next_at IS NULL OR p.next_at > p.purchased_at + r.lag
UNION ALL
SELECT p.member_id AS member_id, p.id AS purchase_id, 0 AS ordinal
FROM {json $5: least_gap BIGINT, most_gap BIGINT, low BIGINT, high BIGINT, lag BIGINT}
JOIN purchases p ON p.purchased_at > r.low AND p.purchased_at <= r.high
WHERE p.visits IS NOT NULL AND COALESCE(p.gap_ms, -1) BETWEEN r.least_gap AND r.most_gap
  AND (p.next_at IS NULL OR p.next_at > p.purchased_at + r.lag)
