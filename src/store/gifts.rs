//! Gifts: pools of coupon codes, and what messages bring. A gift is reserved in the transaction that queues its
//! message, belongs to that step of that occasion for ever, and goes back only if nobody can have seen it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use super::messages::Message;
use super::subject::Subject;
use super::{Dialect, Ids, Result, Rows, Texts, Tx, Uuids, execute, query, statements};
use crate::domain::Instant;
use crate::domain::campaign::{Campaign, Reach, Step};
use crate::domain::gift::Gift;

/// Joins a gift `g` with the messages of its step `m`.
macro_rules! its_messages {
    () => {
        "m.member_id = g.member_id AND m.campaign = g.campaign AND m.occasion = g.occasion AND m.step = g.step"
    };
}

statements! {
    OF_MEMBERS = "SELECT member_id, campaign, occasion, step, code, value, points, valid_until FROM gifts \
        WHERE member_id {in $1} AND campaign {in $2}";
    HOLD_OF_MEMBERS = "SELECT member_id FROM gifts WHERE member_id {in $1} AND campaign {in $2} \
        ORDER BY member_id, campaign, occasion, step {lock}";
    LOCK_POOLS = "SELECT name FROM pools WHERE name {in $1} ORDER BY name {lock}";
    LOCK_ALL_POOLS = "SELECT name FROM pools ORDER BY name {lock}";
    DRAW = "SELECT code FROM coupons WHERE pool = $1 AND NOT taken ORDER BY code LIMIT $2";
    COUNT_FREE = "SELECT pool, COUNT(*) FROM coupons WHERE pool {in $1} AND NOT taken GROUP BY pool";
    TAKE = "UPDATE coupons SET taken = TRUE WHERE code {in $1}";
    RESERVE = "INSERT INTO gifts (member_id, campaign, occasion, step, code, value, points, valid_until, cost, reserved_at) \
        SELECT r.member_id, r.campaign, r.occasion, r.step, r.code, r.value, r.points, r.valid_until, r.cost, $2 \
        FROM {rows $1: member_id BIGINT, campaign TEXT, occasion TEXT, step TEXT, code TEXT, value TEXT, points BIGINT, \
        valid_until TEXT, cost BIGINT}";
    // Of two messages of a step that end at once, the second must see that the first has.
    HOLD = "SELECT g.member_id FROM gifts g WHERE (g.member_id, g.campaign, g.occasion, g.step) IN \
        (SELECT e.member_id, e.campaign, e.occasion, e.step FROM messages e WHERE e.id {in_uuid $1}) \
        ORDER BY g.member_id, g.campaign, g.occasion, g.step {lock}";
    // Where any message of the step went out, or may have, the member may know the code.
    RELEASE = "DELETE FROM gifts WHERE (member_id, campaign, occasion, step) IN \
        (SELECT e.member_id, e.campaign, e.occasion, e.step FROM messages e WHERE e.id {in_uuid $1} AND NOT EXISTS \
        (SELECT 1 FROM messages m WHERE m.member_id = e.member_id AND m.campaign = e.campaign AND m.occasion = e.occasion \
        AND m.step = e.step AND (m.state NOT IN ('skipped', 'held_out', 'cancelled', 'failed') OR EXISTS (SELECT 1 \
        FROM attempts a WHERE a.message_id = m.id AND (a.uncertain OR a.outcome IN ('sent', 'lost')))))) RETURNING code";
    PUT_BACK = "UPDATE coupons SET taken = FALSE WHERE code {in $1}";
    ADD_POOLS = "INSERT INTO pools (name) SELECT r.pool FROM {rows $1: pool TEXT} WHERE TRUE ON CONFLICT (name) DO NOTHING";
    // A code that was forgotten and is somebody's all the same is not free again.
    ADD = "INSERT INTO coupons (code, pool, taken) SELECT r.code, r.pool, EXISTS (SELECT 1 FROM gifts g WHERE g.code = r.code) \
        FROM {rows $1: code TEXT, pool TEXT} WHERE TRUE ON CONFLICT (code) DO NOTHING";
    POOLS_OF = "SELECT code, pool FROM coupons WHERE code {in $1}";
    FORGET_FREE = "DELETE FROM coupons WHERE NOT taken AND (CAST($1 AS TEXT) IS NULL OR pool = $1)";
    TOTALS = "SELECT pool, COUNT(*) FROM coupons GROUP BY pool";
    RESERVED_SINCE = "SELECT c.pool, COUNT(*) FROM gifts g JOIN coupons c ON c.code = g.code WHERE g.reserved_at > $1 \
        GROUP BY c.pool";
    LIST = concat!("SELECT e.external_id, g.campaign, g.occasion, g.step, c.pool, g.code, g.value, g.points, g.valid_until, \
        g.reserved_at, (SELECT MIN(a.finished_at) FROM messages m JOIN attempts a ON a.message_id = m.id WHERE ", its_messages!(), " \
        AND (a.uncertain OR a.outcome IN ('sent', 'lost'))) AS given_at, \
        (SELECT MIN(p.order_id) FROM purchases p WHERE p.coupon_code = g.code AND p.status = 'paid') AS order_id \
        FROM gifts g JOIN members e ON e.id = g.member_id LEFT JOIN coupons c ON c.code = g.code \
        WHERE (CAST($1 AS TEXT) IS NULL OR g.campaign = $1) AND (CAST($2 AS TEXT) IS NULL OR e.external_id = $2) \
        AND (CAST($3 AS TEXT) IS NULL OR c.pool = $3) ORDER BY g.reserved_at, e.external_id, g.campaign, g.step");
}

/// How a batch looks at what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stock {
    /// Not at all: its messages are on their way.
    Settled,
    /// Only at what its messages have.
    Given,
    /// How many codes there are.
    Counted,
    /// It takes codes: their pools are locked until the transaction ends.
    Drawn,
}

/// What the messages of a batch bring, and how much is left.
#[derive(Debug, Default)]
pub struct GiftFacts {
    /// Gifts that exist, by member, campaign, occasion and step.
    given: HashMap<Key, Gift>,
    /// Codes left, by pool; those of the batch that were drawn.
    left: HashMap<String, Left>,
    /// How many of each pool were given in this pass.
    taken: HashMap<String, i64>,
    /// What this batch gives, to be reserved.
    new: Vec<New>,
}

/// Something that a message is the first to bring.
#[derive(Debug)]
struct New {
    key: Key,
    message: Uuid,
    pool: Option<String>,
    /// Whether other messages of its step bring it, too.
    is_shared: bool,
}

type Key = (i64, String, String, String);

#[derive(Debug, Default)]
struct Left {
    count: i64,
    /// Empty where they are only counted.
    codes: Vec<String>,
}

fn key(message: &Message, step: &str) -> Key {
    (message.member_id, message.campaign.clone(), message.occasion.clone(), step.to_owned())
}

impl GiftFacts {
    pub(super) async fn load(tx: &mut Tx, subjects: &[Subject<'_>], stock: Stock) -> Result<Self> {
        let mut facts = Self::default();
        let giving: Vec<&Subject<'_>> = subjects.iter().filter(|subject| subject.campaign.gives()).collect();
        if giving.is_empty() || stock == Stock::Settled {
            return Ok(facts);
        }
        let members = Ids(giving.iter().map(|subject| subject.member_id).collect());
        let campaigns = Texts(giving.iter().map(|subject| subject.campaign.name.clone()).collect());
        if stock == Stock::Drawn {
            query!(fetch_all, (i64,), tx, HOLD_OF_MEMBERS, members.clone(), campaigns.clone())?;
        }
        for row in query!(fetch_all, Stored, tx, OF_MEMBERS, members, campaigns)? {
            let key = (row.member_id, row.campaign.clone(), row.occasion.clone(), row.step.clone());
            facts.given.insert(key, row.gift());
        }
        if stock == Stock::Given {
            return Ok(facts);
        }
        // The most that the batch can need of each pool.
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for subject in &giving {
            let Some(index) = subject.campaign.step_index(subject.step) else { continue };
            let forms = subject.campaign.forms(index);
            let pools: BTreeSet<&str> = forms.iter().filter_map(|step| step.gift.as_ref()?.pool()).collect();
            for pool in pools {
                *wanted.entry(pool).or_default() += 1;
            }
        }
        let names: Vec<String> = wanted.keys().map(|pool| (*pool).to_owned()).collect();
        if names.is_empty() {
            return Ok(facts);
        }
        if stock == Stock::Counted {
            for (pool, count) in query!(fetch_all, (String, i64), tx, COUNT_FREE, Texts(names))? {
                facts.left.insert(pool, Left { count, codes: Vec::new() });
            }
            return Ok(facts);
        }
        query!(fetch_all, (String,), tx, LOCK_POOLS, Texts(names))?;
        for (pool, most) in wanted {
            let drawn: Vec<(String,)> = query!(fetch_all, (String,), tx, DRAW, pool, most)?;
            let codes: Vec<String> = drawn.into_iter().rev().map(|(code,)| code).collect();
            facts.left.insert(pool.to_owned(), Left { count: codes.len() as i64, codes });
        }
        Ok(facts)
    }

    /// Whether a message must bring a gift and can bring none.
    pub(super) fn is_lacking(&self, message: &Message, step: &Step) -> bool {
        let Some(rule) = step.gift.as_ref().filter(|rule| !rule.may_be_missing()) else { return false };
        let Some(pool) = rule.pool() else { return false };
        !self.given.contains_key(&key(message, &step.id)) && self.left(pool) <= 0
    }

    fn left(&self, pool: &str) -> i64 {
        let taken = self.taken.get(pool).copied().unwrap_or_default();
        self.left.get(pool).map_or(0, |left| left.count) - taken
    }

    /// See `Surroundings::give`.
    pub(super) fn give(
        &mut self,
        message: &Message,
        campaign: &Campaign,
        arm: Option<&str>,
        today: NaiveDate,
    ) -> Option<Gift> {
        let index = campaign.step_index(&message.step)?;
        let Some(rule) = &campaign.step(&message.step, arm)?.gift else {
            return self.of_earlier_step(message, &campaign.steps[..index]);
        };
        let key = key(message, &message.step);
        if let Some(gift) = self.given.get(&key) {
            return Some(gift.clone());
        }
        let code = match rule.pool() {
            Some(pool) if self.left(pool) <= 0 => return None,
            Some(pool) => {
                *self.taken.entry(pool.to_owned()).or_default() += 1;
                // Only counted, it has no code yet.
                self.left.get_mut(pool).and_then(|left| left.codes.pop()).unwrap_or_default()
            }
            None => String::new(),
        };
        let gift = rule.give(today, code);
        let pool = rule.pool().map(str::to_owned);
        self.new.push(New { key: key.clone(), message: message.id, pool, is_shared: campaign.reach == Reach::All });
        self.given.insert(key, gift.clone());
        Some(gift)
    }

    fn of_earlier_step(&self, message: &Message, earlier: &[Step]) -> Option<Gift> {
        earlier.iter().rev().find_map(|step| self.given.get(&key(message, &step.id))).cloned()
    }

    /// Takes back what this very message was given, since it does not go out after all.
    pub fn take_back(&mut self, message: &Message) {
        let Some(index) = self.new.iter().position(|new| new.message == message.id) else { return };
        let New { key, pool, .. } = self.new.remove(index);
        let (Some(gift), Some(pool)) = (self.given.remove(&key), pool) else { return };
        if let Some(taken) = self.taken.get_mut(&pool) {
            *taken -= 1;
        }
        // Of those that were drawn it was counted as one of them, and is again.
        if let (Some(left), Some(code)) = (self.left.get_mut(&pool), gift.code) {
            left.codes.push(code);
        }
    }

    /// Takes over what was given in an earlier batch of the same pass.
    pub(super) fn carry_over(&mut self, mut earlier: Self) {
        for new in earlier.new.into_iter().filter(|new| new.is_shared) {
            if let Some(gift) = earlier.given.remove(&new.key) {
                self.given.insert(new.key.clone(), gift);
                self.new.push(new);
            }
        }
        for (pool, taken) in earlier.taken {
            *self.taken.entry(pool).or_default() += taken;
        }
    }
}

/// The gift that a message brought or would bring of those that its occasion has; see [`GiftFacts`].
pub async fn of_message(tx: &mut Tx, message: &Message, campaign: &Campaign) -> Result<Option<Gift>> {
    let subject = Subject { campaign, member_id: message.member_id, purchase_id: None, step: &message.step };
    let facts = GiftFacts::load(tx, &[subject], Stock::Given).await?;
    let Some(index) = campaign.step_index(&message.step) else { return Ok(None) };
    if campaign.step(&message.step, message.arm.as_deref()).is_some_and(|step| step.gift.is_some()) {
        return Ok(facts.given.get(&key(message, &message.step)).cloned());
    }
    Ok(facts.of_earlier_step(message, &campaign.steps[..index]))
}

/// Records what a batch gives, at `now`.
pub async fn reserve(tx: &mut Tx, facts: &GiftFacts, now: Instant) -> Result<()> {
    if facts.new.is_empty() {
        return Ok(());
    }
    let rows: Vec<Reserved<'_>> = facts
        .new
        .iter()
        .filter_map(|new| {
            let gift = facts.given.get(&new.key)?;
            let (member_id, campaign, occasion, step) = &new.key;
            let (code, value) = (gift.code.as_deref(), gift.value.as_deref());
            let valid_until = gift.valid_until.map(|date| date.to_string());
            let (member_id, points) = (*member_id, gift.points);
            let cost = gift.cost;
            Some(Reserved { member_id, campaign, occasion, step, code, value, points, valid_until, cost })
        })
        .collect();
    let codes: Vec<String> = rows.iter().filter_map(|row| row.code.map(str::to_owned)).collect();
    execute!(tx, RESERVE, Rows(&rows), now.timestamp_millis())?;
    if !codes.is_empty() {
        execute!(tx, TAKE, Texts(codes))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Reserved<'a> {
    member_id: i64,
    campaign: &'a str,
    occasion: &'a str,
    step: &'a str,
    code: Option<&'a str>,
    value: Option<&'a str>,
    points: Option<i64>,
    valid_until: Option<String>,
    cost: Option<i64>,
}

/// Puts back the gifts of messages that ended, where no message of the step went out or may have.
pub(super) async fn release(tx: &mut Tx, ended: Vec<Uuid>) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Postgres {
        query!(fetch_all, (i64,), tx, HOLD, Uuids(ended.clone()))?;
    }
    let released: Vec<(Option<String>,)> = query!(fetch_all, (Option<String>,), tx, RELEASE, Uuids(ended))?;
    let codes: Vec<String> = released.into_iter().filter_map(|(code,)| code).collect();
    if !codes.is_empty() {
        execute!(tx, PUT_BACK, Texts(codes))?;
    }
    Ok(())
}

/// A code that the shop made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coupon {
    pub code: String,
    pub pool: String,
}

/// Adds codes that are not there yet; gives how many were new.
pub async fn add(tx: &mut Tx, rows: &[Coupon]) -> Result<u64> {
    execute!(tx, ADD_POOLS, Rows(rows))?;
    Ok(execute!(tx, ADD, Rows(rows))?)
}

/// In which pools codes are.
pub async fn pools_of(tx: &mut Tx, codes: Vec<String>) -> Result<HashMap<String, String>> {
    Ok(query!(fetch_all, (String, String), tx, POOLS_OF, Texts(codes))?.into_iter().collect())
}

/// Forgets the codes of a pool, or of all, that nobody has; gives how many.
pub async fn forget_free(tx: &mut Tx, pool: Option<&str>) -> Result<u64> {
    // A dispatcher may be about to give some of them.
    match pool {
        Some(pool) => query!(fetch_all, (String,), tx, LOCK_POOLS, Texts(vec![pool.to_owned()]))?,
        None => query!(fetch_all, (String,), tx, LOCK_ALL_POOLS)?,
    };
    Ok(execute!(tx, FORGET_FREE, pool)?)
}

/// A pool and how much is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pool {
    pub pool: String,
    /// Codes that nobody has.
    pub left: i64,
    /// How many were reserved in the seven days before.
    pub last_seven_days: i64,
}

impl Pool {
    /// Whether it is empty, or will be within a week if it goes on so.
    pub fn is_low(&self) -> bool {
        self.left == 0 || self.left < self.last_seven_days
    }
}

/// What is left of some pools at `now`, in the same order.
pub async fn pools(tx: &mut Tx, names: Vec<String>, now: Instant) -> Result<Vec<Pool>> {
    let since = now - chrono::Duration::days(7);
    let used: Vec<(String, i64)> = query!(fetch_all, (String, i64), tx, RESERVED_SINCE, since.timestamp_millis())?;
    let used: HashMap<String, i64> = used.into_iter().collect();
    let left: Vec<(String, i64)> = query!(fetch_all, (String, i64), tx, COUNT_FREE, Texts(names.clone()))?;
    let left: HashMap<String, i64> = left.into_iter().collect();
    let of = |counts: &HashMap<String, i64>, pool: &str| counts.get(pool).copied().unwrap_or_default();
    let pool = |pool: String| Pool { left: of(&left, &pool), last_seven_days: of(&used, &pool), pool };
    Ok(names.into_iter().map(pool).collect())
}

/// How many codes each pool holds that has any, given and free.
pub async fn totals(tx: &mut Tx) -> Result<BTreeMap<String, i64>> {
    Ok(query!(fetch_all, (String, i64), tx, TOTALS)?.into_iter().collect())
}

/// Which gifts `list` gives.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub campaign: Option<String>,
    pub member: Option<String>,
    pub pool: Option<String>,
}

/// A gift as `gifts list` shows it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Listed {
    #[sqlx(rename = "external_id")]
    pub member: String,
    pub campaign: String,
    pub occasion: String,
    pub step: String,
    pub pool: Option<String>,
    pub code: Option<String>,
    pub value: Option<String>,
    pub points: Option<i64>,
    pub valid_until: Option<String>,
    pub reserved_at: i64,
    /// When a message with it went out, or may have; absent while it is on its way.
    pub given_at: Option<i64>,
    /// A valid order that was made with the code.
    pub order_id: Option<String>,
}

/// Gifts, in the order in which they were reserved.
pub async fn list(tx: &mut Tx, filter: &Filter) -> Result<Vec<Listed>> {
    let (campaign, member, pool) = (filter.campaign.as_deref(), filter.member.as_deref(), filter.pool.as_deref());
    Ok(query!(fetch_all, Listed, tx, LIST, campaign, member, pool)?)
}

#[derive(Debug, sqlx::FromRow)]
struct Stored {
    member_id: i64,
    campaign: String,
    occasion: String,
    step: String,
    code: Option<String>,
    value: Option<String>,
    points: Option<i64>,
    valid_until: Option<String>,
}

impl Stored {
    fn gift(self) -> Gift {
        let valid_until = self.valid_until.and_then(|text| text.parse().ok());
        Gift { code: self.code, value: self.value, points: self.points, valid_until, cost: None }
    }
}
