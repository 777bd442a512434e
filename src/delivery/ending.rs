//! How a claimed message ends this time: what an outcome, or a reason to wait, means for the ledger.

use std::time::Duration;

use super::{Running, Work};
use crate::domain::message::{Channel, Envelope, EventKind, Purpose, Reason, State};
use crate::domain::retry;
use crate::store::events::Event;
use crate::store::ledger::end::Finished;
use crate::store::suppressions::Suppression;
use crate::transports::{Blame, Outcome};

impl Running {
    /// That a mailbox was full. Not about the message, which may still arrive.
    pub(super) fn soft_bounce(&self, work: &Work) -> Event {
        Event {
            key: format!("smtp:{}:{}", work.envelope.message, work.envelope.dispatch_no),
            message_id: None,
            kind: EventKind::SoftBounced.to_string(),
            at: self.clock.now().timestamp_millis(),
            channel: Channel::Email.to_string(),
            address: Some(work.envelope.to.to_lowercase()),
            detail: None,
        }
    }

    /// The message goes back before anything was tried.
    pub(super) fn later(&self, work: &Work, wait: Duration) -> Finished {
        Finished { next_at: Some(self.next_at(work, wait)), ..self.blank(work, State::Planned) }
    }

    /// When a message that waits is looked at again, in epoch milliseconds.
    pub(super) fn next_at(&self, work: &Work, wait: Duration) -> i64 {
        let wait = chrono::Duration::from_std(wait).unwrap_or(chrono::Duration::minutes(5));
        // Spread a little, so that a crowd does not come back at once.
        let spread = (work.envelope.message.as_u128() % 1000) as i64;
        (self.clock.now() + wait).timestamp_millis() + spread
    }

    /// The message goes back unharmed, for after a pause.
    pub(super) fn put_back(&self, work: &Work, pause: Duration, reply: String) -> Finished {
        let next = self.clock.now() + chrono::Duration::from_std(pause).unwrap_or(chrono::Duration::minutes(5));
        Finished {
            outcome: Some("paused"),
            reply: Some(reply),
            next_at: Some(next.timestamp_millis()),
            ..self.blank(work, State::Planned)
        }
    }

    /// What an outcome means for the ledger.
    pub(super) fn finished(&self, work: &Work, outcome: Outcome) -> (Finished, Vec<Suppression>) {
        let now = self.clock.now();
        let blank = |state| self.blank(work, state);
        match outcome {
            Outcome::Sent { reference } => {
                let sent_at = Some(now.timestamp_millis());
                (Finished { outcome: Some("sent"), reference, sent_at, ..blank(State::Sent) }, vec![])
            }
            Outcome::Retry { reply, blame } => {
                let failures = u32::try_from(work.retries + 1).unwrap_or(u32::MAX);
                // A full mailbox is not empty again in a minute.
                let failures = if blame == Blame::Mailbox { failures.max(retry::AN_HOUR_LATER) } else { failures };
                let word = if blame == Blame::Lost { "lost" } else { "retry" };
                let first = work.first_failed_at.unwrap_or(now);
                // Spread by id: the same message always waits the same, a crowd does not.
                let jitter = (work.envelope.message.as_u128() % 1000) as f64 / 1000.0;
                let next = retry::next_attempt(failures, first, now, jitter);
                let (state, reason) = if next.is_some() {
                    (State::Planned, None)
                } else {
                    (State::Failed, Some(Reason::RetriesExhausted))
                };
                let next_at = next.map(|at| at.timestamp_millis());
                (
                    Finished { outcome: Some(word), reply: Some(reply), reason, next_at, spent: 1, ..blank(state) },
                    vec![],
                )
            }
            Outcome::Rejected { reason, reply, suppress } => {
                let suppress = if suppress && self.settings.redirect_all_to.is_none() {
                    suppressions_for(&work.envelope, reason, now.timestamp_millis())
                } else {
                    vec![]
                };
                let row = Finished {
                    outcome: Some("rejected"),
                    reply: Some(reply),
                    reason: Some(reason),
                    spent: 1,
                    ..blank(State::Failed)
                };
                (row, suppress)
            }
            Outcome::Pause { reply, pause: wait } | Outcome::Later { reply, wait } => {
                (self.put_back(work, wait, reply), vec![])
            }
            Outcome::Uncertain { reply } => {
                let row = Finished {
                    outcome: Some("uncertain"),
                    reply: Some(reply),
                    uncertain: true,
                    ..blank(State::Uncertain)
                };
                (row, vec![])
            }
        }
    }

    /// A row that only moves the message to a state.
    pub(super) fn blank(&self, work: &Work, state: State) -> Finished {
        Finished {
            id: work.envelope.message,
            claim: work.claim,
            dispatch_no: work.envelope.dispatch_no,
            channel: self.channel,
            sender: self.factory.name().to_owned(),
            state,
            reason: None,
            next_at: None,
            reference: None,
            sent_at: None,
            price: None,
            outcome: None,
            reply: None,
            address: None,
            uncertain: false,
            spent: 0,
            tried: None,
        }
    }
}

/// An address that does not exist is closed for everything; an operator's blacklist only for
/// marketing, since service lines still reach it.
fn suppressions_for(envelope: &Envelope, reason: Reason, now: i64) -> Vec<Suppression> {
    let purposes: &[Purpose] = match envelope.channel() {
        Channel::Email => Purpose::ALL,
        Channel::Sms => &[Purpose::Marketing],
    };
    closed_to(&envelope.to, purposes, reason, now)
}

/// Closes an address.
pub(super) fn closed_to(address: &str, purposes: &[Purpose], reason: Reason, now: i64) -> Vec<Suppression> {
    let suppression = |purpose: &Purpose| Suppression {
        address: address.to_lowercase(),
        purpose: purpose.as_str(),
        reason: reason.to_string(),
        created_at: now,
    };
    purposes.iter().map(suppression).collect()
}
