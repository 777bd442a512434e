//! The message: how it travels and why, its states, the reasons for not sending, what is heard of it, and the rendered
//! envelope that goes through the queue to a sender.

use super::words::words;

mod content;
mod envelope;
mod event;
mod fact;
mod reason;
mod state;

pub use content::{Content, SmsForm, SmsWords};
pub use envelope::{ENVELOPE_VERSION, Envelope, LONGEST_MESSAGE};
pub use event::EventKind;
pub use fact::Fact;
pub use reason::Reason;
pub use state::State;

words! {
    /// How a message travels; chosen when it is dispatched.
    Channel { Email = "email", Sms = "sms" }
}

words! {
    /// Why a message is sent: decides the SMS line, quiet hours and which opt-outs apply.
    Purpose { Marketing = "marketing", Service = "service" }
}
