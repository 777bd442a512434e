//! Holds the store against the mail server's ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sqlx::types::Uuid;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::smtp::Taken;

/// A message as the store has it.
struct Row {
    id: Uuid,
    state: String,
    reason: Option<String>,
    /// Channels by which it went for sure.
    accepted: i64,
    retries: i64,
    /// Attempts that are recorded as uncertain.
    uncertain: i64,
}

/// What came of it all.
#[derive(Default)]
pub struct Verdict {
    pub states: BTreeMap<String, usize>,
    pub uncertain_attempts: i64,
    /// Mails that were taken once more than needed, each time counted.
    pub doubled: usize,
    /// Messages that came twice.
    pub lost: usize,
    /// Codes that the mail server saw.
    pub codes: usize,
    /// Messages that went by one channel and then by another, and SMS in all.
    pub fell_back: usize,
    pub texts: usize,
    /// Mails that went where policy had just looked, after the member's address had changed.
    pub moved: usize,
    /// What must not be, with the ids.
    pub wrong: Vec<String>,
}

/// What is still to be done.
#[derive(sqlx::FromRow)]
pub struct Remaining {
    pub planned: i64,
    /// Those of them that wait for their next attempt.
    pub retrying: i64,
    pub under_way: i64,
    /// Those that another channel will take.
    pub falling: i64,
    /// Messages in the ledger, whatever their state.
    pub all: i64,
}

pub async fn remaining(store: &str) -> sqlx::Result<Remaining> {
    let sql = "SELECT (SELECT COUNT(*) FROM pending WHERE dispatch_no IS NULL) AS planned, (SELECT COUNT(*) FROM pending WHERE dispatch_no IS NOT NULL) AS under_way, \
        (SELECT COUNT(*) FROM messages m WHERE m.campaign = 'either' AND (m.state = 'bounced' OR (m.state = 'sent' AND m.channel = 'sms')) \
        AND NOT (',' || COALESCE(m.tried, '') || ',' LIKE '%,' || m.channel || ',%')) AS falling, \
        (SELECT COUNT(*) FROM messages) AS \"all\", (SELECT COUNT(*) FROM pending p JOIN messages m ON m.id = p.message_id \
        WHERE p.dispatch_no IS NULL AND m.retries > 0 AND p.next_at > $1) AS retrying";
    let now = rekindle::clock::Clock::System.now().timestamp_millis();
    if store.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(store).await?;
        return sqlx::query_as(sql).bind(now).fetch_one(&mut connection).await;
    }
    let mut connection = PgConnection::connect(store).await?;
    let remaining = sqlx::query_as(sql).bind(now).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(remaining)
}

/// What waits, for people: by campaign and state, how many of them are due and when the next ones are.
pub async fn what_waits(store: &str) -> sqlx::Result<String> {
    let sql = "SELECT m.campaign, m.state, m.channel, p.dispatch_no IS NOT NULL AS dispatched, COUNT(*) AS count, \
        SUM(CASE WHEN p.next_at <= $1 THEN 1 ELSE 0 END) AS due, MIN(p.next_at) - $1 AS first, MAX(p.next_at) - $1 AS last \
        FROM pending p JOIN messages m ON m.id = p.message_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
    type Group = (String, String, Option<String>, bool, i64, i64, i64, i64);
    let now = rekindle::clock::Clock::System.now().timestamp_millis();
    let groups: Vec<Group> = if store.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(store).await?;
        sqlx::query_as(sql).bind(now).fetch_all(&mut connection).await?
    } else {
        let mut connection = PgConnection::connect(store).await?;
        sqlx::query_as(sql).bind(now).fetch_all(&mut connection).await?
    };
    let mut text = String::new();
    for (campaign, state, channel, dispatched, count, due, first, last) in groups {
        let channel = channel.unwrap_or_default();
        let _ = writeln!(
            text,
            "  {campaign} {state} {channel} dispatched {dispatched}: {count}, {due} due, from {first} to {last} ms from now"
        );
    }
    Ok(text)
}

/// Gives each member a message that was dispatched once and then ended; a copy of it is known and stale.
pub async fn end_one_each(store: &str) -> sqlx::Result<Vec<Uuid>> {
    let mut connection = PgConnection::connect(store).await?;
    let sql = "INSERT INTO messages (id, member_id, campaign, occasion, step, slot, priority, turn, state, reason, channel, \
        first_due_at, due_at, next_at, day, dispatch_no) SELECT gen_random_uuid(), id, 'before', 'x', 'main', 'main', 0, 0, \
        'cancelled', 'campaign_ended', 'email', 0, 0, 0, 0, 1 FROM members RETURNING id";
    let ids = sqlx::query_scalar(sql).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(ids)
}

/// Writes down, in the transaction of each claim, what the member's address is then, and whether it is closed: by
/// that policy judges.
pub async fn watch(store: &str) -> sqlx::Result<()> {
    if store.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(store).await?;
        for sql in [
            "CREATE TABLE judged (message_id BLOB, address TEXT, closed BOOLEAN)",
            "CREATE TRIGGER judge AFTER UPDATE OF claim ON pending WHEN NEW.claim IS NOT NULL BEGIN \
             INSERT INTO judged SELECT NEW.message_id, LOWER(b.email), EXISTS (SELECT 1 FROM suppressions s \
             WHERE s.address = LOWER(b.email) AND s.purpose = 'marketing') \
             FROM messages m JOIN members b ON b.id = m.member_id WHERE m.id = NEW.message_id; END",
        ] {
            sqlx::query(sql).execute(&mut connection).await?;
        }
        return connection.close().await;
    }
    let mut connection = PgConnection::connect(store).await?;
    for sql in [
        "CREATE TABLE judged (message_id UUID, address TEXT, closed BOOLEAN)",
        "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO judged SELECT NEW.message_id, LOWER(b.email), EXISTS (SELECT 1 FROM suppressions s \
         WHERE s.address = LOWER(b.email) AND s.purpose = 'marketing') \
         FROM messages m JOIN members b ON b.id = m.member_id WHERE m.id = NEW.message_id; RETURN NEW; END $$",
        "CREATE TRIGGER judge AFTER UPDATE OF claim ON pending FOR EACH ROW WHEN (NEW.claim IS NOT NULL) \
         EXECUTE FUNCTION judge()",
    ] {
        sqlx::query(sql).execute(&mut connection).await?;
    }
    connection.close().await
}

/// What the store says when all is over.
struct Facts {
    /// The address that policy judged at each start, where it was open.
    judged: Vec<(Uuid, Option<String>)>,
    rows: Vec<Found>,
    /// Occasions with two messages, messages that nobody takes up, codes that are nobody's.
    twice: i64,
    adrift: i64,
    stray: i64,
    gifts: Vec<(Uuid, String)>,
}

/// Id, state, reason, channels that took it, retries, uncertain attempts.
type Found = (Uuid, String, Option<String>, i64, i64, i64);

/// The same of either database.
macro_rules! facts {
    ($connection:expr) => {{
        let mut connection = $connection;
        macro_rules! all {
            ($sql:expr) => {
                sqlx::query_as($sql).fetch_all(&mut connection).await?
            };
        }
        macro_rules! one {
            ($sql:expr) => {
                sqlx::query_scalar($sql).fetch_one(&mut connection).await?
            };
        }
        let facts = Facts {
            judged: all!("SELECT message_id, address FROM judged WHERE NOT closed"),
            rows: all!(
                "SELECT m.id, m.state, m.reason, \
                 (SELECT COUNT(DISTINCT a.channel) FROM attempts a WHERE a.message_id = m.id AND a.outcome = 'sent'), m.retries, \
                 (SELECT COUNT(*) FROM attempts a WHERE a.message_id = m.id AND a.uncertain) FROM messages m"
            ),
            twice: one!(
                "SELECT COUNT(*) FROM (SELECT 1 FROM messages GROUP BY member_id, campaign, occasion, step, slot HAVING COUNT(*) > 1) t"
            ),
            adrift: one!(
                "SELECT (SELECT COUNT(*) FROM pending p JOIN messages m ON m.id = p.message_id WHERE p.dispatch_no IS NULL AND m.state <> 'planned') \
                 + (SELECT COUNT(*) FROM messages m WHERE m.state = 'planned' AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.message_id = m.id AND p.dispatch_no IS NULL)) \
                 + (SELECT COUNT(*) FROM messages m WHERE m.state = 'queued' AND NOT EXISTS (SELECT 1 FROM pending u WHERE u.message_id = m.id AND u.dispatch_no = m.dispatch_no))"
            ),
            gifts: all!(
                "SELECT m.id, g.code FROM gifts g JOIN messages m ON m.member_id = g.member_id AND m.campaign = g.campaign \
                 AND m.occasion = g.occasion AND m.step = g.step WHERE g.code IS NOT NULL"
            ),
            stray: one!(
                "SELECT (SELECT COUNT(*) FROM coupons c WHERE c.taken AND NOT EXISTS (SELECT 1 FROM gifts g WHERE g.code = c.code)) \
                 + (SELECT COUNT(*) FROM gifts g WHERE NOT EXISTS (SELECT 1 FROM coupons c WHERE c.code = g.code AND c.taken))"
            ),
        };
        connection.close().await?;
        facts
    }};
}

/// Compares the ledgers; `expected` messages must exist.
pub async fn judge(
    store: &str,
    taken: &BTreeMap<String, Taken>,
    texts: &BTreeMap<String, usize>,
    expected: usize,
) -> sqlx::Result<Verdict> {
    let facts = if store.starts_with("sqlite") {
        facts!(SqliteConnection::connect(store).await?)
    } else {
        facts!(PgConnection::connect(store).await?)
    };
    let Facts { judged, rows, twice, adrift, gifts, stray } = facts;

    let mut verdict = Verdict::default();
    let mut by_id: BTreeMap<Uuid, Taken> = BTreeMap::new();
    for (id, taken) in taken {
        let id = id.trim_matches(['<', '>']).split('@').next().unwrap_or_default();
        by_id.insert(Uuid::parse_str(id).expect("a Message-ID is a message's id"), taken.clone());
    }
    verdict.look_at_codes(&gifts.into_iter().collect(), &by_id);
    if stray > 0 {
        verdict.wrong.push(format!("{stray} codes are taken and nobody's, or given and free"));
    }
    if rows.len() != expected {
        verdict.wrong.push(format!("{} messages are in the store, {expected} should be", rows.len()));
    }
    if twice > 0 {
        verdict.wrong.push(format!("{twice} occasions have two messages"));
    }
    if adrift > 0 {
        verdict.wrong.push(format!("{adrift} messages stand in a state that nobody takes up"));
    }
    verdict.look_at_recipients(judged, &by_id);
    let mut texts = texts.clone();
    verdict.texts = texts.values().sum();
    for (id, state, reason, accepted, retries, uncertain) in rows {
        let row = Row { id, state, reason, accepted, retries, uncertain };
        let taken = by_id.remove(&row.id).unwrap_or_default().times;
        let texts = texts.remove(&row.id.to_string()).unwrap_or_default();
        verdict.fell_back += usize::from(row.accepted > 1);
        verdict.look(&row, taken + texts);
    }
    for id in texts.keys() {
        verdict.wrong.push(format!("{id} was taken as an SMS and is not in the store"));
    }
    for id in by_id.keys() {
        verdict.wrong.push(format!("{id} was taken and is not in the store"));
    }
    Ok(verdict)
}

impl Verdict {
    /// Each code went to one member, who keeps it; each copy of a message says the same one.
    fn look_at_codes(&mut self, gifts: &BTreeMap<Uuid, String>, taken: &BTreeMap<Uuid, Taken>) {
        let mut owners: BTreeMap<&String, Uuid> = BTreeMap::new();
        for (id, Taken { codes, .. }) in taken {
            if codes.len() > 1 {
                self.wrong.push(format!("{id} came with the codes {codes:?}"));
            }
            for code in codes {
                if let Some(other) = owners.insert(code, *id) {
                    self.wrong.push(format!("{id} and {other} both came with the code {code}"));
                }
                if gifts.get(id) != Some(code) {
                    self.wrong.push(format!("{id} came with the code {code}, and the store says {:?}", gifts.get(id)));
                }
            }
        }
        self.codes = owners.len();
    }

    /// No mail went to an address that policy did not judge, or found closed.
    fn look_at_recipients(&mut self, judged: Vec<(Uuid, Option<String>)>, taken: &BTreeMap<Uuid, Taken>) {
        let mut allowed: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
        for (id, address) in judged {
            allowed.entry(id).or_default().extend(address);
        }
        for (id, Taken { recipients, .. }) in taken {
            let allowed = allowed.get(id).cloned().unwrap_or_default();
            for recipient in recipients.difference(&allowed) {
                self.wrong.push(format!("{id} went to {recipient}, which policy did not judge; it judged {allowed:?}"));
            }
            self.moved += recipients.iter().filter(|recipient| recipient.matches('.').count() > 1).count();
        }
    }

    fn look(&mut self, row: &Row, taken: usize) {
        let id = row.id;
        let name = match &row.reason {
            Some(reason) => format!("{}({reason})", row.state),
            None => row.state.clone(),
        };
        *self.states.entry(name.clone()).or_default() += 1;
        self.uncertain_attempts += row.uncertain;
        let went = matches!(row.state.as_str(), "sent" | "delivered" | "bounced");
        // One by each channel that took it: an SMS that did not arrive, and the mail in its place.
        let needed = usize::try_from(row.accepted).unwrap().max(usize::from(went));
        self.doubled += taken.saturating_sub(needed.max(1));
        if taken < usize::try_from(row.accepted).unwrap() || (went && taken == 0) {
            self.lost += 1;
            self.wrong.push(format!("{id} is {name} and was not taken"));
        }
        if taken > needed + usize::try_from(row.uncertain).unwrap() {
            self.wrong.push(format!("{id} is {name}, was taken {taken} times, {} attempts uncertain", row.uncertain));
        }
        let named = match row.state.as_str() {
            "sent" | "delivered" | "bounced" => true,
            "failed" | "skipped" | "cancelled" => row.reason.is_some(),
            "uncertain" => row.uncertain > 0,
            // It waits for its next attempt.
            "planned" => row.retries > 0,
            _ => false,
        };
        if !named {
            self.lost += 1;
            self.wrong.push(format!("{id} is {name} and nothing says why"));
        }
    }

    pub fn show(&self) -> String {
        let mut text = String::new();
        for (state, count) in &self.states {
            let _ = writeln!(text, "  {state:28} {count}");
        }
        let _ = writeln!(text, "  uncertain attempts           {}", self.uncertain_attempts);
        let _ = writeln!(text, "  doubled                      {}", self.doubled);
        let _ = writeln!(text, "  lost                         {}", self.lost);
        let _ = writeln!(text, "  codes, each in one message   {}", self.codes);
        let _ = writeln!(text, "  SMS, and then mails instead  {}, {}", self.texts, self.fell_back);
        let _ = writeln!(text, "  mails to a changed address   {}", self.moved);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an oracle says of one message that was taken so often.
    fn wrong(state: &str, reason: Option<&str>, retries: i64, uncertain: i64, taken: usize) -> bool {
        let (state, reason) = (state.to_owned(), reason.map(ToOwned::to_owned));
        let mut verdict = Verdict::default();
        let accepted = i64::from(state == "sent");
        verdict.look(&Row { id: Uuid::nil(), state, reason, accepted, retries, uncertain }, taken);
        !verdict.wrong.is_empty()
    }

    #[test]
    fn it_tells_whose_a_code_is() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let wrong = |gifts: &[(Uuid, &str)], taken: &[(Uuid, &[&str])]| {
            let gifts = gifts.iter().map(|(id, code)| (*id, (*code).to_owned())).collect();
            let codes = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
            let taken = taken
                .iter()
                .map(|(id, list)| (*id, Taken { times: 1, codes: codes(list), ..Taken::default() }))
                .collect();
            let mut verdict = Verdict::default();
            verdict.look_at_codes(&gifts, &taken);
            verdict.wrong.len()
        };
        assert_eq!(wrong(&[(one, "A"), (other, "B")], &[(one, &["A"]), (other, &["B"])]), 0);
        assert_eq!(wrong(&[(one, "A")], &[(one, &["A"]), (other, &[])]), 0);
        assert!(wrong(&[(one, "A"), (other, "A")], &[(one, &["A"]), (other, &["A"])]) > 0, "given twice");
        assert!(wrong(&[(one, "A")], &[(one, &["A", "B"])]) > 0, "another one at the second try");
        assert!(wrong(&[], &[(one, &["A"])]) > 0, "gone back though it was seen");
    }

    #[test]
    fn it_tells_who_was_not_judged() {
        let wrong = |judged: &[Option<&str>], recipients: &[&str]| {
            let id = Uuid::from_u128(1);
            let judged = judged.iter().map(|address| (id, address.map(str::to_owned))).collect();
            let recipients = recipients.iter().map(|address| (*address).to_owned()).collect();
            let mut verdict = Verdict::default();
            verdict.look_at_recipients(
                judged,
                &BTreeMap::from([(id, Taken { times: 1, recipients, ..Taken::default() })]),
            );
            verdict.wrong.len()
        };
        assert_eq!(wrong(&[Some("a@x.example"), Some("b@x.example"), None], &["b@x.example"]), 0);
        assert_eq!(wrong(&[Some("a@x.example")], &["a@x.example", "b@x.example"]), 1);
        assert_eq!(wrong(&[], &["older@x.example"]), 1);
    }

    #[test]
    fn it_tells_good_from_bad() {
        assert!(!wrong("sent", None, 0, 0, 1));
        assert!(wrong("sent", None, 0, 0, 0), "lost");
        assert!(wrong("sent", None, 0, 0, 2), "doubled");
        assert!(!wrong("sent", None, 1, 1, 2), "doubled, and recorded");
        assert!(wrong("sent", None, 1, 1, 3));
        assert!(!wrong("failed", Some("refused"), 1, 0, 0));
        assert!(wrong("failed", Some("refused"), 1, 0, 1), "taken, and said to have failed");
        assert!(wrong("failed", None, 1, 0, 0), "nothing says why");
        assert!(!wrong("uncertain", None, 0, 1, 1));
        assert!(wrong("uncertain", None, 0, 0, 0));
        assert!(!wrong("planned", None, 1, 0, 0));
        assert!(wrong("planned", None, 0, 0, 0), "nobody takes it up");
        assert!(wrong("queued", None, 0, 0, 0));
    }
}
