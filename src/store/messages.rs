//! Reading the ledger: messages, their attempts, and how many there are. What moves them is [`super::ledger`].

use serde::Serialize;
use uuid::Uuid;

use super::{Result, StoreError, Texts, Tx, Uuids, query, statements};
use crate::domain::message::{Channel, Reason, State};
use crate::domain::{Instant, instant};

/// The state of a message `m` as people see it: a queued one that a sender holds is being sent.
macro_rules! shown_state {
    () => {
        "CASE WHEN m.state = 'queued' AND EXISTS (SELECT 1 FROM pending u WHERE u.message_id = m.id \
         AND u.claim IS NOT NULL) THEN 'sending' ELSE m.state END"
    };
}

/// The columns of [`StoredMessage`], with the table alias `m` and this text for its state.
macro_rules! message_columns {
    ($state:expr) => {
        concat!(
            "m.id, m.member_id, m.campaign, m.occasion, m.step, m.slot, m.purchase_id, m.years, ",
            $state,
            " AS state, m.reason, m.channel, m.tried, m.first_due_at, m.due_at, m.next_at, m.dispatch_no, m.attempts, m.retries, \
             m.first_failed_at, m.sent_at, m.arm"
        )
    };
}
pub(super) use message_columns;

statements! {
    BY_INDEX = "SELECT {off enable_seqscan}";
    IN_QUEUE = "SELECT COUNT(*) FROM pending WHERE dispatch_no IS NOT NULL";
    COUNT_PLANNED = "SELECT COUNT(*) FROM pending WHERE dispatch_no IS NULL";
    NEXT_PLANNED = "SELECT MIN(t.next_at) FROM (SELECT MIN(p.next_at) AS next_at FROM pending p WHERE p.dispatch_no IS NULL AND NOT p.parked \
        AND p.next_at < $1 AND p.due_at < $2 AND NOT (p.campaign {in $3}) AND NOT EXISTS (SELECT 1 FROM campaigns c \
        WHERE c.name = p.campaign AND (c.paused OR c.held OR c.scanning IS NOT NULL)) \
        UNION ALL SELECT MIN(p.next_at) FROM campaigns c JOIN pending p ON p.campaign = c.name WHERE p.dispatch_no IS NULL AND p.parked \
        AND p.next_at < $1 AND p.due_at < $2 AND NOT (c.name {in $3}) \
        AND NOT c.paused AND NOT c.held AND c.scanning IS NULL) t";
    LIST = concat!("SELECT m.id, e.external_id, m.campaign, m.step, m.occasion, m.channel, ", shown_state!(), " AS state, m.reason, \
        m.due_at, m.next_at, m.attempts, m.sent_at, m.detail, m.arm, m.run, m.assigned_at FROM messages m JOIN members e ON e.id = m.member_id \
        WHERE (CAST($1 AS TEXT) IS NULL OR m.campaign = $1) AND (CAST($2 AS TEXT) IS NULL OR e.external_id = $2) \
        AND (CAST($3 AS TEXT) IS NULL OR ", shown_state!(), " = $3) AND (m.due_at, m.id) > ($4, $5) \
        ORDER BY m.due_at, m.id LIMIT $6");
    OF_MEMBER = concat!("SELECT ", message_columns!(shown_state!()), " FROM messages m WHERE m.member_id = $1 \
        ORDER BY m.due_at, m.campaign, m.step, m.slot");
    COUNTS = concat!("SELECT m.campaign, COALESCE(m.channel, '') AS channel, ", shown_state!(), " AS state, \
        COALESCE(m.reason, '') AS reason, COUNT(*) AS messages FROM messages m GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4");
    KNOWN = "SELECT m.member_id, m.occasion, m.step, m.slot, m.state, m.reason, m.due_at FROM messages m \
        WHERE m.campaign = $1 AND m.member_id {in $2}";
    WAITING = concat!("SELECT ", message_columns!("m.state"), ", m.priority, m.turn FROM messages m \
        WHERE m.campaign = $1 AND m.due_at >= $2 AND m.due_at < $3 AND m.state = 'planned' ORDER BY m.due_at, m.id");
    // What came back, and SMS that nobody has confirmed for too long.
    FAILED_AFTER_ALL = concat!("SELECT ", message_columns!("m.state"), " FROM messages m WHERE m.campaign = $1 AND m.due_at > $2 \
        AND (m.state = 'bounced' OR (m.state = 'sent' AND m.channel = 'sms' AND m.sent_at <= $3)) \
        AND NOT (',' || COALESCE(m.tried, '') || ',' LIKE '%,' || m.channel || ',%') ORDER BY m.due_at, m.id LIMIT $4 {skip_locked m}");
    EXISTING = "SELECT id FROM messages WHERE id {in_uuid $1}";
    UNCERTAIN = "SELECT m.id, m.campaign, COALESCE(m.channel, '') AS channel, a.started_at FROM attempts a JOIN messages m ON m.id = a.message_id \
        WHERE a.uncertain ORDER BY a.started_at DESC LIMIT $1";
    COUNT_UNCERTAIN = "SELECT COUNT(*) FROM attempts WHERE uncertain";
}

/// A message to insert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewMessage {
    pub id: Uuid,
    pub member_id: i64,
    pub campaign: String,
    pub occasion: String,
    pub step: String,
    pub slot: &'static str,
    pub purchase_id: Option<i64>,
    pub years: Option<i64>,
    pub priority: i64,
    /// Of equals, the lower one goes first: the earlier step, then the channel that is listed first.
    pub turn: i64,
    /// Planned, or skipped at once when the member is outside the audience.
    pub state: State,
    pub reason: Option<Reason>,
    pub first_due_at: i64,
    pub due_at: i64,
    pub next_at: i64,
    /// The date of `due_at` on the brand's clock, in days since 1970: the day that it counts for.
    pub day: i64,
}

/// A message as it stands in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: Uuid,
    pub member_id: i64,
    pub campaign: String,
    pub occasion: String,
    pub step: String,
    pub slot: String,
    pub purchase_id: Option<i64>,
    pub years: Option<i64>,
    pub state: State,
    pub reason: Option<Reason>,
    pub channel: Option<Channel>,
    /// Channels that failed, where the campaign falls back.
    pub tried: Vec<Channel>,
    pub first_due_at: Instant,
    pub due_at: Instant,
    pub next_at: Instant,
    pub dispatch_no: i64,
    pub attempts: i64,
    pub retries: i64,
    pub first_failed_at: Option<Instant>,
    pub sent_at: Option<Instant>,
    /// Of the experiment that its campaign had when it was assigned; it stays.
    pub arm: Option<String>,
}

impl From<NewMessage> for Message {
    /// The row as it will be read once it is inserted.
    fn from(new: NewMessage) -> Self {
        Self {
            id: new.id,
            member_id: new.member_id,
            campaign: new.campaign,
            occasion: new.occasion,
            step: new.step,
            slot: new.slot.to_owned(),
            purchase_id: new.purchase_id,
            years: new.years,
            state: new.state,
            reason: new.reason,
            channel: None,
            tried: Vec::new(),
            first_due_at: instant(new.first_due_at),
            due_at: instant(new.due_at),
            next_at: instant(new.next_at),
            dispatch_no: 0,
            attempts: 0,
            retries: 0,
            first_failed_at: None,
            sent_at: None,
            arm: None,
        }
    }
}

/// A line of `messages`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Listed {
    pub id: Uuid,
    #[sqlx(rename = "external_id")]
    pub member: String,
    pub campaign: String,
    pub step: String,
    pub occasion: String,
    pub channel: Option<String>,
    pub state: String,
    pub reason: Option<String>,
    pub due_at: i64,
    pub next_at: i64,
    pub attempts: i64,
    pub sent_at: Option<i64>,
    pub detail: Option<String>,
    /// Of the experiment, and since when it is known; absent before that question, and without an experiment.
    pub arm: Option<String>,
    pub run: Option<i64>,
    pub assigned_at: Option<i64>,
}

/// What `messages` asks for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub campaign: Option<String>,
    pub member: Option<String>,
    pub state: Option<State>,
}

/// How many messages are between dispatch and outcome.
pub async fn in_queue(tx: &mut Tx) -> Result<i64> {
    // The planner knows nothing of how many they are.
    query!(fetch_one, (String,), tx, BY_INDEX)?;
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, IN_QUEUE)?;
    Ok(count)
}

/// How many messages wait for their time, for a retry, or for a campaign that is held.
pub async fn planned(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT_PLANNED)?;
    Ok(count)
}

/// The earliest `next_at` before `until` of planned messages due before `due_before`.
pub async fn next_planned(
    tx: &mut Tx,
    until: Instant,
    due_before: Instant,
    silent: &[String],
) -> Result<Option<Instant>> {
    let (until, due) = (until.timestamp_millis(), due_before.timestamp_millis());
    let (at,): (Option<i64>,) =
        query!(fetch_one, (Option<i64>,), tx, NEXT_PLANNED, until, due, Texts(silent.to_vec()))?;
    Ok(at.map(instant))
}

/// Up to `limit` messages after (due_at, id), in order.
pub async fn list(tx: &mut Tx, filter: &Filter, after: (i64, Uuid), limit: i64) -> Result<Vec<Listed>> {
    let state = filter.state.map(State::as_str);
    let (campaign, member) = (filter.campaign.as_deref(), filter.member.as_deref());
    Ok(query!(fetch_all, Listed, tx, LIST, campaign, member, state, after.0, after.1, limit)?)
}

/// Every message of a member.
pub async fn of_member(tx: &mut Tx, member: i64) -> Result<Vec<Message>> {
    let rows = query!(fetch_all, StoredMessage, tx, OF_MEMBER, member)?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// Which of some ids are messages.
pub async fn existing(tx: &mut Tx, ids: Vec<Uuid>) -> Result<Vec<Uuid>> {
    Ok(query!(fetch_all, (Uuid,), tx, EXISTING, Uuids(ids))?.into_iter().map(|(id,)| id).collect())
}

/// How many messages of a campaign stand the same way; a channel or reason that is not set is empty.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Count {
    pub campaign: String,
    pub channel: String,
    pub state: String,
    pub reason: String,
    pub messages: i64,
}

/// Counts by campaign, channel, state and reason.
pub async fn counts(tx: &mut Tx) -> Result<Vec<Count>> {
    Ok(query!(fetch_all, Count, tx, COUNTS)?)
}

/// A message that exists.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    pub member_id: i64,
    pub occasion: String,
    pub step: String,
    pub slot: String,
    pub state: String,
    pub reason: Option<String>,
    pub due_at: i64,
}

/// The messages of a campaign that exist for some members.
pub async fn known(tx: &mut Tx, campaign: &str, members: Vec<i64>) -> Result<Vec<Known>> {
    Ok(query!(fetch_all, Known, tx, KNOWN, campaign, super::Ids(members))?)
}

/// A campaign's messages due in [from, to) that wait to be decided about, each with its priority and turn.
pub async fn waiting(tx: &mut Tx, campaign: &str, from: Instant, to: Instant) -> Result<Vec<(Message, i64, i64)>> {
    let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
    let rows = query!(fetch_all, Waiting, tx, WAITING, campaign, from, to)?;
    rows.into_iter().map(|row| Ok((row.message.into_message()?, row.priority, row.turn))).collect()
}

#[derive(Debug, sqlx::FromRow)]
struct Waiting {
    #[sqlx(flatten)]
    message: StoredMessage,
    priority: i64,
    turn: i64,
}

/// Messages of a campaign due after an instant that came back, or are SMS sent by `sent_before` and not
/// confirmed since; not those whose channel is known to have failed.
pub async fn failed_after_all(
    tx: &mut Tx,
    campaign: &str,
    due_after: Instant,
    sent_before: Instant,
    limit: i64,
) -> Result<Vec<Message>> {
    let (due, sent) = (due_after.timestamp_millis(), sent_before.timestamp_millis());
    let rows = query!(fetch_all, StoredMessage, tx, FAILED_AFTER_ALL, campaign, due, sent, limit)?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// An attempt whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UncertainAttempt {
    #[sqlx(rename = "id")]
    pub message: Uuid,
    pub campaign: String,
    /// Empty where none is set.
    pub channel: String,
    pub started_at: i64,
}

/// How many attempts ever ended uncertain, and the latest of them.
pub async fn uncertain(tx: &mut Tx, limit: i64) -> Result<(i64, Vec<UncertainAttempt>)> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT_UNCERTAIN)?;
    Ok((count, query!(fetch_all, UncertainAttempt, tx, UNCERTAIN, limit)?))
}

/// A row of the table, as read.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct StoredMessage {
    id: Uuid,
    member_id: i64,
    campaign: String,
    occasion: String,
    step: String,
    slot: String,
    purchase_id: Option<i64>,
    years: Option<i64>,
    state: String,
    reason: Option<String>,
    channel: Option<String>,
    tried: Option<String>,
    first_due_at: i64,
    due_at: i64,
    next_at: i64,
    dispatch_no: i64,
    attempts: i64,
    retries: i64,
    first_failed_at: Option<i64>,
    sent_at: Option<i64>,
    arm: Option<String>,
}

impl StoredMessage {
    pub(super) const fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn into_message(self) -> Result<Message> {
        fn word<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T> {
            text.parse().map_err(|_| StoreError::Unknown { table: "messages", column, value: text.to_owned() })
        }
        Ok(Message {
            id: self.id,
            member_id: self.member_id,
            campaign: self.campaign,
            occasion: self.occasion,
            step: self.step,
            slot: self.slot,
            purchase_id: self.purchase_id,
            years: self.years,
            state: word("state", &self.state)?,
            reason: self.reason.map(|text| word("reason", &text)).transpose()?,
            channel: self.channel.map(|text| word("channel", &text)).transpose()?,
            tried: self
                .tried
                .map_or(Ok(Vec::new()), |tried| tried.split(',').map(|text| word("tried", text)).collect())?,
            first_due_at: instant(self.first_due_at),
            due_at: instant(self.due_at),
            next_at: instant(self.next_at),
            dispatch_no: self.dispatch_no,
            attempts: self.attempts,
            retries: self.retries,
            first_failed_at: self.first_failed_at.map(instant),
            sent_at: self.sent_at.map(instant),
            arm: self.arm,
        })
    }
}
