//! Hands envelopes to the broker, many in flight at once, and believes only its confirms.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel as Line, Confirmation};
use uuid::Uuid;

use super::broker::{self, Broker};
use super::link::Link;
use crate::domain::message::{Channel, Envelope};
use crate::queue::QueueError;
use crate::queue::payload::Bundle;

/// How many deliveries are on their way at once. Waiting for each confirm by itself would cost a
/// disk write of the broker for each.
const IN_FLIGHT: usize = 16;

/// How many messages one delivery carries at most, and about how many bytes.
const BUNDLE: usize = 32;
const BUNDLE_BYTES: usize = 512 * 1024;

/// `delivery_mode` of a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Why a broker with a disk or memory alarm is not published to.
const BLOCKED: &str = "it takes no messages at present, for want of disk space or memory";

/// The publishing connection.
pub(super) struct Publisher {
    broker: Arc<Broker>,
    link: Link,
    /// In confirm mode, and without an unanswered publish of an earlier call.
    line: Option<Line>,
}

/// What the broker said about a batch.
#[derive(Default)]
struct Answers {
    /// Positions of the bundles that it has.
    acknowledged: Vec<usize>,
    refused: usize,
    /// Positions of what no queue wanted. The broker acknowledges these too.
    returned: HashSet<usize>,
    unroutable: usize,
    failure: Option<String>,
}

impl Publisher {
    pub(super) const fn new(broker: Arc<Broker>) -> Self {
        Self { broker, link: Link::new("publisher"), line: None }
    }

    /// Publishes a batch; see [`crate::queue::Queue::publish`].
    pub(super) async fn publish(&mut self, envelopes: &[Envelope]) -> Result<Vec<Uuid>, QueueError> {
        if envelopes.is_empty() {
            return Ok(Vec::new());
        }
        if self.link.is_blocked() {
            // Not tried: it would only fill memory, here and on another connection as well.
            return Err(self.broker.unavailable(BLOCKED));
        }
        // Taken, so that a call that is dropped half-way leaves no channel with open questions.
        let line = match self.line.take() {
            Some(line) if line.status().connected() => line,
            _ => self.open().await?,
        };
        let bundles = bundles(envelopes);
        let mut answers = self.send(&line, &bundles).await;
        answers.acknowledged.retain(|bundle| !answers.returned.contains(bundle));
        if answers.failure.is_none() && answers.unroutable == 0 {
            self.line = Some(line);
        }
        // Else the next call opens another channel, which also declares a queue that is missing.

        let Answers { acknowledged, refused, unroutable, failure, .. } = answers;
        match failure {
            Some(reason) if acknowledged.is_empty() => return Err(self.broker.unavailable(reason)),
            None if refused == 0 && unroutable == 0 => {}
            failure => {
                let unanswered = bundles.len().saturating_sub(acknowledged.len() + refused + unroutable);
                let reason = failure.unwrap_or_else(|| match unroutable {
                    0 => "the broker refused some".to_owned(),
                    _ => "a queue was missing; the next call declares it".to_owned(),
                });
                let confirmed = acknowledged.len();
                tracing::warn!(confirmed, refused, unroutable, unanswered, reason, "a batch was published in part");
            }
        }
        Ok(acknowledged.iter().flat_map(|bundle| &bundles[*bundle].ids).copied().collect())
    }

    pub(super) async fn close(&mut self) {
        self.line = None;
        self.link.close(&self.broker).await;
    }

    /// Opens a channel in confirm mode.
    async fn open(&mut self) -> Result<Line, QueueError> {
        let line = self.link.line(&self.broker).await?;
        self.broker.declare(&line).await?;
        let confirms = line.confirm_select(ConfirmSelectOptions::default());
        self.broker.within(confirms).await?.map_err(|error| self.broker.failed(&error))?;
        Ok(line)
    }

    async fn send(&mut self, line: &Line, bundles: &[Bundled]) -> Answers {
        let limit = self.broker.limits.confirm;
        let mut answers = Answers::default();
        let mut waiting = bundles.iter().enumerate();
        let mut in_flight = FuturesUnordered::new();
        loop {
            while answers.failure.is_none() && in_flight.len() < IN_FLIGHT {
                let Some((position, bundle)) = waiting.next() else { break };
                in_flight.push(hand_over(&self.broker, line, position, bundle));
            }
            // The limit starts again with each answer: a slow broker is not a dead one.
            match tokio::time::timeout(limit, in_flight.next()).await {
                Ok(None) => return answers,
                Ok(Some((position, Ok(confirmation)))) => answers.take(position, confirmation),
                // The others are still heard: some were answered before the connection broke.
                Ok(Some((_, Err(error)))) => {
                    // What the broker itself says is the cause; the client's errors follow from it.
                    if answers.failure.is_none() || broker::code(&error).is_some() {
                        answers.failure = Some(self.broker.explain(&error));
                    }
                }
                Err(_) => {
                    answers.failure = Some(if self.link.is_blocked() {
                        BLOCKED.to_owned()
                    } else {
                        self.link.give_up();
                        self.broker.slow(limit)
                    });
                    return answers;
                }
            }
        }
    }
}

impl Answers {
    fn take(&mut self, position: usize, confirmation: Confirmation) {
        let returned = match confirmation {
            Confirmation::Ack(returned) => {
                self.acknowledged.push(position);
                returned
            }
            Confirmation::Nack(returned) => {
                self.refused += 1;
                returned
            }
            Confirmation::NotRequested => None,
        };
        // The client hangs a return on whichever confirm comes next: its own id tells whose it is.
        if let Some(returned) = returned {
            self.unroutable += 1;
            self.returned.extend(position_of(&returned));
        }
    }
}

/// What one dispatch made for one queue, in one delivery.
struct Bundled {
    channel: Channel,
    ids: Vec<Uuid>,
    bytes: Vec<u8>,
}

/// Envelopes in as few deliveries as may be.
fn bundles(envelopes: &[Envelope]) -> Vec<Bundled> {
    let mut bundled = Vec::new();
    for channel in Channel::ALL.iter().copied() {
        let (mut bundle, mut ids) = (Bundle::default(), Vec::new());
        let mut own = envelopes.iter().filter(|envelope| envelope.channel() == channel).peekable();
        while let Some(envelope) = own.next() {
            bundle.push(envelope);
            ids.push(envelope.message);
            if bundle.count() >= BUNDLE || bundle.length() >= BUNDLE_BYTES || own.peek().is_none() {
                let (ids, bytes) = (std::mem::take(&mut ids), std::mem::take(&mut bundle).into_bytes());
                bundled.push(Bundled { channel, ids, bytes });
            }
        }
    }
    bundled
}

fn position_of(returned: &BasicReturnMessage) -> Option<usize> {
    returned.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok())
}

async fn hand_over(
    broker: &Broker,
    line: &Line,
    position: usize,
    bundle: &Bundled,
) -> (usize, lapin::Result<Confirmation>) {
    let properties =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(position.to_string().into());
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let key = broker.queue(bundle.channel);
    let confirmed =
        async { line.basic_publish(broker.exchange(), key, mandatory, &bundle.bytes, properties).await?.await };
    (position, confirmed.await)
}
