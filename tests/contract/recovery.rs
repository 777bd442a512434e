//! What a late word, or an answer that was lost, must not do: each writer of the ledger may be told
//! twice, or too late, and nothing is lost or moved by it. `recovery_contract!` makes the tests; each
//! gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::clock::Clock;
use rekindle::domain::message::{Channel, State};
use rekindle::import::Kind;
use rekindle::scheduler;
use rekindle::store::leases::{self, Lease};
use rekindle::store::ledger::Dispatch;
use rekindle::store::ledger::dispatch::{self, Queued};
use rekindle::store::ledger::end::{self, Finished};
use rekindle::store::ledger::plan::{self, Back};
use rekindle::store::ledger::start::{self, Starting};
use rekindle::store::messages::{self, Message, NewMessage};
use rekindle::store::{Store, Tx};
use rekindle::store::{attempts, configuration};
use uuid::Uuid;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    recovery_contract:
    outcomes_that_are_recorded_twice_move_nothing_twice
    an_attempt_begins_under_the_dispatch_that_holds
    an_attempt_that_is_started_twice_is_one_attempt
    a_late_word_says_nothing_about_the_next_dispatch
    what_has_begun_does_not_go_back
    a_leader_who_was_replaced_writes_nothing
    a_scan_does_not_end_the_mark_of_another
}

const NOW: &str = "2024-05-02T10:00:00Z";
const LEASE: i64 = 60_000;

fn fresh() -> Uuid {
    Clock::System.new_id()
}

/// A shop with one member.
async fn shop(size: &Size) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("c", &format!("trigger: {{ kind: broadcast, at: {NOW} }}\nchannels: [email]"));
    shop.import(Kind::Members, "external_id,email,email_consent\na,a@example.com,true\n").await;
    shop
}

/// One message of that member's, planned.
async fn planned(store: &Store) -> Uuid {
    let (id, now) = (fresh(), at(NOW).timestamp_millis());
    let mut tx = store.begin().await.unwrap();
    let new = NewMessage {
        id,
        member_id: 1,
        campaign: "c".to_owned(),
        occasion: "broadcast".to_owned(),
        step: "main".to_owned(),
        slot: "main",
        purchase_id: None,
        years: None,
        priority: 0,
        turn: 0,
        state: State::Planned,
        reason: None,
        first_due_at: now,
        due_at: now,
        next_at: now,
        day: 0,
    };
    assert_eq!(plan::insert(&mut tx, &[new]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    id
}

async fn queue(tx: &mut Tx, id: Uuid, dispatch_no: i64) {
    queue_for(tx, id, dispatch_no, fresh(), LEASE).await;
}

async fn queue_for(tx: &mut Tx, id: Uuid, dispatch_no: i64, batch: Uuid, unheard: i64) {
    let channel = Channel::Email;
    let row = Queued { id, dispatch_no, channel, arm: None, unit: None, locale: None, domain: None, segments: None };
    dispatch::queue(tx, &[row], batch, at(NOW), LEASE, unheard).await.unwrap();
}

/// Whether an attempt of the dispatch begins under a claim.
async fn starts(tx: &mut Tx, id: Uuid, dispatch_no: i64, claim: Uuid) -> bool {
    let starting = [Starting { id, dispatch_no, traceable: false }];
    let started = start::start(tx, &starting, claim, "smtp", at(NOW), LEASE).await.unwrap();
    assert!(started.is_empty() || started == [Dispatch { id, dispatch_no }]);
    !started.is_empty()
}

/// What the dispatcher would take.
async fn ready(tx: &mut Tx) -> Vec<Message> {
    dispatch::take(tx, at(NOW), None, &[], 10).await.unwrap().messages
}

fn outcome(id: Uuid, claim: Uuid, state: State, outcome: &'static str) -> Finished {
    Finished {
        id,
        claim,
        dispatch_no: 1,
        channel: Channel::Email,
        sender: "smtp".to_owned(),
        state,
        reason: None,
        next_at: None,
        reference: None,
        sent_at: None,
        price: None,
        outcome: Some(outcome),
        reply: None,
        address: None,
        uncertain: outcome == "uncertain",
        spent: 0,
        tried: None,
    }
}

pub async fn outcomes_that_are_recorded_twice_move_nothing_twice(size: Size) {
    let shop = shop(&size).await;
    let store = shop.store().await;
    let id = planned(store).await;
    for (state, word) in [(State::Planned, "retry"), (State::Uncertain, "uncertain")] {
        // What this one does is rolled back with it.
        let mut tx = store.begin().await.unwrap();
        let token = fresh();
        queue(&mut tx, id, 1).await;
        assert!(starts(&mut tx, id, 1, token).await);
        let row = outcome(id, token, state, word);
        end::finish(&mut tx, &[&row], at(NOW)).await.unwrap();
        assert_eq!(ready(&mut tx).await.len(), 1);
        // Somebody has dispatched it again before the same is said again.
        queue(&mut tx, id, 2).await;
        end::finish(&mut tx, &[&row], at(NOW)).await.unwrap();
        assert_eq!(ready(&mut tx).await, [], "a message that is under way is not planned as well");
        assert!(!starts(&mut tx, id, 1, fresh()).await, "its old copy is not");
        assert!(starts(&mut tx, id, 2, fresh()).await, "its new copy is good");
        let attempts = attempts::of_message(&mut tx, id).await.unwrap();
        let uncertain: Vec<bool> = attempts.iter().map(|attempt| attempt.uncertain).collect();
        assert_eq!(uncertain, [word == "uncertain", false], "and one is going on");
    }
    shop.close().await;
}

pub async fn an_attempt_that_is_started_twice_is_one_attempt(size: Size) {
    let shop = shop(&size).await;
    let store = shop.store().await;
    let id = planned(store).await;
    let mut tx = store.begin().await.unwrap();
    let token = fresh();
    queue(&mut tx, id, 1).await;
    for _ in 0..2 {
        assert!(starts(&mut tx, id, 1, token).await, "its answer was lost");
    }
    assert!(!starts(&mut tx, id, 1, fresh()).await, "nobody else gets it");
    end::finish(&mut tx, &[&outcome(id, token, State::Sent, "sent")], at(NOW)).await.unwrap();
    assert_eq!(attempts::of_message(&mut tx, id).await.unwrap().len(), 1);
    // Its claim is gone: nothing starts under it any more.
    assert!(!starts(&mut tx, id, 1, token).await);
    drop(tx);
    shop.close().await;
}

pub async fn a_late_word_says_nothing_about_the_next_dispatch(size: Size) {
    let shop = shop(&size).await;
    let store = shop.store().await;
    let id = planned(store).await;
    let mut tx = store.begin().await.unwrap();
    // Dispatched, taken back, and dispatched again by a process that dies at once.
    let (first, second) = (fresh(), fresh());
    queue_for(&mut tx, id, 1, first, LEASE).await;
    assert_eq!(end::recover(&mut tx, true, at(NOW)).await.unwrap().replanned, 1);
    queue_for(&mut tx, id, 2, second, -1).await;
    plan::back(&mut tx, &[Back::from(Dispatch { id, dispatch_no: 1 })]).await.unwrap();
    assert_eq!(messages::in_queue(&mut tx).await.unwrap(), 1, "the second dispatch is still under way");
    dispatch::confirm(&mut tx, first).await.unwrap();
    let recovered = end::recover(&mut tx, false, at(NOW)).await.unwrap();
    assert_eq!(recovered.replanned, 1, "the second dispatch was never heard of");
    let third = fresh();
    queue_for(&mut tx, id, 3, third, -1).await;
    dispatch::confirm(&mut tx, third).await.unwrap();
    assert_eq!(end::recover(&mut tx, false, at(NOW)).await.unwrap().replanned, 0, "the broker has the third");
    plan::back(
        &mut tx,
        &[Back { next_at: Some(at(NOW).timestamp_millis() - 1), ..Dispatch { id, dispatch_no: 3 }.into() }],
    )
    .await
    .unwrap();
    assert_eq!(ready(&mut tx).await.len(), 1, "the word about the third is heard");
    // Of two words at once the one about the dispatch that holds counts, in either order.
    for (dispatch_no, order) in [(4, [3, 4]), (5, [5, 4])] {
        let soon = at(NOW).timestamp_millis() - 1;
        queue_for(&mut tx, id, dispatch_no, fresh(), LEASE).await;
        let word = |of| Back { id, dispatch_no: of, next_at: Some(if of == dispatch_no { soon } else { i64::MAX }) };
        plan::back(&mut tx, &order.map(word)).await.unwrap();
        assert_eq!(ready(&mut tx).await.len(), 1, "the word about dispatch {dispatch_no} is heard");
    }
    drop(tx);
    shop.close().await;
}

/// What a server may have goes back to nobody, whatever is said about its copy.
pub async fn what_has_begun_does_not_go_back(size: Size) {
    let shop = shop(&size).await;
    let store = shop.store().await;
    let id = planned(store).await;
    let mut tx = store.begin().await.unwrap();
    queue_for(&mut tx, id, 1, fresh(), -1).await;
    assert!(starts(&mut tx, id, 1, fresh()).await);
    plan::back(&mut tx, &[Back::from(Dispatch { id, dispatch_no: 1 })]).await.unwrap();
    assert_eq!(end::recover(&mut tx, false, at(NOW)).await.unwrap(), end::Recovered::default());
    assert!(end::cancel(&mut tx, vec![id]).await.unwrap().is_empty(), "nor is it cancelled by hand");
    assert_eq!(ready(&mut tx).await, []);
    assert_eq!(messages::in_queue(&mut tx).await.unwrap(), 1);
    drop(tx);
    shop.close().await;
}

pub async fn a_leader_who_was_replaced_writes_nothing(size: Size) {
    let shop = shop(&size).await;
    let app = shop.app(at(NOW)).await;
    let catalog = app.applied(None).await.unwrap();
    let campaign = &catalog.campaigns["c"];
    let take = async |holder: &str, millis: i64| {
        let mut tx = app.store.begin().await.unwrap();
        let token = leases::acquire(&mut tx, "scheduler", holder, millis).await.unwrap();
        tx.commit().await.unwrap();
        let lease = |token| Lease { name: "scheduler", holder: holder.to_owned(), token, millis: LEASE };
        token.map(lease)
    };
    let scan = async |lease: &Lease| {
        let done = scheduler::scan_campaign(&app.store, &catalog, &app.clock, campaign, at(NOW), Some(lease)).await;
        done.unwrap().map(|scanned| scanned.inserted)
    };
    let first = take("first", -1).await.unwrap();
    let second = take("second", LEASE).await.unwrap();
    assert!(take("first", LEASE).await.is_none());
    assert_eq!(scan(&first).await, None);
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(ready(&mut tx).await, []);
    assert_eq!(configuration::states(&mut tx).await.unwrap()["c"].cursor.scanned_to, None);
    tx.commit().await.unwrap();
    assert_eq!(scan(&second).await, Some(1));
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(ready(&mut tx).await.len(), 1, "and its mark is gone");
    tx.commit().await.unwrap();
    app.store.close().await;
    shop.close().await;
}

pub async fn a_scan_does_not_end_the_mark_of_another(size: Size) {
    let shop = shop(&size).await;
    let app = shop.app(at(NOW)).await;
    let store = &app.store;
    planned(store).await;
    let mut tx = store.begin().await.unwrap();
    configuration::mark_scanning(&mut tx, "c", "first").await.unwrap();
    configuration::mark_scanning(&mut tx, "c", "second").await.unwrap();
    configuration::end_scanning(&mut tx, "c", "first", 0, (at("2000-01-01T00:00:00Z"), at(NOW))).await.unwrap();
    assert!(configuration::states(&mut tx).await.unwrap()["c"].held, "its ceiling is judged all the same");
    configuration::end_scanning(&mut tx, "c", "first", 10, (at("2000-01-01T00:00:00Z"), at(NOW))).await.unwrap();
    assert_eq!(ready(&mut tx).await, [], "the second one is still inserting");
    configuration::end_scanning(&mut tx, "c", "second", 10, (at("2000-01-01T00:00:00Z"), at(NOW))).await.unwrap();
    assert_eq!(ready(&mut tx).await.len(), 1);
    drop(tx);
    app.store.close().await;
    shop.close().await;
}

/// A sender that was slow has both: the copy of a dispatch that is over, and the one of now.
pub async fn an_attempt_begins_under_the_dispatch_that_holds(size: Size) {
    let shop = shop(&size).await;
    let store = shop.store().await;
    let id = planned(store).await;
    let mut tx = store.begin().await.unwrap();
    queue(&mut tx, id, 1).await;
    assert_eq!(end::recover(&mut tx, true, at(NOW)).await.unwrap().replanned, 1);
    queue(&mut tx, id, 2).await;
    let both = [1, 2].map(|dispatch_no| Starting { id, dispatch_no, traceable: false });
    let claim = fresh();
    let started = start::start(&mut tx, &both, claim, "smtp", at(NOW), LEASE).await.unwrap();
    assert_eq!(started, [Dispatch { id, dispatch_no: 2 }]);
    // The outcome of the one that never began is recorded by nobody.
    end::finish(&mut tx, &[&outcome(id, claim, State::Sent, "sent")], at(NOW)).await.unwrap();
    assert_eq!(messages::in_queue(&mut tx).await.unwrap(), 1);
    end::finish(&mut tx, &[&Finished { dispatch_no: 2, ..outcome(id, claim, State::Sent, "sent") }], at(NOW))
        .await
        .unwrap();
    assert_eq!(messages::in_queue(&mut tx).await.unwrap(), 0);
    tx.commit().await.unwrap();
    shop.close().await;
}
