//! Asks SMS providers at intervals: about messages without a receipt, about those that may have been
//! taken, and for what came in; and sends the answers to members' words. One process at a time asks.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sms::Heard;
use crate::clock::Clock;
use crate::domain::message::{Content, Envelope, Purpose, SmsWords};
use crate::domain::sms::{Line, line_for};
use crate::settings::{Settings, Uncertain};
use crate::store::answers::{self, Answer};
use crate::store::ledger::hear;
use crate::store::receipts::{self, Lost};
use crate::store::{Store, StoreError, leases};
use crate::transports::sms::{Found, Receipted, Received, SmsFactory};
use crate::transports::{Blame, Outcome, SenderFactory};

/// The lease of the process that asks; each pass renews it.
const LEASE: i64 = 10 * 60_000;

/// For how long after it was sent a receipt is asked for, in milliseconds.
const WINDOW: i64 = 3 * 24 * 3_600_000;

/// A message is asked about no sooner than this after it was sent.
const YOUNG: i64 = 60_000;

/// The same where nobody knows whether it was taken: a call may still be on its way.
const SETTLED: i64 = 120_000;

/// Messages that one pass asks about, and calls that it makes for them.
const MOST: i64 = 500;
const CALLS: usize = 50;

/// An answer to a word is of no use later.
const ANSWER_WITHIN: i64 = 3_600_000;

/// Writing down what a provider gives only once is tried so often.
const TRIES: usize = 5;

/// Asks one provider.
pub struct Poller {
    pub store: Store,
    pub clock: Clock,
    pub settings: Arc<Settings>,
    pub factory: SmsFactory,
    /// By whom members are answered; none where another poller does that.
    pub answers: Option<Arc<dyn SenderFactory>>,
    /// Up to where the messages without a receipt were asked about in this round.
    pub after: (i64, Uuid),
}

impl Poller {
    pub fn new(store: Store, clock: Clock, settings: Arc<Settings>, factory: SmsFactory) -> Self {
        let answers: Arc<dyn SenderFactory> = Arc::new(factory.clone());
        Self { store, clock, settings, factory, answers: Some(answers), after: (0, Uuid::nil()) }
    }

    /// Asks until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let every = self.factory.provider().poll.every;
        let holder = self.clock.new_id().to_string();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.pass(&holder).await {
                tracing::warn!(provider = self.factory.name(), %error, "asking the SMS provider stopped; trying again");
            }
            // Answers to members wait a shorter time than questions.
            let rounds = (every.as_secs() / 5).max(1);
            for _ in 0..rounds {
                tokio::select! {
                    () = tokio::time::sleep(every / u32::try_from(rounds).unwrap_or(1)) => {}
                    () = shutdown.cancelled() => break,
                }
                if let Err(error) = self.answer().await {
                    tracing::warn!(provider = self.factory.name(), %error, "cannot answer members' words; trying again");
                }
            }
        }
        if let Ok(mut tx) = self.store.begin().await
            && leases::release(&mut tx, &self.lease(), &holder).await.is_ok()
        {
            let _ = tx.commit().await;
        }
    }

    /// Asks once, unless another process does.
    pub async fn pass(&mut self, holder: &str) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let token = leases::acquire(&mut tx, &self.lease(), holder, LEASE).await?;
        if token.is_some() {
            hear::settle(&mut tx, self.now() - WINDOW).await?;
        }
        tx.commit().await?;
        if token.is_none() {
            return Ok(());
        }
        self.receipts().await?;
        if self.settings.sms.uncertain == Uncertain::Ask {
            self.uncertain().await?;
        }
        self.inbox().await?;
        self.answer().await
    }

    fn lease(&self) -> String {
        format!("poll:{}", self.factory.name())
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    fn heard(&self) -> Heard<'_> {
        Heard {
            provider: self.factory.provider(),
            settings: &self.settings.sms,
            brand: &self.settings.brand,
            clock: &self.clock,
        }
    }

    async fn write(&self, receipts: &[Receipted], received: &[Received]) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        self.heard().receipts(&mut tx, receipts).await?;
        self.heard().received(&mut tx, received).await?;
        tx.commit().await
    }

    /// Asks about messages without a receipt, a part of them each time, round and round.
    async fn receipts(&mut self) -> Result<(), StoreError> {
        let Some((.., batch)) = self.factory.provider().poll.receipts else { return Ok(()) };
        let now = self.now();
        let after = self.after.max((now - WINDOW, Uuid::nil()));
        let mut tx = self.store.read().await?;
        let limit = MOST.min(i64::try_from(batch * CALLS).unwrap_or(MOST));
        let open = receipts::open(&mut tx, self.factory.name(), after, now - YOUNG, limit).await?;
        tx.commit().await?;
        // The next round begins with the oldest again.
        self.after = open.last().map_or((0, Uuid::nil()), |(at, id, _)| (*at, *id));
        for part in open.chunks(batch) {
            let references: Vec<String> = part.iter().map(|(.., reference)| reference.clone()).collect();
            match self.factory.receipts(&references).await {
                Ok(receipts) => self.write(&receipts, &[]).await?,
                Err(error) => {
                    tracing::warn!(provider = self.factory.name(), error, "cannot ask for receipts");
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks about messages of which nobody knows whether they were taken. Only a clear answer counts.
    async fn uncertain(&self) -> Result<(), StoreError> {
        let Some(ask) = &self.factory.provider().poll.ask else { return Ok(()) };
        let now = self.now();
        let within = i64::try_from(ask.within.as_millis()).unwrap_or(i64::MAX);
        let mut tx = self.store.read().await?;
        let limit = i64::try_from(CALLS).unwrap_or(MOST);
        let lost =
            receipts::uncertain(&mut tx, self.factory.name(), now.saturating_sub(within), now - SETTLED, limit).await?;
        tx.commit().await?;
        for lost in lost {
            match self.factory.ask(lost.message_id).await {
                Ok(found) => self.found(lost, found).await?,
                Err(error) => {
                    tracing::warn!(provider = self.factory.name(), error, "cannot ask about an uncertain message");
                    break;
                }
            }
        }
        Ok(())
    }

    async fn found(&self, lost: Lost, found: Found) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        match found {
            Found::Has { reference, status } => {
                receipts::has_it(&mut tx, lost, reference.as_deref()).await?;
                let receipt = Receipted { reference, message: Some(lost.message_id.to_string()), status };
                self.heard().receipts(&mut tx, &[receipt]).await?;
                tracing::info!(message = %lost.message_id, "the provider has the uncertain message");
            }
            Found::HasNot => {
                receipts::has_not(&mut tx, lost, self.now()).await?;
                tracing::info!(message = %lost.message_id, "the provider never had the uncertain message; it is planned again");
            }
            Found::Unclear => {}
        }
        tx.commit().await
    }

    /// Fetches what came in to each line.
    async fn inbox(&self) -> Result<(), StoreError> {
        if self.factory.provider().poll.inbound.is_none() {
            return Ok(());
        }
        let configured = self.settings.sms.provider(self.factory.name());
        let lines = configured.map_or(&self.settings.sms.lines, |provider| &provider.lines);
        let mut numbers: Vec<&str> = lines.iter().map(|line| line.number.as_str()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for line in numbers {
            match self.factory.inbox(line).await {
                Ok(received) if received.is_empty() => {}
                Ok(received) => self.keep(&received).await?,
                Err(error) => tracing::warn!(provider = self.factory.name(), error, "cannot fetch what came in"),
            }
        }
        Ok(())
    }

    /// What was fetched may not be given again.
    async fn keep(&self, received: &[Received]) -> Result<(), StoreError> {
        for _ in 1..TRIES {
            match self.write(&[], received).await {
                Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_secs(1)).await,
                other => return other,
            }
        }
        self.write(&[], received).await
    }

    /// Sends the answers that wait.
    async fn answer(&self) -> Result<(), StoreError> {
        let Some(sender) = self.answers.clone() else { return Ok(()) };
        let now = self.now();
        let mut tx = self.store.begin().await?;
        let waiting = answers::take(&mut tx, now, now - ANSWER_WITHIN).await?;
        tx.commit().await?;
        for answer in waiting {
            let mut sender = sender.open();
            let outcome = sender.send(&self.envelope(&answer)).await;
            match outcome {
                Outcome::Retry { .. } | Outcome::Pause { .. } | Outcome::Later { .. } => {
                    let lost = matches!(outcome, Outcome::Retry { blame: Blame::Lost, .. });
                    let mut tx = self.store.begin().await?;
                    answers::give_back(&mut tx, &answer.key, lost.then(|| sender.name())).await?;
                    tx.commit().await?;
                }
                Outcome::Rejected { reply: why, .. } | Outcome::Uncertain { reply: why } => {
                    tracing::warn!(answer = %answer.id, why, "an answer to a member's word was not sent for sure");
                }
                Outcome::Sent { .. } => {}
            }
        }
        Ok(())
    }

    fn envelope(&self, answer: &Answer) -> Envelope {
        let purpose = answer.purpose.parse().unwrap_or(Purpose::Marketing);
        let redirect = self.settings.redirect_all_to.as_ref();
        let to = redirect.map_or_else(|| answer.address.clone(), |redirect| redirect.phone.clone());
        let text = |line: Option<&Line>| line.and_then(|line| line.finish(&answer.text).ok());
        let given = self.settings.brand.sms.of(&to).into_iter().map(|route| {
            let text = text(line_for(&route.lines, purpose)).unwrap_or_else(|| answer.text.clone());
            (route.provider.clone(), SmsWords::Text(text))
        });
        let content = Content::sms(given);
        Envelope {
            at: answer.created_at,
            campaign: "reply".to_owned(),
            only: answer.only_by.clone(),
            ..Envelope::new(answer.id, purpose, to, content)
        }
    }
}
