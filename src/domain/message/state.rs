//! The state machine of a message. It is written by `store/ledger` alone.

use crate::domain::words::words;

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
            Uncertain => matches!(next, Planned | Sent | Delivered | Bounced),
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

    /// Whether nothing more is sent of the message by itself: what is heard of it may still come.
    pub const fn is_final(self) -> bool {
        !matches!(self, State::Planned | State::Queued | State::Sending)
    }

    /// Whether the message counts as having gone out: for the frequency cap and for greetings.
    pub const fn counts_as_sent(self) -> bool {
        use State::*;
        matches!(self, Queued | Sending | Sent | Uncertain | Delivered | Bounced | Complained)
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
            (State::Uncertain, "planned sent delivered bounced"),
            (State::Skipped, "planned"),
            (State::HeldOut, ""),
            (State::Cancelled, ""),
        ];
        assert_eq!(table.len(), State::ALL.len());
        for (from, expected) in table {
            assert_eq!(arrows(from), expected, "from {from}");
        }
    }
}
