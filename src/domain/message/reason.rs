//! Why a message was not sent.

use crate::domain::words::words;

words! {
    /// Why a message was not sent. Policy tests `campaign_ended`, `order_cancelled` and `collapsed`, then the
    /// first fourteen in this order, and records the first that holds; the rest come from senders, and
    /// from people (`restored`, `by_hand`).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_as_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().unwrap(), *reason);
        }
        assert!("nonsense".parse::<Reason>().unwrap_err().contains("member_deleted, outside_audience"));
    }
}
