//! The message: its states and how they may follow each other, the reasons for not sending, and
//! the rendered envelope that travels through the queue to a sender.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Instant;

/// Declares an enum whose variants have one stable name in the database, in JSON and in YAML.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }
        impl $name {
            /// Every variant, in declared order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// Names and variants, for reading settings.
            pub const WORDS: &'static [(&'static str, $name)] = &[$(($word, $name::$variant)),+];
            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    other => Err(format!("`{other}` is not one of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How a message travels; chosen when it is dispatched.
    Channel { Email = "email", Sms = "sms" }
}

words! {
    /// Why a message is sent: decides the SMS line, quiet hours and which opt-outs apply.
    Purpose { Marketing = "marketing", Service = "service" }
}

words! {
    /// Where a message is in its life (the diagram is in ARCHITECTURE.md).
    State {
        /// Due, waiting for its `next_at`.
        Planned = "planned",
        /// Rendered and handed to the queue under its `dispatch_no`.
        Queued = "queued",
        /// Claimed by one sender, under a lease.
        Sending = "sending",
        /// The server took it.
        Sent = "sent",
        /// A delivery receipt came.
        Delivered = "delivered",
        /// It came back.
        Bounced = "bounced",
        /// The recipient complained.
        Complained = "complained",
        /// Refused for good; the reason says why.
        Failed = "failed",
        /// Handed over, but the answer was lost.
        Uncertain = "uncertain",
        /// Policy decided against it; the reason says why.
        Skipped = "skipped",
        /// In the control group.
        HeldOut = "held_out",
        /// Ended from outside (an order was cancelled, a campaign withdrawn).
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether a message in this state may go to `next`. Everything else is a defect.
    pub const fn may_become(self, next: State) -> bool {
        use State::*;
        match self {
            Planned => matches!(next, Queued | Skipped | HeldOut | Cancelled),
            Queued => matches!(next, Sending | Planned | Cancelled),
            Sending => matches!(next, Sent | Planned | Failed | Uncertain | Skipped | HeldOut | Cancelled),
            Uncertain => matches!(next, Planned | Sent | Delivered | Bounced | Failed),
            // Planned: on the next channel, where the campaign falls back.
            Sent => matches!(next, Planned | Delivered | Bounced | Complained),
            Delivered => matches!(next, Bounced | Complained),
            Bounced => matches!(next, Planned | Complained),
            // A member who comes into the audience by late data gets the occasion after all.
            Skipped => matches!(next, Planned),
            // By hand.
            Failed => matches!(next, Planned),
            Complained | HeldOut | Cancelled => false,
        }
    }

    /// Whether nothing more happens to the message by itself.
    pub const fn is_final(self) -> bool {
        !matches!(self, State::Planned | State::Queued | State::Sending)
    }

    /// Whether the message counts as having gone out: for the frequency cap and for greetings.
    pub const fn counts_as_sent(self) -> bool {
        use State::*;
        matches!(self, Queued | Sending | Sent | Uncertain | Delivered | Bounced | Complained)
    }
}

words! {
    /// Why a message was not sent. Policy tests `campaign_ended`, `order_cancelled` and `collapsed`, then the
    /// first fourteen in this order, and records the first that holds; the rest come from senders.
    Reason {
        MemberDeleted = "member_deleted",
        OutsideAudience = "outside_audience",
        GoalReached = "goal_reached",
        TooLate = "too_late",
        AlreadyGreeted = "already_greeted",
        /// None on these channels, or a number that no provider is for.
        NoAddress = "no_address",
        NoConsent = "no_consent",
        Suppressed = "suppressed",
        /// Everybody has the occasion at once, and another member's message stands for the address.
        SameAddress = "same_address",
        HeldOut = "held_out",
        /// It is a day of rest on which nothing is sent.
        RestDay = "rest_day",
        FrequencyCap = "frequency_cap",
        Budget = "budget",
        GiftUnavailable = "gift_unavailable",
        /// The order that the occasion rests on was cancelled or refunded, or is another member's by now.
        OrderCancelled = "order_cancelled",
        /// The order belongs to an occasion that an earlier order opened, or whose message went out.
        Collapsed = "collapsed",
        /// The campaign or the step does not exist any more, or has ended.
        CampaignEnded = "campaign_ended",
        /// The store was restored from a backup: nobody knows whether this went out after it was made.
        Restored = "restored",
        /// Somebody cancelled it.
        ByHand = "by_hand",
        /// The content could not be rendered for this member.
        RenderFailed = "render_failed",
        /// It cannot be made into what a server takes; none was asked.
        Unbuildable = "unbuildable",
        /// The server does not know the recipient.
        BadRecipient = "bad_recipient",
        /// The server refused the sender or the message for a reason of policy.
        Refused = "refused",
        /// The server refused this message's content or size.
        MessageRefused = "message_refused",
        /// The server says that we speak wrongly: a defect or a setting of ours.
        OurFault = "our_fault",
        /// It was retried until it was too old.
        RetriesExhausted = "retries_exhausted",
    }
}

words! {
    /// What can be heard about a message after it was sent.
    EventKind {
        /// A receipt: it arrived.
        Delivered = "delivered",
        /// A receipt: it did not arrive, and will not.
        Undelivered = "undelivered",
        /// It came back, and the address is dead.
        Bounced = "bounced",
        /// It came back for a reason that may pass, such as a full mailbox.
        SoftBounced = "soft_bounced",
        /// It came back because its domain takes no mail.
        NoMail = "no_mail",
        /// It came back because of us: reputation, content, policy.
        Blocked = "blocked",
        /// Reported as spam.
        Complained = "complained",
        Opened = "opened",
        Clicked = "clicked",
        /// By link or mail.
        Unsubscribed = "unsubscribed",
        /// By a word sent back.
        OptedOut = "opted_out",
        OptedIn = "opted_in",
        /// Another word, or any other answer of a person.
        Replied = "replied",
    }
}

impl EventKind {
    /// The state to which it brings its message, where it changes that at all.
    pub const fn state(self) -> Option<State> {
        match self {
            Self::Delivered => Some(State::Delivered),
            Self::Undelivered | Self::Bounced | Self::SoftBounced | Self::NoMail | Self::Blocked => {
                Some(State::Bounced)
            }
            Self::Complained => Some(State::Complained),
            _ => None,
        }
    }
}

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

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    Email {
        /// `Name <address>`.
        from: String,
        /// The recipient's name for the `To` header; may be empty.
        to_name: String,
        /// Where it comes back to; absent: to the sender.
        #[serde(default)]
        return_path: Option<String>,
        /// More headers, names and values, in this order.
        #[serde(default)]
        headers: Vec<(String, String)>,
        subject: String,
        /// Without it the mail is text only.
        html: Option<String>,
        text: String,
    },
    /// In the forms that the providers take which may get it.
    Sms { forms: Vec<SmsForm> },
}

/// What some providers are given of an SMS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsForm {
    /// By name; empty: whoever sends it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    pub words: SmsWords,
}

/// The words of an SMS, or where they are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsWords {
    Text(String),
    /// A message the provider holds as a template of its own: its id there and the named values.
    Pattern {
        template: String,
        values: Vec<(String, String)>,
    },
}

impl Content {
    /// An SMS that says the same through every provider.
    pub fn text(text: impl Into<String>) -> Self {
        Self::sms([(String::new(), SmsWords::Text(text.into()))])
    }

    /// An SMS of what each provider is given; one without a name is any.
    pub fn sms(given: impl IntoIterator<Item = (String, SmsWords)>) -> Self {
        let mut forms: Vec<SmsForm> = Vec::new();
        for (provider, words) in given {
            let provider = Some(provider).filter(|provider| !provider.is_empty());
            match forms.iter_mut().find(|form| form.words == words) {
                Some(form) => form.providers.extend(provider),
                None => forms.push(SmsForm { providers: provider.into_iter().collect(), words }),
            }
        }
        Self::Sms { forms }
    }

    /// What a provider is given of an SMS, where it has a form for it.
    pub fn words_for(&self, provider: &str) -> Option<&SmsWords> {
        let Self::Sms { forms } = self else { return None };
        let own = |form: &&SmsForm| form.providers.is_empty() || form.providers.iter().any(|own| own == provider);
        forms.iter().find(own).map(|form| &form.words)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_machine_is_the_one_in_the_architecture() {
        let arrows = |from: State| {
            State::ALL.iter().filter(|to| from.may_become(**to)).map(|s| s.as_str()).collect::<Vec<_>>().join(" ")
        };
        let table = [
            (State::Planned, "queued skipped held_out cancelled"),
            (State::Queued, "planned sending cancelled"),
            (State::Sending, "planned sent failed uncertain skipped held_out cancelled"),
            (State::Sent, "planned delivered bounced complained"),
            (State::Delivered, "bounced complained"),
            (State::Bounced, "planned complained"),
            (State::Complained, ""),
            (State::Failed, "planned"),
            (State::Uncertain, "planned sent delivered bounced failed"),
            (State::Skipped, "planned"),
            (State::HeldOut, ""),
            (State::Cancelled, ""),
        ];
        assert_eq!(table.len(), State::ALL.len());
        for (from, expected) in table {
            assert_eq!(arrows(from), expected, "from {from}");
        }
    }

    #[test]
    fn words_are_read_back_as_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().unwrap(), *reason);
        }
        assert!("nonsense".parse::<State>().unwrap_err().contains("planned, queued"));
    }
}
