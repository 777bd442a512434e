//! What a member wants to get: channels switched off and on again, and a pause. Each change can be
//! repeated and changes nothing the second time. Only what members set themselves they lift again.

use chrono::Duration;
use uuid::Uuid;

use crate::domain::Instant;
use crate::domain::member::Member;
use crate::domain::message::{Channel, EventKind, Purpose};
use crate::store::events::{self, About, Event};
use crate::store::objections::{self, Objection};
use crate::store::suppressions::{self, Suppression};
use crate::store::{StoreError, Tx, consents, members};

/// How long a pause is.
pub(in crate::web) const PAUSE: Duration = Duration::days(30);

/// Whether marketing comes by a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Position {
    On,
    /// By the member's own wish.
    Off,
    /// For another reason: no consent, a dead address, a complaint.
    Closed,
}

/// A message's recipient, and what they want.
#[derive(Debug, Clone)]
pub(in crate::web) struct Recipient {
    pub message: Uuid,
    /// By which the message came.
    pub channel: Channel,
    pub member: Member,
    /// The channels that have an address.
    pub positions: Vec<(Channel, Position)>,
    /// Where each channel reaches or reached them, lower case: today's address first, then the message's.
    addresses: Vec<(Channel, String)>,
}

impl Recipient {
    /// Reads who got a message; `None` where there is no such message.
    pub async fn read(tx: &mut Tx, message: Uuid) -> Result<Option<Self>, StoreError> {
        let Some(about) = events::about(tx, message, None).await? else { return Ok(None) };
        let Some(member) = members::by_ids(tx, vec![about.member_id]).await?.remove(&about.member_id) else {
            return Ok(None);
        };
        let (channel, addresses) = addresses(&about, &member);
        let listed = addresses.iter().map(|(_, address)| address.clone()).collect();
        let closed = suppressions::marketing(tx, listed).await?;
        let objections = objections::of_members(tx, vec![member.id]).await?;
        let position = |channel: Channel| {
            let (_, address) = addresses.iter().find(|(other, _)| *other == channel)?;
            let objects = objections.contains(&(member.id, channel, Purpose::Marketing));
            let position = match closed.iter().find(|(closed, _)| closed == address) {
                _ if !member.consents(channel) => Position::Closed,
                None if objects => Position::Off,
                None => Position::On,
                Some((_, reason)) if suppressions::is_own(reason) => Position::Off,
                Some(_) => Position::Closed,
            };
            Some((channel, position))
        };
        let positions = Channel::ALL.iter().filter_map(|channel| position(*channel)).collect();
        Ok(Some(Self { message, channel, member, positions, addresses }))
    }

    /// Until when marketing is paused at `now`.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.member.paused_until.filter(|until| now < *until)
    }

    /// Stops marketing by a channel: to where the message went, to where it would go today, and to wherever the member
    /// can be reached later.
    pub async fn switch_off(&self, tx: &mut Tx, channel: Channel, now: Instant) -> Result<(), StoreError> {
        let row = |address: String| Suppression {
            address,
            purpose: Purpose::Marketing.as_str(),
            reason: EventKind::Unsubscribed.to_string(),
            created_at: now.timestamp_millis(),
        };
        let rows: Vec<Suppression> = self.of(channel).into_iter().map(row).collect();
        suppressions::insert(tx, &rows).await?;
        let objection = Objection {
            member_id: self.member.id,
            channel,
            purpose: Purpose::Marketing,
            reason: EventKind::Unsubscribed.to_string(),
            made_at: now.timestamp_millis(),
        };
        objections::insert(tx, &[objection]).await?;
        self.note(tx, EventKind::Unsubscribed, channel, now).await
    }

    /// Takes back what the member's own wish stopped by a channel, and nothing else.
    pub async fn switch_on(&self, tx: &mut Tx, channel: Channel, now: Instant) -> Result<(), StoreError> {
        let at = now.timestamp_millis();
        let opened = suppressions::lift_own(tx, self.of(channel), at).await?;
        let lifted = objections::lift(tx, vec![self.member.id], channel, Purpose::Marketing, at).await?;
        if opened + lifted > 0 {
            consents::confirm(tx, vec![self.member.id], channel, "preference page", at).await?;
            self.note(tx, EventKind::OptedIn, channel, now).await?;
        }
        Ok(())
    }

    /// Keeps marketing away for [`PAUSE`]; a pause that goes on stays as it is.
    pub async fn pause(&self, tx: &mut Tx, now: Instant) -> Result<(), StoreError> {
        if self.paused_until(now).is_some() {
            return Ok(());
        }
        members::pause(tx, self.member.id, Some(now + PAUSE)).await
    }

    /// Ends a pause.
    pub async fn resume(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.member.paused_until.is_none() {
            return Ok(());
        }
        members::pause(tx, self.member.id, None).await
    }

    fn of(&self, channel: Channel) -> Vec<String> {
        let own = self.addresses.iter().filter(|(other, _)| *other == channel);
        own.map(|(_, address)| address.clone()).collect()
    }

    async fn note(&self, tx: &mut Tx, kind: EventKind, channel: Channel, now: Instant) -> Result<(), StoreError> {
        let event = Event {
            key: format!("web:{}:{kind}:{channel}", self.message),
            message_id: Some(self.message),
            kind: kind.to_string(),
            at: now.timestamp_millis(),
            channel: channel.to_string(),
            address: None,
            detail: Some(channel.to_string()),
        };
        events::record(tx, &[event]).await.map(drop)
    }
}

fn addresses(about: &About, member: &Member) -> (Channel, Vec<(Channel, String)>) {
    let channel = about.channel.as_deref().and_then(|word| word.parse().ok()).unwrap_or(Channel::Email);
    let mut found: Vec<(Channel, String)> = Vec::new();
    for known in Channel::ALL {
        found.extend(member.address(*known).map(|address| (*known, address.to_lowercase())));
    }
    let went_to = about.address.as_ref().map(|address| (channel, address.to_lowercase()));
    found.extend(went_to.filter(|went_to| !found.contains(went_to)));
    (channel, found)
}
