//! The rendered message that travels through the queue to a sender.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::content::Content;
use super::{Channel, Purpose};
use crate::domain::Instant;

/// The version of [`Envelope`] that is written and read.
pub const ENVELOPE_VERSION: u8 = 4;

/// A rendered message on its way through the queue: all that a sender needs, so that sending reads
/// no template and no member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`ENVELOPE_VERSION`].
    pub v: u8,
    /// The message's id; `Message-ID` and the provider's own-reference derive from it.
    pub message: Uuid,
    /// Which dispatch of the message this is; an older copy is dropped.
    pub dispatch_no: i64,
    /// When it was dispatched, in epoch milliseconds; a mail's `Date`.
    pub at: i64,
    /// Name of the campaign.
    pub campaign: String,
    pub purpose: Purpose,
    /// The e-mail address, or the phone number in E.164.
    pub to: String,
    /// The member's own address, by which policy judged, where `to` is another (`redirect_all_to`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant_for: Option<String>,
    /// Who may have the message already, and takes it only once: nobody else is given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// How often it has failed so far, and since when: what the next failure means.
    #[serde(default)]
    pub retries: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed_at: Option<Instant>,
    /// Whether another channel takes the message should this one fail for good.
    #[serde(default)]
    pub falls_back: bool,
    /// The number of policy by which it was judged. Where that is the same at the attempt, so is the answer, until
    /// `same_until` (epoch milliseconds), when the time may have another.
    #[serde(default)]
    pub policy: i64,
    #[serde(default)]
    pub same_until: i64,
    pub content: Content,
}

/// No message is this long in a queue, before it is packed: what would be is not made, and what claims to be is not
/// read.
pub const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

impl Envelope {
    /// The first dispatch of a message that stands by itself: of no campaign, judged by nobody.
    pub fn new(message: Uuid, purpose: Purpose, to: impl Into<String>, content: Content) -> Self {
        Self {
            v: ENVELOPE_VERSION,
            message,
            dispatch_no: 1,
            at: 0,
            campaign: String::new(),
            purpose,
            to: to.into(),
            meant_for: None,
            only: None,
            retries: 0,
            first_failed_at: None,
            falls_back: false,
            policy: 0,
            same_until: 0,
            content,
        }
    }

    /// The channel follows from the content.
    pub const fn channel(&self) -> Channel {
        match self.content {
            Content::Email { .. } => Channel::Email,
            Content::Sms { .. } => Channel::Sms,
        }
    }

    /// The address by which policy judged.
    pub fn judged(&self) -> &str {
        self.meant_for.as_deref().unwrap_or(&self.to)
    }

    /// Whether a server of this name can be given it.
    pub fn is_for(&self, server: &str) -> bool {
        self.channel() == Channel::Email || self.content.words_for(server).is_some()
    }
}
