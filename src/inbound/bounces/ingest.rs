//! Acts on a mail that came back. Anybody can write a bounce, so one is believed only where it
//! carries the signed return path of a message, or its Message-ID together with the address that the
//! message went to. What cannot be verified changes nothing.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::classify::{Action, Heard, Kind, LARGEST, addressed_to, classify, letter, subject_of};
use crate::domain::Instant;
use crate::domain::message::{Channel, EventKind, Purpose};
use crate::domain::reply::Words;
use crate::domain::token::{TokenKey, TokenUse};
use crate::store::events::{self, About, Event};
use crate::store::objections::{self, Objection};
use crate::store::replies::{self, Reply};
use crate::store::suppressions::{self, Suppression};
use crate::store::{Store, StoreError, Tx, configuration};

/// What a mail was, and what it changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ingested {
    pub kind: Kind,
    pub status: Option<String>,
    /// The message it is about, where that could be verified.
    pub message: Option<Uuid>,
    /// Whether it was heard for the first time.
    pub is_new: bool,
    /// Whether the address is closed now.
    pub suppressed: bool,
}

/// Reads one mail and records what it says, in one transaction. Doing it again changes nothing.
/// `recipient` is to whom the mail was sent, where the mail server says it. Fails only with the store.
pub async fn ingest(
    store: &Store,
    mail: &[u8],
    recipient: Option<&str>,
    now: Instant,
) -> Result<Vec<Ingested>, StoreError> {
    let mail = &mail[..mail.len().min(LARGEST)];
    let heard = classify(mail);
    let addressed: Vec<String> = recipient.map(str::to_owned).into_iter().chain(addressed_to(mail)).collect();
    let mut tx = store.begin().await?;
    let tokens = configuration::token_key(&mut tx).await?;
    let intake = Intake {
        digest: HEXLOWER.encode(&Sha256::digest(mail)[..16]),
        returned: signed(&tokens, TokenUse::Return, &addressed),
        now: now.timestamp_millis(),
    };
    let mut done = Vec::new();
    let is_answer = heard.iter().all(|row| matches!(row.kind, Kind::NotABounce | Kind::AutoReply));
    match unsubscribed(&tokens, &addressed, mail).filter(|_| is_answer) {
        Some(message) => done.extend(intake.unsubscribe(&mut tx, message).await?),
        None => {
            for row in &heard {
                done.push(intake.record(&mut tx, row).await?);
            }
            if heard.iter().all(|row| row.kind == Kind::NotABounce) {
                intake.keep(&mut tx, mail).await?;
            }
        }
    }
    tx.commit().await?;
    for row in &done {
        let message = row.message.map(|id| id.to_string());
        tracing::info!(kind = %row.kind, status = row.status, message, suppressed = row.suppressed, "a mail came back");
    }
    Ok(done)
}

/// The message of a token that one of the addresses carries: `anything+TOKEN@domain`.
fn signed(tokens: &TokenKey, used_for: TokenUse, addresses: &[String]) -> Option<Uuid> {
    addresses.iter().find_map(|address| {
        let (_, token) = address.split_once('@')?.0.rsplit_once('+')?;
        tokens.message(used_for, token)
    })
}

/// The message whose sending somebody stops: by the address, or by the subject `unsubscribe TOKEN`.
fn unsubscribed(tokens: &TokenKey, addressed: &[String], mail: &[u8]) -> Option<Uuid> {
    signed(tokens, TokenUse::Unsubscribe, addressed).or_else(|| {
        let subject = subject_of(mail);
        let token = subject.strip_prefix("unsubscribe ")?.trim();
        tokens.message(TokenUse::Unsubscribe, token)
    })
}

struct Intake {
    digest: String,
    /// The message of a signed return path.
    returned: Option<Uuid>,
    now: i64,
}

impl Intake {
    /// Records a row, if it can be verified.
    async fn record(&self, tx: &mut Tx, row: &Heard) -> Result<Ingested, StoreError> {
        let mut done =
            Ingested { kind: row.kind, status: row.status.clone(), message: None, is_new: false, suppressed: false };
        let Some(kind) = event_kind(row) else { return Ok(done) };
        let Some(about) = self.about(tx, row).await? else { return Ok(done) };
        done.message = Some(about.id);
        let Some(address) = about.address.as_deref().map(str::to_lowercase) else { return Ok(done) };
        // Forwarded mail comes back from an address that is not the one we wrote to: the member's own
        // may be alive.
        let is_own = row.recipient.as_deref().is_none_or(|found| found.eq_ignore_ascii_case(&address));
        let is_final = matches!(kind, EventKind::Bounced | EventKind::NoMail);
        let kind = if is_final && !is_own { EventKind::SoftBounced } else { kind };
        let named = row.recipient.as_deref().unwrap_or_default().to_lowercase();
        done.is_new = self.hear(tx, &named, about.id, kind, &address, row.status.as_deref()).await?;
        let (purposes, reason) = match kind {
            EventKind::Bounced => (Purpose::ALL, "bounced"),
            // Whoever reports an offer as spam still gets the receipt of an order.
            EventKind::Complained => (&[Purpose::Marketing][..], "complained"),
            EventKind::SoftBounced | EventKind::NoMail => {
                if !events::is_given_up(tx, &address, kind, self.now).await? {
                    return Ok(done);
                }
                (Purpose::ALL, kind.as_str())
            }
            _ => return Ok(done),
        };
        self.suppress(tx, &address, purposes, reason).await?;
        done.suppressed = true;
        Ok(done)
    }

    /// The message that a row is about: by the signed return path, else by its Message-ID, if the
    /// message exists and went to the address that came back.
    async fn about(&self, tx: &mut Tx, row: &Heard) -> Result<Option<About>, StoreError> {
        if let Some(message) = self.returned {
            return events::about(tx, message, Some(Channel::Email)).await;
        }
        let id = row.message_id.as_deref().and_then(|id| id.split('@').next()?.parse::<Uuid>().ok());
        let (Some(id), Some(recipient)) = (id, row.recipient.as_deref()) else { return Ok(None) };
        let about = events::about(tx, id, Some(Channel::Email)).await?;
        Ok(about.filter(|about| about.address.as_deref().is_some_and(|to| to.eq_ignore_ascii_case(recipient))))
    }

    async fn unsubscribe(&self, tx: &mut Tx, message: Uuid) -> Result<Option<Ingested>, StoreError> {
        let Some(about) = events::about(tx, message, Some(Channel::Email)).await? else { return Ok(None) };
        let Some(address) = about.address.map(|address| address.to_lowercase()) else { return Ok(None) };
        let is_new = self.hear(tx, "unsubscribe", message, EventKind::Unsubscribed, &address, Some("by mail")).await?;
        self.suppress(tx, &address, &[Purpose::Marketing], "unsubscribed").await?;
        let objection = Objection {
            member_id: about.member_id,
            channel: Channel::Email,
            purpose: Purpose::Marketing,
            reason: EventKind::Unsubscribed.to_string(),
            made_at: self.now,
        };
        objections::insert(tx, &[objection]).await?;
        Ok(Some(Ingested { kind: Kind::NotABounce, status: None, message: Some(message), is_new, suppressed: true }))
    }

    /// Keeps what a person wrote, if it answers a mail of ours or a member wrote it: of anything else there
    /// would be no end.
    async fn keep(&self, tx: &mut Tx, mail: &[u8]) -> Result<(), StoreError> {
        let Some(letter) = letter(mail) else { return Ok(()) };
        let mut is_ours = self.returned.is_some() || !replies::members(tx, vec![letter.from.clone()]).await?.is_empty();
        for id in letter.answers.iter().filter_map(|id| id.split('@').next()?.parse::<Uuid>().ok()) {
            is_ours = is_ours || events::about(tx, id, None).await?.is_some();
        }
        if !is_ours {
            return Ok(());
        }
        let reply = Reply {
            key: format!("mail:{}", self.digest),
            channel: Channel::Email.as_str(),
            urgent: Words::default().is_nearly_stop(&letter.text),
            address: letter.from,
            text: letter.text,
            at: self.now,
            heard_at: self.now,
        };
        replies::keep(tx, &[reply]).await
    }

    /// Records an event; whether it was not known.
    async fn hear(
        &self,
        tx: &mut Tx,
        of: &str,
        message: Uuid,
        kind: EventKind,
        address: &str,
        detail: Option<&str>,
    ) -> Result<bool, StoreError> {
        let event = Event {
            key: format!("mail:{}:{}", self.digest, HEXLOWER.encode(&Sha256::digest(of.as_bytes())[..8])),
            message_id: Some(message),
            kind: kind.as_str().to_owned(),
            at: self.now,
            channel: Channel::Email.to_string(),
            address: Some(address.to_owned()),
            detail: detail.map(str::to_owned),
        };
        Ok(!events::record(tx, &[event]).await?.is_empty())
    }

    async fn suppress(&self, tx: &mut Tx, address: &str, purposes: &[Purpose], reason: &str) -> Result<(), StoreError> {
        let rows: Vec<Suppression> = purposes
            .iter()
            .map(|purpose| Suppression {
                address: address.to_owned(),
                purpose: purpose.as_str(),
                reason: reason.to_owned(),
                created_at: self.now,
            })
            .collect();
        suppressions::insert(tx, &rows).await?;
        Ok(())
    }
}

/// What a row is as an event; nothing, where it is a warning or no bounce.
const fn event_kind(row: &Heard) -> Option<EventKind> {
    match (row.kind, row.action) {
        (Kind::Hard, Action::Suppress) => Some(EventKind::Bounced),
        (Kind::Hard, Action::Twice) => Some(EventKind::NoMail),
        (Kind::Hard | Kind::Soft, Action::Count) => Some(EventKind::SoftBounced),
        (Kind::Block, _) => Some(EventKind::Blocked),
        (Kind::Complaint, Action::Suppress) => Some(EventKind::Complained),
        _ => None,
    }
}
