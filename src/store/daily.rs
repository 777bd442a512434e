//! How many messages of a day came to what, kept up in the transactions that change them, so that a report costs what it
//! shows and not what was ever sent.
//!
//! What a message counts for follows from its row, its events and its attempts: `OF_MESSAGES` and `OF_DAYS` say how,
//! and there is no other definition. A transaction that changes messages opens them first, which takes off what
//! they count for; its commit adds what they count for then. Where both are plain, for the many that are new or end as
//! sent, `begin` and `shift` say it without a look. All of that is written at the commit, in one order and after everything
//! else, so that whoever holds a row of it waits for the disk alone, or where days are over for whoever closes them
//! ([`super::stretches`]), who waits for nobody that holds one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use serde::Serialize;
use uuid::Uuid;

use super::{Dialect, Result, Rows, Tx, Uuids, query, statements};
use crate::domain::message::{Fact, Reason, State};
use crate::domain::receiver;
use crate::store::messages::NewMessage;

/// The counts of messages: one by state, one for each thing that was heard of a channel, one for each channel that failed
/// after its server had taken the message, and one for each valid order that is credited to it.
macro_rules! counted {
    ($messages:literal) => {
        concat!(
            "SELECT day, campaign, step, arm, channel, locale, domain, fact, reason, COUNT(*) AS n, \
            CAST(SUM(amount) AS BIGINT) AS amount FROM (\
            SELECT m.day, m.campaign, m.step, \
            CASE WHEN m.state IN ('planned', 'queued') THEN '' ELSE COALESCE(m.arm, '') END AS arm, \
            CASE WHEN m.state IN ('planned', 'queued') THEN '' ELSE COALESCE(m.channel, '') END AS channel, \
            CASE WHEN m.state IN ('planned', 'queued') THEN '' ELSE COALESCE(m.locale, '') END AS locale, \
            CASE WHEN m.state NOT IN ('planned', 'queued') AND m.channel = 'email' THEN COALESCE(m.domain, '') ELSE '' END AS domain, \
            CASE WHEN m.state IN ('planned', 'queued') THEN 'waiting' WHEN m.state = 'uncertain' THEN 'uncertain' \
            WHEN m.state IN ('sent', 'delivered', 'bounced', 'complained') THEN 'sent' ELSE 'not_sent' END AS fact, \
            CASE WHEN m.state IN ('skipped', 'held_out', 'cancelled', 'failed') THEN COALESCE(m.reason, '') ELSE '' END AS reason, \
            CASE WHEN m.state IN ('sent', 'delivered', 'bounced', 'complained') THEN COALESCE(m.price, 0) ELSE 0 END AS amount \
            FROM messages m WHERE ", $messages,
            " UNION ALL SELECT h.day, h.campaign, h.step, h.arm, h.channel, h.locale, h.domain, h.fact, '', 0 FROM (\
            SELECT DISTINCT m.id, m.day, m.campaign, m.step, COALESCE(m.arm, '') AS arm, e.channel, COALESCE(m.locale, '') AS locale, \
            CASE WHEN e.channel = 'email' THEN COALESCE(m.domain, '') ELSE '' END AS domain, \
            CASE WHEN e.kind IN ('undelivered', 'bounced', 'soft_bounced', 'no_mail', 'blocked') THEN 'bounced' \
            WHEN e.kind IN ('unsubscribed', 'opted_out') THEN 'unsubscribed' ELSE e.kind END AS fact \
            FROM messages m JOIN events e ON e.message_id = m.id WHERE ", $messages,
            " AND e.kind NOT IN ('opted_in', 'replied')) h \
            UNION ALL SELECT f.day, f.campaign, f.step, f.arm, f.channel, f.locale, f.domain, 'fell_back', '', 0 FROM (\
            SELECT DISTINCT m.id, m.day, m.campaign, m.step, COALESCE(m.arm, '') AS arm, a.channel, COALESCE(m.locale, '') AS locale, \
            CASE WHEN a.channel = 'email' THEN COALESCE(m.domain, '') ELSE '' END AS domain \
            FROM messages m JOIN attempts a ON a.message_id = m.id AND a.outcome = 'sent' WHERE ", $messages,
            " AND m.tried LIKE '%' || a.channel || '%') f \
            UNION ALL SELECT m.day, m.campaign, m.step, COALESCE(m.arm, ''), COALESCE(m.channel, ''), COALESCE(m.locale, ''), \
            CASE WHEN m.channel = 'email' THEN COALESCE(m.domain, '') ELSE '' END, 'bought', '', p.amount \
            FROM messages m JOIN purchases p ON p.credited_to = m.id AND p.status = 'paid' WHERE ", $messages,
            " UNION ALL SELECT m.day, m.campaign, m.step, COALESCE(m.arm, ''), COALESCE(m.channel, ''), COALESCE(m.locale, ''), \
            CASE WHEN m.channel = 'email' THEN COALESCE(m.domain, '') ELSE '' END, 'code_used', '', COALESCE(g.cost, 0) \
            FROM messages m JOIN purchases p ON p.credited_to = m.id AND p.status = 'paid' \
            JOIN gifts g ON g.code = p.coupon_code AND g.member_id = m.member_id AND g.campaign = m.campaign \
            AND g.occasion = m.occasion AND g.step = m.step WHERE ", $messages,
            ") counted \
            GROUP BY day, campaign, step, arm, channel, locale, domain, fact, reason"
        )
    };
}

statements! {
    OF_MESSAGES = counted!("m.id {in_uuid $1}");
    OF_DAYS = counted!("m.campaign = $1 AND m.due_at >= $2 AND m.due_at < $3 AND m.day >= $4 AND m.day < $5");
    HOLD = "SELECT id FROM messages WHERE id {in_uuid $1} ORDER BY id {lock}";
    ADD = "INSERT INTO daily (day, campaign, step, arm, channel, locale, domain, fact, reason, n, amount) \
        SELECT r.day, r.campaign, r.step, r.arm, r.channel, r.locale, r.domain, r.fact, r.reason, r.n, r.amount \
        FROM {rows $1: day BIGINT, campaign TEXT, step TEXT, arm TEXT, channel TEXT, locale TEXT, domain TEXT, fact TEXT, \
        reason TEXT, n BIGINT, amount BIGINT} WHERE TRUE \
        ON CONFLICT (campaign, day, step, arm, channel, locale, domain, fact, reason) \
        DO UPDATE SET n = daily.n + excluded.n, amount = daily.amount + excluded.amount \
        RETURNING daily.day < {now} / 86400000 - $2";
    STORED = "SELECT d.day, d.campaign, d.step, d.arm, d.channel, d.locale, d.domain, d.fact, d.reason, d.n, d.amount FROM daily d \
        WHERE d.campaign = $1 AND d.day >= $2 AND d.day < $3";
    // From one entry of the index to the next different one: planners read all of them.
    CAMPAIGNS = "WITH RECURSIVE counted (name) AS (SELECT MIN(d.campaign) FROM daily d UNION ALL \
        SELECT (SELECT MIN(d.campaign) FROM daily d WHERE d.campaign > c.name) FROM counted c WHERE c.name IS NOT NULL) \
        SELECT name FROM campaigns UNION SELECT name FROM counted WHERE name IS NOT NULL ORDER BY name";
    FIRST_DUE = "SELECT MIN(due_at), MAX(due_at) FROM messages WHERE campaign = $1";
}

/// Days are added up ([`super::stretches`]) when they are over for so many days everywhere: messages of younger ones move
/// all the time.
pub(super) const QUIET: i64 = 2;

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::FromRow)]
pub struct Key {
    /// Of the due instant on the brand's clock, in days since 1970.
    pub day: i64,
    pub campaign: String,
    pub step: String,
    /// Empty like the ones below where there is none, or it is not known yet.
    pub arm: String,
    pub channel: String,
    pub locale: String,
    /// Of the mail's recipient, as [`receiver`] puts them together.
    pub domain: String,
    /// A [`Fact`].
    pub fact: String,
    /// Why it was not sent.
    pub reason: String,
}

/// So many messages or orders, and an amount where the [`Fact`] has one: what sent messages cost, in millionths of the
/// major unit; what orders came to and their gifts cost, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Count {
    pub n: i64,
    pub amount: i64,
}

/// Counts of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Row {
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub key: Key,
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub count: Count,
}

/// A message as an update gives it back, with what it is counted by.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Counted {
    pub id: Uuid,
    pub state: String,
    reason: Option<String>,
    price: Option<i64>,
    /// The first parts of its [`Key`], each with [`END`] behind it: one text for all, since every message that is sent
    /// comes by here.
    place: String,
}

/// Behind each part of a key that is one text. No part has it: names are words, and a domain or language has no control.
const END: char = '\u{1f}';

/// The columns of [`Counted`].
macro_rules! counted_columns {
    () => {
        "messages.id, messages.state, messages.reason, messages.price, \
         messages.day || '\u{1f}' || messages.campaign || '\u{1f}' || messages.step || '\u{1f}' || COALESCE(messages.arm, '') || '\u{1f}' \
         || COALESCE(messages.channel, '') || '\u{1f}' || COALESCE(messages.locale, '') || '\u{1f}' \
         || CASE WHEN messages.channel = 'email' THEN COALESCE(messages.domain, '') ELSE '' END || '\u{1f}' AS place"
    };
}
pub(super) use counted_columns;

/// What a transaction has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// By keys as one text.
    counts: HashMap<String, Count>,
    open: BTreeSet<Uuid>,
    /// Where a key is put together.
    key: String,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.open.is_empty()
    }

    /// Adds to the count of a place, for a fact and a reason.
    fn add(&mut self, place: &str, fact: &str, reason: &str, n: i64, amount: i64) {
        self.key.clear();
        self.key.push_str(place);
        self.key.push_str(fact);
        self.key.push(END);
        self.key.push_str(reason);
        // Most counts are there already: only a new one takes the text.
        match self.counts.get_mut(self.key.as_str()) {
            Some(count) => *count = Count { n: count.n + n, amount: count.amount + amount },
            None => drop(self.counts.insert(self.key.clone(), Count { n, amount })),
        }
    }

    fn add_key(&mut self, key: &Key, count: Count, sign: i64) {
        let Key { day, campaign, step, arm, channel, locale, domain, fact, reason } = key;
        let day = day.to_string();
        let parts = [&day, campaign, step, arm, channel, locale, domain];
        let place: String = parts.into_iter().flat_map(|part| [part.as_str(), "\u{1f}"]).collect();
        self.add(&place, fact, reason, sign * count.n, sign * count.amount);
    }

    /// What differs from before, in the order of the keys.
    fn take(&mut self) -> Vec<Row> {
        let mut rows: BTreeMap<Key, Count> = BTreeMap::new();
        for (text, count) in self.counts.drain() {
            let mut parts = text.split(END);
            let mut part = || parts.next().unwrap_or_default().to_owned();
            let key = Key {
                day: part().parse().unwrap_or_default(),
                campaign: part(),
                step: part(),
                arm: part(),
                channel: part(),
                locale: part(),
                domain: receiver::of(&part()).to_owned(),
                fact: part(),
                reason: part(),
            };
            let row = rows.entry(key).or_default();
            *row = Count { n: row.n + count.n, amount: row.amount + count.amount };
        }
        let changed = rows.into_iter().filter(|(_, count)| *count != Count::default());
        changed.map(|(key, count)| Row { key, count }).collect()
    }
}

/// Before messages are changed, or something is heard of them: they are held, and what they count for is taken off.
pub(super) async fn open(tx: &mut Tx, messages: impl IntoIterator<Item = Uuid>) -> Result<()> {
    let new: Vec<Uuid> = messages.into_iter().filter(|id| tx.daily.open.insert(*id)).collect();
    if new.is_empty() {
        return Ok(());
    }
    // On SQLite nobody else writes anyway.
    if tx.dialect() == Dialect::Postgres {
        query!(fetch_all, (Uuid,), tx, HOLD, Uuids(new.clone()))?;
    }
    add_messages(tx, new, -1).await
}

async fn add_messages(tx: &mut Tx, messages: Vec<Uuid>, sign: i64) -> Result<()> {
    for Row { key, count } in query!(fetch_all, Row, tx, OF_MESSAGES, Uuids(messages))? {
        tx.daily.add_key(&key, count, sign);
    }
    Ok(())
}

/// What a message counted for before it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Waiting,
    Uncertain,
    OutsideAudience,
}

/// Messages are new.
pub(super) fn begin<'a>(tx: &mut Tx, messages: impl Iterator<Item = &'a NewMessage>) {
    let mut place = String::new();
    for message in messages {
        place.clear();
        // Nothing else is known of them yet.
        let NewMessage { day, campaign, step, .. } = message;
        let _ = write!(place, "{day}{END}{campaign}{END}{step}{END}{END}{END}{END}{END}");
        match message.state {
            State::Planned => tx.daily.add(&place, Fact::Waiting.as_str(), "", 1, 0),
            _ => tx.daily.add(&place, Fact::NotSent.as_str(), message.reason.map_or("", Reason::as_str), 1, 0),
        }
    }
}

/// A message was changed of which it is known what it counted for, and of which nothing was heard by another arm,
/// language or domain.
pub(super) fn shift(tx: &mut Tx, message: &Counted, before: Before) {
    if tx.daily.open.contains(&message.id) {
        return;
    }
    let Counted { state, reason, price, place, .. } = message;
    let waiting = |changes: &mut Changes, n| {
        // Day, campaign and step.
        let known = place.match_indices(END).nth(2).map_or(place.len(), |(at, end)| at + end.len());
        let unknown = "\u{1f}\u{1f}\u{1f}\u{1f}";
        let place = [&place[..known], unknown].concat();
        changes.add(&place, Fact::Waiting.as_str(), "", n, 0);
    };
    let changes = &mut tx.daily;
    match before {
        Before::Waiting => waiting(changes, -1),
        Before::Uncertain => changes.add(place, Fact::Uncertain.as_str(), "", -1, 0),
        Before::OutsideAudience => {
            changes.add(place, Fact::NotSent.as_str(), Reason::OutsideAudience.as_str(), -1, 0);
        }
    }
    // The same as `OF_MESSAGES` has it.
    match state.parse() {
        Ok(State::Planned | State::Queued) => waiting(changes, 1),
        Ok(State::Uncertain) => changes.add(place, Fact::Uncertain.as_str(), "", 1, 0),
        Ok(State::Sent | State::Delivered | State::Bounced | State::Complained) => {
            changes.add(place, Fact::Sent.as_str(), "", 1, price.unwrap_or_default());
        }
        _ => changes.add(place, Fact::NotSent.as_str(), reason.as_deref().unwrap_or_default(), 1, 0),
    }
}

/// What the transaction has changed, to be written as its last but one.
pub(super) async fn changed(tx: &mut Tx) -> Result<Vec<Row>> {
    let open = std::mem::take(&mut tx.daily.open);
    if !open.is_empty() {
        add_messages(tx, open.into_iter().collect(), 1).await?;
    }
    Ok(tx.daily.take())
}

/// Writes it. Gives whether some of these days are over by the database's clock, for one day more than [`QUIET`] leaves.
pub(super) async fn add(tx: &mut Tx, changed: &[Row]) -> Result<bool> {
    Ok(query!(fetch_all, (bool,), tx, ADD, Rows(changed), QUIET - 1)?.contains(&(true,)))
}

/// What is counted of a campaign, by its days from one up to another.
pub async fn stored(tx: &mut Tx, campaign: &str, (from, to): (i64, i64)) -> Result<Vec<Row>> {
    Ok(query!(fetch_all, Row, tx, STORED, campaign, from, to)?)
}

/// A day on which a count is not what the messages say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differs {
    #[serde(flatten)]
    pub key: Key,
    pub counted: Count,
    pub found: Count,
}

/// Counts the messages of a campaign anew, by their days from one up to another, in a transaction of one snapshot. Gives
/// what differs.
pub async fn compare(tx: &mut Tx, campaign: &str, (from, to): (i64, i64)) -> Result<Vec<Differs>> {
    // No clock is further from UTC than this.
    const ZONE: i64 = 15 * 3_600_000;
    let (after, until) = (from * DAY - ZONE, to * DAY + ZONE);
    let mut all: HashMap<Key, [Count; 2]> = HashMap::new();
    for Row { key, count } in stored(tx, campaign, (from, to)).await? {
        all.entry(key).or_default()[0] = count;
    }
    for Row { key, count } in query!(fetch_all, Row, tx, OF_DAYS, campaign, after, until, from, to)? {
        let key = Key { domain: receiver::of(&key.domain).to_owned(), ..key };
        let found = &mut all.entry(key).or_default()[1];
        *found = Count { n: found.n + count.n, amount: found.amount + count.amount };
    }
    let differ = all.into_iter().filter(|(_, [counted, found])| counted != found);
    let mut differ: Vec<Differs> = differ.map(|(key, [counted, found])| Differs { key, counted, found }).collect();
    differ.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(differ)
}

/// Mends what differs. What has been counted since it was compared stays.
pub fn mend(tx: &mut Tx, differs: &[Differs]) {
    for Differs { key, counted, found } in differs {
        tx.daily.add_key(key, *found, 1);
        tx.daily.add_key(key, *counted, -1);
    }
}

/// The days on which messages of a campaign were due, the first and the last one, by UTC.
pub async fn span(tx: &mut Tx, campaign: &str) -> Result<Option<(i64, i64)>> {
    let (first, last): (Option<i64>, Option<i64>) =
        query!(fetch_one, (Option<i64>, Option<i64>), tx, FIRST_DUE, campaign)?;
    Ok(first.zip(last).map(|(first, last)| (first.div_euclid(DAY), last.div_euclid(DAY))))
}

/// The campaigns that were ever applied, or of which something is counted.
pub async fn campaigns(tx: &mut Tx) -> Result<Vec<String>> {
    Ok(query!(fetch_all, (String,), tx, CAMPAIGNS)?.into_iter().map(|(name,)| name).collect())
}

/// In milliseconds.
const DAY: i64 = 86_400_000;
