//! What messages are counted by.

use crate::domain::words::words;

words! {
    /// What a message counts for in the counts of its day: one of the first four, and what was heard of it, once a
    /// channel.
    Fact {
        /// It is planned or on its way.
        Waiting = "waiting",
        /// A server took it; whatever was heard later.
        Sent = "sent",
        /// Handed over, but the answer was lost.
        Uncertain = "uncertain",
        /// It ended otherwise; the reason says why.
        NotSent = "not_sent",
        /// A server had taken it on this channel, which failed later; it went on to the next one.
        FellBack = "fell_back",
        Delivered = "delivered",
        /// It came back, for whatever reason.
        Bounced = "bounced",
        Complained = "complained",
        Opened = "opened",
        /// A machine loaded its picture.
        Prefetched = "prefetched",
        Clicked = "clicked",
        /// By link, mail or word.
        Unsubscribed = "unsubscribed",
        /// An order that is credited to it: the amount is what it came to, in minor units.
        Bought = "bought",
        /// Its gift's code was used in such an order: the amount is what the gift cost, in minor units.
        CodeUsed = "code_used",
    }
}
