//! What is heard about a message.

use super::state::State;
use crate::domain::words::words;

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
        /// A machine loaded its picture, before any person or for many of them.
        Prefetched = "prefetched",
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
