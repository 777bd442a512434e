-- What was heard lately, for `status`.
CREATE INDEX events_at ON events (at);
