-- Gifts: coupon codes that the shop made, and what messages brought.

-- A row here is locked by whoever takes codes of the pool, so that nobody takes an empty-looking pool for empty.
CREATE TABLE pools (
    name TEXT PRIMARY KEY
);

CREATE TABLE coupons (
    code  TEXT PRIMARY KEY,
    pool  TEXT NOT NULL REFERENCES pools (name),
    taken BOOLEAN NOT NULL DEFAULT FALSE -- a gift holds it
);
CREATE INDEX coupons_free ON coupons (pool, code) WHERE NOT taken;

-- What one step of one occasion brought, or will bring, a member: one gift, on however many channels.
CREATE TABLE gifts (
    member_id   BIGINT NOT NULL REFERENCES members (id),
    campaign    TEXT NOT NULL,
    occasion    TEXT NOT NULL,
    step        TEXT NOT NULL,
    code        TEXT UNIQUE,
    value       TEXT,
    points      BIGINT,
    valid_until TEXT,
    reserved_at BIGINT NOT NULL, -- when its message was first dispatched
    cost        BIGINT,          -- beside the discount, once the code is used, in minor units; null where the campaign says nothing
    PRIMARY KEY (member_id, campaign, occasion, step)
);
CREATE INDEX gifts_reserved_at ON gifts (reserved_at);

-- Which orders were made with a code that we gave.
CREATE INDEX purchases_coupon_code ON purchases (coupon_code) WHERE coupon_code IS NOT NULL;
