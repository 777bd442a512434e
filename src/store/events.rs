//! What is heard back about messages: receipts, bounces, complaints, clicks, opt-outs. Each has the
//! key of its source, so that hearing it twice changes nothing, and it may come in any order, even
//! before the outcome of the attempt.

use metrics::counter;
use serde::Serialize;
use uuid::Uuid;

use super::ledger::hear::hear;
use super::{Result, Rows, Tx, Uuids, daily, query, statements};
use crate::domain::message::{Channel, EventKind};

statements! {
    INSERT = "INSERT INTO events (key, message_id, kind, at, channel, address, detail) \
        SELECT r.key, r.message_id, r.kind, r.at, r.channel, r.address, r.detail \
        FROM {rows $1: key TEXT, message_id UUID, kind TEXT, at BIGINT, channel TEXT, address TEXT, detail TEXT} WHERE TRUE \
        ON CONFLICT (key) DO NOTHING RETURNING key";
    // The address of the last attempt by the channel; of one that a killed process made, nobody noted it.
    ABOUT = "SELECT m.id, m.member_id, b.external_id, m.campaign, m.state, m.sent_at, COALESCE($2, m.channel) AS channel, COALESCE( \
        (SELECT a.address FROM attempts a WHERE a.message_id = m.id AND a.channel = COALESCE($2, m.channel) \
        AND a.address IS NOT NULL ORDER BY a.dispatch_no DESC LIMIT 1), \
        CASE COALESCE($2, m.channel) WHEN 'email' THEN b.email WHEN 'sms' THEN b.phone END) AS address \
        FROM messages m JOIN members b ON b.id = m.member_id WHERE m.id = $1 AND (CAST($2 AS TEXT) IS NULL OR m.channel = $2 \
        OR EXISTS (SELECT 1 FROM attempts a WHERE a.message_id = m.id AND a.channel = $2))";
    BY_REFERENCE = "SELECT message_id FROM attempts WHERE reference = $1 AND sender = $2 ORDER BY started_at DESC LIMIT 1";
    // Several names stand for a process that ended before it noted which of them it was.
    GIVEN_TO = "SELECT sender FROM (SELECT dispatch_no, sender FROM attempts WHERE message_id = $1 UNION ALL \
        SELECT dispatch_no, sender FROM pending WHERE message_id = $1 AND claim IS NOT NULL) given \
        WHERE sender IS NOT NULL ORDER BY dispatch_no";
    OF_MESSAGES = "SELECT key, message_id, kind, at, channel, address, detail FROM events WHERE message_id {in_uuid $1} ORDER BY at, key";
    COUNTS = "SELECT kind, COUNT(*) FROM events WHERE at > $1 GROUP BY kind";
    DAYS_OF_ADDRESS = "SELECT COUNT(DISTINCT at / 86400000) FROM events WHERE address = $1 AND kind = $2 AND at > $3";
}

/// A mailbox that is full or a host that is away may be well again tomorrow: an address is given up when its mail
/// came back so on as many days (UTC) of the last [`SOFT_WITHIN`] milliseconds.
const SOFT_DAYS: i64 = 5;
/// The same where the domain takes no mail: that may be a mistake of its owner's, which is mended the next day.
const NO_MAIL_DAYS: i64 = 2;
const SOFT_WITHIN: i64 = 30 * 24 * 3_600_000;

/// Something that was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Event {
    /// What its source calls it, with the source's name before it: `dsn:…`, `kavenegar:8792343:10`.
    pub key: String,
    /// The message it is about; absent where it could not be found.
    pub message_id: Option<Uuid>,
    /// One of [`EventKind`].
    pub kind: String,
    /// When it happened, in epoch milliseconds.
    pub at: i64,
    /// By which channel: a message that has taken another one by now is not moved.
    pub channel: String,
    /// About which e-mail address or number.
    pub address: Option<String>,
    /// For people: a status code, a link's address. Never words of a member.
    pub detail: Option<String>,
}

/// A message that somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct About {
    pub id: Uuid,
    pub member_id: i64,
    pub external_id: String,
    pub campaign: String,
    pub state: String,
    /// When a server took it, in epoch milliseconds.
    pub sent_at: Option<i64>,
    /// The one that was asked about; else the one that the message took last.
    pub channel: Option<String>,
    /// Where it was sent by it: not always where the member can be reached now.
    pub address: Option<String>,
}

/// Records events and moves their messages. Gives the keys of those that were not known.
pub async fn record(tx: &mut Tx, events: &[Event]) -> Result<Vec<String>> {
    // An outcome that comes meanwhile waits and sees them, and what waits for an outcome here sees that.
    daily::open(tx, events.iter().filter_map(|event| event.message_id)).await?;
    let new: Vec<(String,)> = query!(fetch_all, (String,), tx, INSERT, Rows(events))?;
    let new: Vec<String> = new.into_iter().map(|(key,)| key).collect();
    let heard = events.iter().filter(|event| new.contains(&event.key));
    for kind in heard.clone().filter_map(|event| event.kind.parse::<EventKind>().ok()) {
        counter!("rekindle_events_total", "kind" => kind.as_str()).increment(1);
    }
    hear(tx, heard.filter_map(|event| event.message_id).collect()).await?;
    Ok(new)
}

/// The message of this id, if there is one, and it took the channel, where one is named.
pub async fn about(tx: &mut Tx, message: Uuid, by: Option<Channel>) -> Result<Option<About>> {
    Ok(query!(fetch_optional, About, tx, ABOUT, message, by.map(Channel::as_str))?)
}

/// The message that a sender knows by its own reference.
pub async fn by_reference(tx: &mut Tx, sender: &str, reference: &str) -> Result<Option<Uuid>> {
    let found: Option<(Uuid,)> = query!(fetch_optional, (Uuid,), tx, BY_REFERENCE, reference, sender)?;
    Ok(found.map(|(id,)| id))
}

/// To whom a message was given, in order; several names, separated by `, `, where it was one of them.
pub async fn given_to(tx: &mut Tx, message: Uuid) -> Result<Vec<String>> {
    let found: Vec<(String,)> = query!(fetch_all, (String,), tx, GIVEN_TO, message)?;
    Ok(found.into_iter().map(|(sender,)| sender).collect())
}

/// What was heard about a message, in order.
pub async fn of_message(tx: &mut Tx, message: Uuid) -> Result<Vec<Event>> {
    of_messages(tx, vec![message]).await
}

/// What was heard about several messages, in order.
pub async fn of_messages(tx: &mut Tx, messages: Vec<Uuid>) -> Result<Vec<Event>> {
    Ok(query!(fetch_all, Event, tx, OF_MESSAGES, Uuids(messages))?)
}

/// How often each kind was heard after an instant.
pub async fn counts(tx: &mut Tx, after: i64) -> Result<Vec<(String, i64)>> {
    Ok(query!(fetch_all, (String, i64), tx, COUNTS, after)?)
}

/// Whether mail to an address came back in a way on so many days that nobody reads it any more.
pub async fn is_given_up(tx: &mut Tx, address: &str, kind: EventKind, at: i64) -> Result<bool> {
    let enough = if kind == EventKind::NoMail { NO_MAIL_DAYS } else { SOFT_DAYS };
    let (days,): (i64,) = query!(fetch_one, (i64,), tx, DAYS_OF_ADDRESS, address, kind.as_str(), at - SOFT_WITHIN)?;
    Ok(days >= enough)
}
