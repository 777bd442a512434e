//! What members and their mail servers do about a message: known, and the same in every run of the demo. The shares
//! here are the truth that the reports of the demo's year have to find.

use chrono::Duration;

use super::dice::Dice;
use crate::domain::Instant;
use crate::domain::message::Channel;

/// What a campaign's first message does to whoever gets it.
pub(super) struct Behaviour {
    pub campaign: &'static str,
    /// The chance that somebody who gets it buys once more because of it, within [`LATEST_ORDER`]. Who is held
    /// out gets nothing, and buys nothing more.
    pub buys: f64,
}

/// The campaigns with an experiment in the demo's year.
pub(super) const BEHAVIOURS: [Behaviour; 3] = [
    Behaviour { campaign: "birthday", buys: 0.2 },
    Behaviour { campaign: "at-risk", buys: 0.15 },
    // The thanks are read, and change nothing.
    Behaviour { campaign: "post-purchase", buys: 0.0 },
];

/// How many of the members are held out of each of them.
pub(super) const HOLDOUT: f64 = 0.4;

/// What a birthday's code costs the shop once it is used, in rials.
pub(super) const CODE_COSTS: u32 = 200_000;

/// Who buys because of a message does so on average so many days after it, and at the latest so many: whatever
/// night a message waited out, that is within the 14 days that count.
const ORDER_AFTER: f64 = 3.0;
const LATEST_ORDER: f64 = 12.5;
/// So many of them use the code that the message brought.
pub(super) const USES_CODE: f64 = 0.6;
/// So many orders are refunded, on average so many days later.
const REFUNDED: f64 = 0.04;
const REFUNDED_AFTER: f64 = 5.0;

/// Of mails: they come back, are loaded by the mailbox's own servers within seconds, are opened by people, on average
/// so many hours later, and are reported as spam.
const BOUNCES: f64 = 0.006;
const PREFETCHED: f64 = 0.25;
const OPENS: f64 = 0.35;
const OPENS_AFTER_HOURS: f64 = 7.0;
const COMPLAINS: f64 = 0.001;
/// Of those who opened one. Who buys because of it has opened it.
const CLICKS: f64 = 0.2;
const BUYER_CLICKS: f64 = 0.8;
/// Of SMS: a receipt says that it arrived, or that it did not; of the rest nothing is heard.
const DELIVERED: f64 = 0.95;
const UNDELIVERED: f64 = 0.03;
/// Of all who got one.
const UNSUBSCRIBES: f64 = 0.004;

/// Something that is done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A receipt of an SMS.
    Delivered,
    Undelivered,
    /// A mail came back.
    Bounces,
    /// A mailbox's servers load the picture.
    Prefetches,
    Opens,
    Clicks,
    Complains,
    Unsubscribes,
    Buys,
}

/// A message that went out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub member: &'a str,
    pub campaign: &'a str,
    pub occasion: &'a str,
    pub step: &'a str,
    pub channel: Channel,
    pub at: Instant,
}

impl Sent<'_> {
    /// What comes of it, and when. The dice are the message's own: nothing else that happens changes them.
    pub fn followed_by(&self) -> Vec<(Instant, Act)> {
        let mut dice = Dice::of(&[self.member, self.campaign, self.occasion, self.step]);
        let own = BEHAVIOURS.iter().find(|one| one.campaign == self.campaign && self.step == "main");
        let buys = dice.chance(own.map_or(0.0, |own| own.buys));
        let mut acts = Vec::new();
        let arrives = match self.channel {
            Channel::Email => self.mail(&mut dice, buys, &mut acts),
            Channel::Sms => self.sms(&mut dice, &mut acts),
        };
        if !arrives {
            return acts;
        }
        if buys {
            let days = (0.1 + dice.gap(ORDER_AFTER)).min(LATEST_ORDER);
            acts.push((self.after(days * 24.0), Act::Buys));
        }
        if dice.chance(UNSUBSCRIBES) {
            acts.push((self.after(1.0 + dice.gap(12.0)), Act::Unsubscribes));
        }
        acts
    }

    /// What is heard of a mail; whether it arrived.
    fn mail(&self, dice: &mut Dice, buys: bool, acts: &mut Vec<(Instant, Act)>) -> bool {
        if dice.chance(BOUNCES) {
            acts.push((self.after(0.05), Act::Bounces));
            return false;
        }
        if dice.chance(PREFETCHED) {
            acts.push((self.at + Duration::seconds(1 + dice.below(8) as i64), Act::Prefetches));
        }
        let opens = dice.chance(OPENS);
        // Before the order, if there is one.
        let (opened, clicked) = if buys { (0.02, 0.05) } else { (0.1 + dice.gap(OPENS_AFTER_HOURS), 0.02) };
        if opens || buys {
            acts.push((self.after(opened), Act::Opens));
            if dice.chance(if buys { BUYER_CLICKS } else { CLICKS }) {
                acts.push((self.after(opened + clicked), Act::Clicks));
            }
        }
        if dice.chance(COMPLAINS) {
            acts.push((self.after(opened + 1.0), Act::Complains));
        }
        true
    }

    /// The same of an SMS.
    fn sms(&self, dice: &mut Dice, acts: &mut Vec<(Instant, Act)>) -> bool {
        let heard = dice.share();
        let soon = self.at + Duration::seconds(5 + dice.below(50) as i64);
        if heard < DELIVERED {
            acts.push((soon, Act::Delivered));
        } else if heard < DELIVERED + UNDELIVERED {
            acts.push((soon, Act::Undelivered));
            return false;
        }
        true
    }

    fn after(&self, hours: f64) -> Instant {
        self.at + Duration::seconds((hours * 3_600.0) as i64)
    }
}

/// When an order is refunded, if it ever is.
pub(super) fn refunded(order: &str, at: Instant) -> Option<Instant> {
    let mut dice = Dice::of(&["refund", order]);
    dice.chance(REFUNDED).then(|| at + Duration::minutes(((0.5 + dice.gap(REFUNDED_AFTER)) * 1_440.0) as i64))
}
