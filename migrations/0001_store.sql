-- The whole store, in SQL that PostgreSQL and SQLite both read.
-- Instants are epoch milliseconds in …_at columns; local dates are ISO text; money is in minor units.

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
-- `policy` counts the changes of what policy asks about: where it stands still, so do its answers but for the time.
-- `change` numbers import batches: taking the next one locks the row until commit, so that
-- numbers become visible in order and a scan that has seen N has seen everything up to N.
INSERT INTO counters (name, value) VALUES ('member', 0), ('purchase', 0), ('change', 0), ('policy', 0);

CREATE TABLE members (
    id               BIGINT PRIMARY KEY,
    external_id      TEXT NOT NULL UNIQUE,
    email            TEXT,
    phone            TEXT,
    title            TEXT,
    first_name       TEXT,
    last_name        TEXT,
    birth_date       TEXT,
    birth_gregorian  BIGINT,  -- month × 100 + day, in each calendar
    birth_persian    BIGINT,
    joined_at        BIGINT,
    joined_gregorian BIGINT,  -- of the UTC date: an index key, exact days are computed
    joined_persian   BIGINT,
    locale           TEXT,
    timezone         TEXT,
    calendar         TEXT,
    email_consent    BOOLEAN NOT NULL DEFAULT FALSE,
    sms_consent      BOOLEAN NOT NULL DEFAULT FALSE,
    tier             TEXT,
    points           BIGINT,
    attributes       JSONB NOT NULL,
    paused_until     BIGINT,  -- no marketing before it: the member's own wish, which no import changes
    changed          BIGINT NOT NULL,
    deleted_at       BIGINT   -- erased or merged into another: the row keeps its place in the ledger and names nobody
);
CREATE INDEX members_birth_gregorian ON members (birth_gregorian);
CREATE INDEX members_birth_persian ON members (birth_persian);
CREATE INDEX members_joined_gregorian ON members (joined_gregorian);
CREATE INDEX members_joined_persian ON members (joined_persian);
CREATE INDEX members_joined_at ON members (joined_at);
CREATE INDEX members_changed ON members (changed, id);
CREATE INDEX members_email ON members (LOWER(email)); -- who shares an address counts for its frequency cap
CREATE INDEX members_phone ON members (phone);
CREATE INDEX members_timezone ON members (timezone);

-- Other names of members, from members that were merged into them.
CREATE TABLE member_aliases (
    alias     TEXT PRIMARY KEY,
    member_id BIGINT NOT NULL REFERENCES members (id)
);
CREATE INDEX member_aliases_member ON member_aliases (member_id);

-- What members and the shop said about marketing, in order; the last line of a channel is in force, and
-- stands beside the member for who asks about many.
CREATE TABLE consents (
    member_id BIGINT NOT NULL REFERENCES members (id),
    channel   TEXT NOT NULL,
    at        BIGINT NOT NULL,
    given     BOOLEAN NOT NULL,
    source    TEXT NOT NULL, -- `members file`, or where the shop says that it was said
    evidence  TEXT,          -- by what words
    PRIMARY KEY (member_id, channel, at, given, source)
);

-- Who said no. It is the person's: a new address does not change it.
CREATE TABLE objections (
    member_id BIGINT NOT NULL REFERENCES members (id),
    channel   TEXT NOT NULL,
    purpose   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    made_at   BIGINT NOT NULL,
    PRIMARY KEY (member_id, channel, purpose)
);

-- Who was erased and must not be written to: keyed hashes of their ids and addresses.
CREATE TABLE erased (
    mark      TEXT NOT NULL,
    member_id BIGINT NOT NULL REFERENCES members (id),
    PRIMARY KEY (mark, member_id)
);

-- Dates from which a member's occasions count beside birth and joining: `attributes.NAME` where its text
-- is a date, and `first_purchase`, the UTC date of the first valid order.
CREATE TABLE member_dates (
    member_id BIGINT NOT NULL REFERENCES members (id),
    name      TEXT NOT NULL,
    date      TEXT NOT NULL,
    gregorian BIGINT NOT NULL, -- month × 100 + day, in each calendar
    persian   BIGINT NOT NULL,
    PRIMARY KEY (member_id, name)
);
CREATE INDEX member_dates_gregorian ON member_dates (name, gregorian);
CREATE INDEX member_dates_persian ON member_dates (name, persian);
CREATE INDEX member_dates_date ON member_dates (name, date);

CREATE TABLE purchases (
    id           BIGINT PRIMARY KEY,
    order_id     TEXT NOT NULL UNIQUE,
    member_id    BIGINT NOT NULL REFERENCES members (id),
    purchased_at BIGINT NOT NULL,
    amount       BIGINT NOT NULL,
    currency     TEXT NOT NULL,
    status       TEXT NOT NULL,
    delivered_at BIGINT,
    items        TEXT,
    coupon_code  TEXT,
    -- The member's history up to and with this order, kept by imports; null where it is not paid.
    visits       BIGINT,  -- days with an order
    tenure_days  BIGINT,  -- from the first to the last of them
    gap_ms       BIGINT,  -- the median time between visits, from the third on
    next_at      BIGINT,  -- when the next order was made
    credited_to  UUID     -- the message that was clicked last before it, or whose code was used in it
);
-- With all that audiences ask about orders, so that they read nothing else.
CREATE INDEX purchases_member ON purchases (member_id, purchased_at, order_id, status, currency, amount);
CREATE INDEX purchases_purchased_at ON purchases (purchased_at);
CREATE INDEX purchases_credited ON purchases (credited_to) WHERE credited_to IS NOT NULL;
CREATE INDEX purchases_delivered_at ON purchases (delivered_at);
CREATE INDEX purchases_rhythm ON purchases ((gap_ms / 86400000), purchased_at);
CREATE INDEX purchases_lifetime ON purchases (visits, tenure_days, purchased_at);

-- Fitted models of all customers; the one with the greatest number is in use.
CREATE TABLE models (
    id               BIGINT PRIMARY KEY,
    fitted_at        BIGINT NOT NULL,
    until_at         BIGINT NOT NULL,  -- purchases before it were looked at
    customers        BIGINT NOT NULL,
    repeat_customers BIGINT NOT NULL,
    r                DOUBLE PRECISION NOT NULL,
    alpha            DOUBLE PRECISION NOT NULL,
    a                DOUBLE PRECISION NOT NULL,
    b                DOUBLE PRECISION NOT NULL,
    log_likelihood   DOUBLE PRECISION NOT NULL,
    currency         TEXT NOT NULL,    -- the brand's, in which spending was looked at
    spenders         BIGINT NOT NULL,  -- repeat customers with a repeat purchase in it
    p                DOUBLE PRECISION, -- null where no model of spending was found
    q                DOUBLE PRECISION,
    v                DOUBLE PRECISION  -- in minor units
);

CREATE TABLE suppressions (
    address    TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (address, purpose)
);

-- The cut points of RFM scores, as they were fitted; the newest are in use.
CREATE TABLE rfm_cuts (
    fitted_at BIGINT PRIMARY KEY,
    members   BIGINT NOT NULL,
    cuts      TEXT NOT NULL
);

-- What a configuration was: all campaign, segment, occasion, template and provider files as one document.
CREATE TABLE configurations (
    hash       TEXT PRIMARY KEY,
    document   TEXT NOT NULL,
    applied_at BIGINT NOT NULL -- for the first time
);

-- The configurations that were the store's, one after the other: each follows from the one before, the last one counts.
CREATE TABLE versions (
    version BIGINT PRIMARY KEY, -- 1, 2, 3, …
    hash    TEXT NOT NULL,      -- of its files
    author  TEXT NOT NULL,      -- `cli:` and the name of a user of the machine
    origin  TEXT NOT NULL,      -- what made it: files, proposal, revert, command
    message TEXT NOT NULL,
    made_at BIGINT NOT NULL
);

-- Changes of files that somebody may publish.
CREATE TABLE proposals (
    proposal  BIGINT PRIMARY KEY, -- 1, 2, 3, …
    base      BIGINT NOT NULL,    -- the version that was changed
    changes   TEXT NOT NULL,      -- JSON: the text of each changed file by its path; null where it goes away
    author    TEXT NOT NULL,
    message   TEXT NOT NULL,
    made_at   BIGINT NOT NULL,
    ended_at  BIGINT,             -- when it was published or withdrawn
    published BIGINT              -- the version that it made
);

-- Single facts: `configuration` (the hash of the last version; held by whoever makes the next one), `folder` (the hash of
-- the files that were applied last, as they were in their folder), `conflicts` (files that were changed there and here), `paused` (everything is silent), `token_key` (signs links),
-- `credited` (up to where orders are credited), `nightly` (when the night's work ended last), `stretches` (held by
-- whoever closes one).
CREATE TABLE controls (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO controls (name, value) VALUES ('configuration', ''), ('stretches', '');

-- What people changed, by a command or in the panel: each line in the transaction of its change. No address stands here.
CREATE TABLE audit (
    id        UUID PRIMARY KEY, -- in the order of time
    at        BIGINT NOT NULL,
    who       TEXT NOT NULL,    -- `cli:` and the name of a user of the machine
    what      TEXT NOT NULL,
    campaign  TEXT,
    member_id BIGINT,
    detail    TEXT
);
CREATE INDEX audit_member ON audit (member_id) WHERE member_id IS NOT NULL;

-- One row per campaign name that was ever applied.
CREATE TABLE campaigns (
    name           TEXT PRIMARY KEY,
    first_live_at  BIGINT,
    paused         BOOLEAN NOT NULL DEFAULT FALSE,
    approved_until BIGINT,
    scanned_to     BIGINT,                    -- the cursor: due instants up to here were inserted
    seen_change    BIGINT NOT NULL DEFAULT 0, -- and members changed up to here were looked at again
    scanning       TEXT,                      -- the scan that is inserting; nothing goes out meanwhile
    held           BOOLEAN NOT NULL DEFAULT FALSE, -- above what a day may bring, waiting for approval
    limit_a_day    BIGINT,                    -- how much that was at the last scan
    backfilled     BOOLEAN NOT NULL DEFAULT FALSE, -- the occasions from before it began are in the ledger
    experiment     TEXT,                      -- as it is applied, and how often it was another one before
    run            BIGINT NOT NULL DEFAULT 1,
    audience       TEXT,                      -- as it is applied, in full
    audience_since BIGINT,                    -- when it was applied, if there was another one before
    chosen         TEXT                       -- the variant that all get who are not held out
);

-- The runs of a campaign's experiment: one begins whenever its arms or their shares change.
CREATE TABLE runs (
    campaign   TEXT NOT NULL,
    run        BIGINT NOT NULL,
    arms       TEXT NOT NULL,   -- JSON: names and shares
    started_at BIGINT NOT NULL,
    PRIMARY KEY (campaign, run)
);

-- How many messages of a campaign fell due and went to the queue on a day that is over.
CREATE TABLE volumes (
    campaign TEXT NOT NULL,
    day      BIGINT NOT NULL, -- days since 1970, UTC
    messages BIGINT NOT NULL,
    PRIMARY KEY (campaign, day)
);

CREATE TABLE messages (
    id               UUID PRIMARY KEY,
    member_id        BIGINT NOT NULL,  -- no member is ever deleted; to ask each time would lock its row
    campaign         TEXT NOT NULL,
    occasion         TEXT NOT NULL,
    step             TEXT NOT NULL,
    slot             TEXT NOT NULL,
    purchase_id      BIGINT,
    years            BIGINT,
    priority         BIGINT NOT NULL,
    turn             BIGINT NOT NULL,  -- of step and channel, as the campaign lists them: who goes first of equals
    state            TEXT NOT NULL,
    reason           TEXT,
    channel          TEXT,
    tried            TEXT,             -- channels that failed and are not tried again, with commas
    first_due_at     BIGINT NOT NULL,
    due_at           BIGINT NOT NULL,
    day              BIGINT NOT NULL,  -- of due_at on the brand's clock, since 1970: the day that it counts for
    next_at          BIGINT NOT NULL,
    dispatch_no      BIGINT NOT NULL DEFAULT 0,
    queued_at        BIGINT,
    assigned_at      BIGINT,           -- when policy first let it through to the question of its arm
    attempts         BIGINT NOT NULL DEFAULT 0, -- that ended
    retries          BIGINT NOT NULL DEFAULT 0, -- those that failed and count
    first_failed_at  BIGINT,
    sent_at          BIGINT,
    reference        TEXT,
    detail           TEXT,
    arm              TEXT,             -- of the experiment that its campaign had when it was assigned
    run              BIGINT,           -- of that experiment
    unit             TEXT,             -- the address that it divides, where it does not divide members
    locale           TEXT,             -- in which it was rendered last
    domain           TEXT,             -- of its recipient's e-mail address, in lower case
    segments         BIGINT,           -- of an SMS, as it is charged
    price            BIGINT,           -- what that cost, in millionths of the major unit; null where `prices` say nothing
    UNIQUE (member_id, campaign, occasion, step, slot)
);
-- No index holds a column that changes, so that PostgreSQL updates rows in place.
CREATE INDEX messages_campaign_due ON messages (campaign, due_at);

-- How many messages of a day came to what. Empty texts stand for nothing, so that a row is found by all of them.
CREATE TABLE daily (
    day      BIGINT NOT NULL, -- as in messages
    campaign TEXT NOT NULL,
    step     TEXT NOT NULL,
    arm      TEXT NOT NULL,
    channel  TEXT NOT NULL,
    locale   TEXT NOT NULL,
    domain   TEXT NOT NULL,   -- of large receivers of mail; `other` for the rest
    fact     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    n        BIGINT NOT NULL,
    amount   BIGINT NOT NULL, -- what they cost, in millionths of the major unit; what orders came to, in minor units
    PRIMARY KEY (campaign, day, step, arm, channel, locale, domain, fact, reason)
);

-- The same added up from one first of a month to the next, of whichever calendar, once these days are over. What
-- changes one of them takes the row away until the next night.
CREATE TABLE stretches (
    campaign TEXT NOT NULL,
    day      BIGINT NOT NULL, -- the first one
    counts   TEXT NOT NULL,   -- JSON: each with step, arm, channel, locale, domain, fact, reason, n and amount
    PRIMARY KEY (campaign, day)
);

-- The messages that are not ended. Those whose state is `planned` stand in the order in which the dispatcher takes
-- them, and a row is the right to decide about its message. Those whose state is `queued` have a number of their
-- dispatch; without a claim they wait for a connection, with one a server may have them.
CREATE TABLE pending (
    message_id  UUID PRIMARY KEY,
    next_at     BIGINT NOT NULL,
    priority    BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    campaign    TEXT NOT NULL,
    turn        BIGINT NOT NULL,
    member      BYTEA NOT NULL,  -- the external id: of two who share an address, who goes first
    parked      BOOLEAN NOT NULL DEFAULT FALSE, -- out of the way: its campaign was held or paused when its turn came
    dispatch_no BIGINT,
    batch       UUID,            -- with which it was dispatched, as long as that may be lost with its process
    lease_until BIGINT NOT NULL DEFAULT 0,
    claim       UUID,
    sender      TEXT,
    started_at  BIGINT,
    traceable   BOOLEAN NOT NULL DEFAULT FALSE -- as in attempts
);
CREATE INDEX pending_order ON pending (next_at, priority DESC, due_at, campaign, turn, member, message_id)
    WHERE dispatch_no IS NULL AND NOT parked;
CREATE INDEX pending_parked ON pending (campaign, next_at) WHERE dispatch_no IS NULL AND parked;
CREATE INDEX pending_dispatched ON pending (message_id) WHERE dispatch_no IS NOT NULL;

-- Batches of messages that nobody else has heard of yet: that the broker has not confirmed, or that wait in the
-- memory of a process. When the lease runs out, the process is dead.
CREATE TABLE batches (
    id          UUID PRIMARY KEY,
    lease_until BIGINT NOT NULL
);

-- Attempts that ended, at most one a dispatch.
CREATE TABLE attempts (
    message_id  UUID NOT NULL,
    dispatch_no BIGINT NOT NULL,
    channel     TEXT NOT NULL,
    sender      TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    outcome     TEXT NOT NULL,
    reply       TEXT,
    address     TEXT,     -- where it went
    reference   TEXT,     -- what the server calls it
    uncertain   BOOLEAN NOT NULL DEFAULT FALSE, -- for ever, whatever happens to the message later
    traceable   BOOLEAN NOT NULL DEFAULT FALSE, -- the call carried our own reference: the provider can be asked
    PRIMARY KEY (message_id, dispatch_no)
);
CREATE INDEX attempts_uncertain ON attempts (started_at) WHERE uncertain;
CREATE INDEX attempts_reference ON attempts (reference) WHERE reference IS NOT NULL;

-- What was heard back: receipts, bounces, complaints, opens, clicks, opt-outs. The key is the source's
-- own, so that nothing is heard twice.
CREATE TABLE events (
    key        TEXT PRIMARY KEY,
    message_id UUID,
    kind       TEXT NOT NULL,
    at         BIGINT NOT NULL,
    channel    TEXT NOT NULL, -- by which the message went that it is about: it may have taken another one by now
    address    TEXT,
    detail     TEXT
);
CREATE INDEX events_message ON events (message_id, kind);
CREATE INDEX events_address ON events (address, kind, at) WHERE address IS NOT NULL;

CREATE INDEX attempts_open ON attempts (sender, started_at, message_id) WHERE reference IS NOT NULL;

-- Receipts whose message is not known yet by what its sender calls it.
CREATE TABLE receipts_waiting (
    key       TEXT PRIMARY KEY, -- of the event
    sender    TEXT NOT NULL,
    reference TEXT NOT NULL,
    heard_at  BIGINT NOT NULL
);
CREATE INDEX receipts_waiting_reference ON receipts_waiting (reference);

-- Answers to words that members sent.
CREATE TABLE answers (
    key        TEXT PRIMARY KEY, -- what it answers
    id         UUID NOT NULL,
    address    TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    text       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    taken_at   BIGINT,
    only_by    TEXT -- who may have it already, and takes it only once
);
CREATE INDEX answers_open ON answers (created_at) WHERE taken_at IS NULL;

-- What members wrote that was no known word: for 30 days, for somebody to read.
CREATE TABLE replies (
    key      TEXT PRIMARY KEY, -- of its source
    channel  TEXT NOT NULL,
    address  TEXT NOT NULL,    -- who wrote
    text     TEXT NOT NULL,
    urgent   BOOLEAN NOT NULL, -- nearly an opt-out
    at       BIGINT NOT NULL,  -- when it was written
    heard_at BIGINT NOT NULL,
    done_at  BIGINT            -- when somebody had read it
);
CREATE INDEX replies_heard ON replies (heard_at);

-- How many of a day's messages are taken, where a number a day is set: by server or recipients' domain.
CREATE TABLE paces (
    day   BIGINT NOT NULL,  -- since 1970, UTC
    name  TEXT NOT NULL,
    taken BIGINT NOT NULL,
    PRIMARY KEY (day, name)
);

-- Servers and domains that rest in some process, for `status`.
CREATE TABLE resting (
    process  TEXT NOT NULL,
    name     TEXT NOT NULL,
    state    TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    reply    TEXT NOT NULL,
    PRIMARY KEY (process, name)
);

-- Who may scan. The token grows with each new holder: a paused old one notices.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    token      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
