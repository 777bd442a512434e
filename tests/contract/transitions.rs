//! Each transition of the ledger against the table of states: run with messages in every state, it moves none where
//! the table has no way, and leaves of each a row in `pending` as its state asks. `transitions_contract!` makes the
//! test; it gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use rekindle::clock::Clock;
use rekindle::domain::message::{Channel, EventKind, Reason, State};
use rekindle::domain::policy::end_state;
use rekindle::import::Kind;
use rekindle::store::events::{self, Event};
use rekindle::store::ledger::Dispatch;
use rekindle::store::ledger::dispatch::{self, Decided, Queued};
use rekindle::store::ledger::end::{self, Finished};
use rekindle::store::ledger::plan::{self, Back, FellBack};
use rekindle::store::ledger::start::{self, Starting};
use rekindle::store::ledger::{hear, statements};
use rekindle::store::messages::NewMessage;
use rekindle::store::{Database, Store, Tx};
use uuid::Uuid;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at, differs, until_it_waits};

contract! {
    transitions_contract:
    every_transition_keeps_to_the_table_of_states
    every_transition_counts
    an_outcome_and_what_is_heard_meanwhile_find_each_other
}

const NOW: &str = "2024-05-02T10:00:00Z";
const LEASE: i64 = 60_000;

/// What a message was made for: its state, and where that says more, why.
type Made = (State, Option<Reason>);

/// Messages in every state, with the number of their dispatch and the claim of those that are being sent.
struct Ledger {
    made: BTreeMap<Uuid, Made>,
    claim: Uuid,
    channel: Channel,
}

fn new(id: Uuid, occasion: &str, state: State, reason: Option<Reason>) -> NewMessage {
    let now = at(NOW).timestamp_millis();
    NewMessage {
        id,
        member_id: 1,
        campaign: "c".to_owned(),
        occasion: occasion.to_owned(),
        step: "main".to_owned(),
        slot: "main",
        purchase_id: None,
        years: None,
        priority: 0,
        turn: 0,
        state,
        reason,
        first_due_at: now,
        due_at: now,
        next_at: now,
        day: 0,
    }
}

async fn run(tx: &mut Tx, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    match &mut tx.database {
        Database::Postgres(c) => drop(sqlx::raw_sql(sql).execute(&mut **c).await.unwrap()),
        Database::Sqlite(c) => drop(sqlx::raw_sql(sql).execute(&mut **c).await.unwrap()),
    }
}

impl Ledger {
    /// One message of each kind; those on their way through the transitions themselves.
    async fn fill(store: &Store, channel: Channel) -> Self {
        let mut tx = store.begin().await.unwrap();
        let claim = Clock::System.new_id();
        let mut made = BTreeMap::new();
        let kinds = State::ALL.iter().map(|state| (*state, None));
        for (state, reason) in kinds.chain([(State::Skipped, Some(Reason::OutsideAudience))]) {
            let id = Clock::System.new_id();
            made.insert(id, (state, reason));
            let occasion = occasion((state, reason));
            let first = if reason.is_some() { state } else { State::Planned };
            plan::insert(&mut tx, &[new(id, &occasion, first, reason)]).await.unwrap();
            if matches!(state, State::Planned) || reason.is_some() {
                continue;
            }
            dispatch::queue(&mut tx, &[queued(id, channel)], Clock::System.new_id(), at(NOW), LEASE, LEASE)
                .await
                .unwrap();
            if !matches!(state, State::Queued) {
                let starting = Starting { id, dispatch_no: 1, traceable: false };
                start::start(&mut tx, &[starting], claim, "smtp", at(NOW), LEASE).await.unwrap();
            }
            if state.is_final() {
                let its = format!("occasion = '{occasion}'");
                let sql = format!("DELETE FROM pending WHERE message_id IN (SELECT id FROM messages WHERE {its})");
                run(&mut tx, &sql).await;
                run(&mut tx, &format!("UPDATE messages SET state = '{state}' WHERE {its}")).await;
            }
        }
        tx.commit().await.unwrap();
        Self { made, claim, channel }
    }

    fn ids(&self) -> Vec<Uuid> {
        self.made.keys().copied().collect()
    }

    fn finished(&self, state: State, word: Option<&'static str>) -> Vec<Finished> {
        let row = |id| Finished {
            id,
            claim: self.claim,
            dispatch_no: 1,
            channel: self.channel,
            sender: "smtp".to_owned(),
            state,
            reason: None,
            next_at: None,
            reference: None,
            sent_at: None,
            price: None,
            outcome: word,
            reply: None,
            address: None,
            uncertain: word == Some("uncertain"),
            spent: 0,
            tried: None,
        };
        self.made.keys().map(|id| row(*id)).collect()
    }
}

fn occasion((state, reason): Made) -> String {
    format!("{state} {}", reason.map_or("", Reason::as_str))
}

fn queued(id: Uuid, channel: Channel) -> Queued {
    Queued { id, dispatch_no: 1, channel, arm: None, unit: None, locale: None, domain: None, segments: None }
}

fn dispatch_of(id: Uuid) -> Dispatch {
    Dispatch { id, dispatch_no: 1 }
}

/// The transitions as the program calls them, each with the statements by which it moves messages.
const CALLS: &[(&str, &[&str])] = &[
    ("insert", &["INSERT"]),
    ("back", &["BACK"]),
    ("has_not", &["HAS_NOT"]),
    ("fall_back", &["FALL_BACK"]),
    ("retry", &["RETRY"]),
    ("retry --yes", &["RETRY"]),
    ("decide", &["DECIDE"]),
    ("queue", &["QUEUE"]),
    ("start", &[]),
    ("finish", &["FINISH", "RESEND_MAIL"]),
    ("recover", &["EXPIRED", "MARK_UNCERTAIN", "RESEND_MAIL"]),
    ("withdraw", &["DECIDE"]),
    ("give_up", &["GIVE_UP"]),
    ("cancel", &["CANCEL"]),
    ("hear", &["MOVE"]),
    ("has_it", &["HAS_IT"]),
];

/// Makes a call with all messages, in each of its forms; `check` looks after each and undoes it.
async fn call(name: &str, store: &Store, ledger: &Ledger, check: &mut impl AsyncFnMut(Tx, String)) {
    let begin = async || store.begin().await.unwrap();
    let ids = ledger.ids();
    match name {
        "insert" => {
            for state in [State::Planned, State::Skipped] {
                let mut tx = begin().await;
                let reason = (state == State::Skipped).then_some(Reason::OutsideAudience);
                let again =
                    ledger.made.values().map(|made| new(Clock::System.new_id(), &occasion(*made), state, reason));
                plan::insert(&mut tx, &again.collect::<Vec<_>>()).await.unwrap();
                check(tx, format!("insert {state}")).await;
            }
        }
        "back" => {
            let mut tx = begin().await;
            let rows: Vec<Back> = ids.iter().map(|id| dispatch_of(*id).into()).collect();
            plan::back(&mut tx, &rows).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "has_not" | "has_it" => {
            let mut tx = begin().await;
            for id in ids {
                match name {
                    "has_it" => hear::has_it(&mut tx, dispatch_of(id), 1, None).await.unwrap(),
                    _ => plan::has_not(&mut tx, dispatch_of(id), 1).await.unwrap(),
                }
            }
            check(tx, name.to_owned()).await;
        }
        "fall_back" => {
            for again in [true, false] {
                let mut tx = begin().await;
                let row = |id: &Uuid| FellBack { id: *id, tried: "sms".to_owned(), again };
                plan::fall_back(&mut tx, &ids.iter().map(row).collect::<Vec<_>>(), at(NOW)).await.unwrap();
                check(tx, format!("fall_back {again}")).await;
            }
        }
        "retry" | "retry --yes" => {
            let mut tx = begin().await;
            plan::retry(&mut tx, ids, name != "retry").await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "decide" => {
            for state in Reason::ALL.iter().map(|reason| end_state(*reason)).chain([State::Planned]) {
                let mut tx = begin().await;
                let row = |id: &Uuid| Decided { state, reason: None, ..Decided::ended(*id, Reason::ByHand) };
                dispatch::decide(&mut tx, &ids.iter().map(row).collect::<Vec<_>>()).await.unwrap();
                check(tx, format!("decide {state}")).await;
            }
        }
        "queue" => {
            let mut tx = begin().await;
            let rows: Vec<Queued> = ids.iter().map(|id| queued(*id, ledger.channel)).collect();
            dispatch::queue(&mut tx, &rows, Clock::System.new_id(), at(NOW), LEASE, LEASE).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "start" => {
            let mut tx = begin().await;
            let row = |id: &Uuid| Starting { id: *id, dispatch_no: 1, traceable: false };
            let rows: Vec<Starting> = ids.iter().map(row).collect();
            start::start(&mut tx, &rows, Clock::System.new_id(), "smtp", at(NOW), LEASE).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "finish" => {
            for (state, word) in [
                (State::Sent, Some("sent")),
                (State::Planned, Some("retry")),
                (State::Planned, None),
                (State::Failed, Some("rejected")),
                (State::Uncertain, Some("uncertain")),
                (State::Skipped, None),
                (State::HeldOut, None),
                (State::Cancelled, None),
            ] {
                let mut tx = begin().await;
                let rows = ledger.finished(state, word);
                end::finish(&mut tx, &rows.iter().collect::<Vec<_>>(), at(NOW)).await.unwrap();
                check(tx, format!("finish {state}")).await;
            }
        }
        "recover" => {
            let mut tx = begin().await;
            end::recover(&mut tx, true, at(NOW)).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "withdraw" => {
            let mut tx = begin().await;
            let rows: Vec<NewMessage> =
                ledger.made.values().map(|made| new(Uuid::nil(), &occasion(*made), State::Skipped, None)).collect();
            end::withdraw(&mut tx, rows.iter().collect()).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "give_up" => {
            let mut tx = begin().await;
            end::give_up(&mut tx, at(NOW)).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "cancel" => {
            let mut tx = begin().await;
            end::cancel(&mut tx, ids).await.unwrap();
            check(tx, name.to_owned()).await;
        }
        "hear" => {
            for kind in EventKind::ALL {
                let mut tx = begin().await;
                let event = |id: &Uuid| Event {
                    key: format!("{kind} {id}"),
                    message_id: Some(*id),
                    kind: kind.to_string(),
                    at: 1,
                    channel: ledger.channel.to_string(),
                    address: None,
                    detail: None,
                };
                events::record(&mut tx, &ids.iter().map(event).collect::<Vec<_>>()).await.unwrap();
                hear::hear(&mut tx, ids.clone()).await.unwrap();
                check(tx, format!("hear {kind}")).await;
            }
        }
        other => panic!("{other} is not called"),
    }
}

/// What a message is now: its state with what a claim says, and whether its row in `pending` is as that asks.
async fn now(tx: &mut Tx) -> Vec<(Uuid, State, bool)> {
    let sql = "SELECT m.id, CASE WHEN p.claim IS NULL THEN m.state ELSE 'sending' END, m.state, \
        COALESCE(p.dispatch_no, -1), p.message_id IS NOT NULL FROM messages m LEFT JOIN pending p ON p.message_id = m.id";
    type Row = (Uuid, String, String, i64, bool);
    let rows: Vec<Row> = match &mut tx.database {
        Database::Postgres(c) => sqlx::query_as(sql).fetch_all(&mut **c).await.unwrap(),
        Database::Sqlite(c) => sqlx::query_as(sql).fetch_all(&mut **c).await.unwrap(),
    };
    let is_right = |stored: &str, dispatch_no: i64, pending: bool| match stored {
        "planned" => pending && dispatch_no == -1,
        "queued" => pending && dispatch_no == 1,
        _ => !pending,
    };
    rows.into_iter()
        .map(|(id, state, stored, number, pending)| (id, state.parse().unwrap(), is_right(&stored, number, pending)))
        .collect()
}

/// Takes back what a transaction did, and waits for it: a dropped one holds its rows until its connection is used again,
/// and who skips what is locked would find less.
async fn undone(tx: Tx) {
    match tx.database {
        Database::Postgres(tx) => tx.rollback().await.unwrap(),
        Database::Sqlite(tx) => tx.rollback().await.unwrap(),
    }
}

/// From where to where the transitions move the messages.
async fn ways(store: &Store, ledger: &Ledger) -> BTreeSet<(&'static str, &'static str)> {
    let mut tx = store.begin().await.unwrap();
    for (id, state, right) in now(&mut tx).await {
        assert_eq!((state, right), (ledger.made[&id].0, true), "the ledger is as it was meant to be");
    }
    undone(tx).await;
    let mut gone = BTreeSet::new();
    for (name, _) in CALLS {
        let mut moved = 0;
        let mut check = async |mut tx: Tx, form: String| {
            for (id, to, right) in now(&mut tx).await {
                let Some(&(from, reason)) = ledger.made.get(&id) else { panic!("{form} made a message") };
                assert!(from == to || from.may_become(to), "{form} moved {from} to {to}");
                assert!(right, "after {form}, what was {from} ({reason:?}) and is {to} has a wrong row in `pending`");
                if from != to {
                    moved += 1;
                    gone.insert((from.as_str(), to.as_str()));
                }
            }
            undone(tx).await;
        };
        call(name, store, ledger, &mut check).await;
        assert!(moved > 0, "{name} moves something");
    }
    gone
}

pub async fn every_transition_keeps_to_the_table_of_states(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("c", &format!("trigger: {{ kind: broadcast, at: {NOW} }}\nchannels: [email]"));
    shop.import(Kind::Members, "external_id,email,email_consent\na,a@example.com,true\n").await;
    let store = shop.store().await;
    // Every way that was gone: of a mail whose answer was lost, and of an SMS, it is not the same.
    let mut gone = BTreeSet::new();
    for channel in [Channel::Email, Channel::Sms] {
        let mut tx = store.begin().await.unwrap();
        run(&mut tx, "DELETE FROM pending").await;
        run(&mut tx, "DELETE FROM messages").await;
        tx.commit().await.unwrap();
        gone.extend(ways(store, &Ledger::fill(store, channel).await).await);
    }
    for from in State::ALL {
        for to in State::ALL.iter().filter(|to| from.may_become(**to)) {
            assert!(gone.contains(&(from.as_str(), to.as_str())), "nothing moves {from} to {to}");
        }
    }
    // And nothing else writes a state.
    let called: BTreeSet<&str> = CALLS.iter().flat_map(|(_, statements)| *statements).copied().collect();
    for (file, name, sql) in statements() {
        let writes = sql.contains("UPDATE messages SET") || sql.contains("INSERT INTO messages");
        assert_eq!(writes, called.contains(name) && !sql.starts_with("DELETE"), "{file} {name}");
    }
    shop.recount().await;
    shop.close().await;
}

/// Whatever state each message comes from and goes to, the counts of its day follow.
pub async fn every_transition_counts(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("c", &format!("trigger: {{ kind: broadcast, at: {NOW} }}\nchannels: [email]"));
    shop.import(Kind::Members, "external_id,email,email_consent\na,a@example.com,true\n").await;
    let store = shop.store().await;
    for channel in [Channel::Email, Channel::Sms] {
        for (name, _) in CALLS {
            let mut tx = store.begin().await.unwrap();
            for table in ["pending", "messages", "attempts", "events"] {
                run(&mut tx, &format!("DELETE FROM {table}")).await;
            }
            tx.commit().await.unwrap();
            let ledger = Ledger::fill(store, channel).await;
            shop.recount().await;
            let mut check = async |tx: Tx, form: String| {
                tx.commit().await.unwrap();
                assert_eq!(differs(store).await, [], "after {form} of {channel}");
            };
            call(name, store, &ledger, &mut check).await;
        }
    }
    shop.close().await;
}

/// A receipt that is recorded while the outcome is, whichever of them was first.
pub async fn an_outcome_and_what_is_heard_meanwhile_find_each_other(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("c", &format!("trigger: {{ kind: broadcast, at: {NOW} }}\nchannels: [email]"));
    shop.import(Kind::Members, "external_id,email,email_consent\na,a@example.com,true\n").await;
    let store = shop.store().await;
    for heard_first in [true, false] {
        let mut tx = store.begin().await.unwrap();
        run(&mut tx, "DELETE FROM pending").await;
        run(&mut tx, "DELETE FROM messages").await;
        tx.commit().await.unwrap();
        let ledger = Ledger::fill(store, Channel::Sms).await;
        let (&id, _) = ledger.made.iter().find(|(_, (state, _))| *state == State::Sending).unwrap();
        let outcome = async |tx: &mut Tx| {
            let rows = ledger.finished(State::Sent, Some("sent"));
            let row = rows.iter().find(|row| row.id == id).unwrap();
            assert_eq!(
                end::finish(tx, &[row], at(NOW)).await.unwrap(),
                [Dispatch { id, dispatch_no: row.dispatch_no }]
            );
        };
        let receipt = async |tx: &mut Tx| {
            let event = Event {
                key: format!("gateway:{heard_first}"),
                message_id: Some(id),
                kind: EventKind::Delivered.to_string(),
                at: 1,
                channel: Channel::Sms.to_string(),
                address: None,
                detail: None,
            };
            events::record(tx, &[event]).await.unwrap();
        };
        let mut first = store.begin().await.unwrap();
        if heard_first {
            receipt(&mut first).await
        } else {
            outcome(&mut first).await
        }
        let second = async {
            let mut tx = store.begin().await.unwrap();
            if heard_first {
                outcome(&mut tx).await
            } else {
                receipt(&mut tx).await
            }
            tx.commit().await.unwrap();
        };
        tokio::pin!(second);
        until_it_waits(store, second.as_mut()).await;
        first.commit().await.unwrap();
        second.await;
        let mut tx = store.read().await.unwrap();
        let state = now(&mut tx).await.into_iter().find(|row| row.0 == id).map(|row| row.1);
        assert_eq!(state, Some(State::Delivered), "heard first: {heard_first}");
        tx.commit().await.unwrap();
    }
    shop.recount().await;
    shop.close().await;
}
