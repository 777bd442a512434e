//! Policy: may this message go out now? One pure decision, asked when a message is dispatched and
//! again when it is sent, by `plan` and by `explain`.

use chrono::Duration;
use chrono_tz::Tz;

use super::Instant;
use super::calendar::QuietHours;
use super::message::{Channel, Purpose, Reason, State};

/// Two yearly greetings closer than this are one too many.
pub const GREETING_DISTANCE: Duration = Duration::days(180);

/// How late a message may still go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Up to this long after it was due (after quiet hours).
    SendWithin(Duration),
    Always,
}

/// What the campaign and the brand ask of a message.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub purpose: Purpose,
    /// The brand's quiet hours; they hold for marketing only.
    pub quiet_hours: Option<QuietHours>,
    /// At most so many messages to a member; `None` for an exempt campaign.
    pub cap: Option<u32>,
    pub late: Late,
}

/// What is known about a message at one instant.
#[derive(Debug, Clone)]
pub struct Facts {
    pub zone: Tz,
    pub due_at: Instant,
    /// The campaign is gone or over, or has no such step any more.
    pub campaign_ended: bool,
    pub member_deleted: bool,
    /// The order that the occasion rests on is cancelled or refunded.
    pub order_cancelled: bool,
    /// Another order close before it opened the occasion, or a message for one close to it went out.
    pub collapsed: bool,
    pub in_audience: bool,
    /// Why the occasion's first step ended the occasion, if it did.
    pub first_step_ended: Option<Reason>,
    pub goal_reached: bool,
    /// Another occasion's greeting went out within [`GREETING_DISTANCE`].
    pub already_greeted: bool,
    /// The channels to try, in order of preference; one only where the message is bound to it.
    pub channels: Vec<ChannelFacts>,
    pub held_out: bool,
    /// The member's other messages that count, in the cap's time.
    pub counted: u32,
}

/// Whether a channel reaches the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelFacts {
    pub channel: Channel,
    pub has_address: bool,
    pub has_consent: bool,
    pub suppressed: bool,
}

/// What policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Send(Channel),
    /// Not before this instant.
    Defer(Instant),
    /// Never; [`end_state`] says how the message ends.
    Skip(Reason),
}

/// The state in which a reason leaves a message.
pub const fn end_state(reason: Reason) -> State {
    match reason {
        Reason::HeldOut => State::HeldOut,
        Reason::OrderCancelled | Reason::CampaignEnded => State::Cancelled,
        _ => State::Skipped,
    }
}

/// Quiet hours as they apply to a purpose.
pub fn quiet_hours(rules: &Rules) -> Option<QuietHours> {
    match rules.purpose {
        Purpose::Marketing => rules.quiet_hours,
        Purpose::Service => None,
    }
}

/// When a message that falls due at `due_at` is first taken up: at once, or after quiet hours.
pub fn first_attempt_at(rules: &Rules, due_at: Instant, zone: Tz) -> Instant {
    quiet_hours(rules).map_or(due_at, |quiet| quiet.defer(due_at, zone))
}

/// Decides. The reasons are tested in the order of [`Reason`]; the first that holds is the answer.
/// Quiet hours come before the frequency cap, which counts what has gone out by the time of sending.
pub fn decide(facts: &Facts, rules: &Rules, now: Instant) -> Decision {
    use Decision::{Defer, Send, Skip};
    if facts.campaign_ended {
        return Skip(Reason::CampaignEnded);
    }
    if facts.order_cancelled {
        return Skip(Reason::OrderCancelled);
    }
    if facts.collapsed {
        return Skip(Reason::Collapsed);
    }
    if facts.member_deleted {
        return Skip(Reason::MemberDeleted);
    }
    if !facts.in_audience || facts.first_step_ended == Some(Reason::OutsideAudience) {
        return Skip(Reason::OutsideAudience);
    }
    if facts.goal_reached {
        return Skip(Reason::GoalReached);
    }
    if let Late::SendWithin(within) = rules.late
        && now > first_attempt_at(rules, facts.due_at, facts.zone) + within
    {
        return Skip(Reason::TooLate);
    }
    if facts.already_greeted {
        return Skip(Reason::AlreadyGreeted);
    }
    let channel = match choose_channel(facts, rules.purpose) {
        Ok(channel) => channel,
        Err(reason) => return Skip(reason),
    };
    if facts.held_out || facts.first_step_ended == Some(Reason::HeldOut) {
        return Skip(Reason::HeldOut);
    }
    if let Some(quiet) = quiet_hours(rules) {
        let until = quiet.defer(now, facts.zone);
        if until > now {
            return Defer(until);
        }
    }
    if rules.cap.is_some_and(|cap| facts.counted >= cap) {
        return Skip(Reason::FrequencyCap);
    }
    Send(channel)
}

/// The first channel that reaches the member, or the reason that stopped the one that came nearest.
fn choose_channel(facts: &Facts, purpose: Purpose) -> Result<Channel, Reason> {
    let mut nearest = Reason::NoAddress;
    for channel in facts.channels.iter().filter(|channel| channel.has_address) {
        if purpose == Purpose::Marketing && !channel.has_consent {
            nearest = nearest.max(Reason::NoConsent);
        } else if channel.suppressed {
            nearest = Reason::Suppressed;
        } else {
            return Ok(channel.channel);
        }
    }
    Err(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn facts() -> Facts {
        Facts {
            zone: "Asia/Tehran".parse().unwrap(),
            due_at: utc("2026-01-01T05:30:00Z"),
            campaign_ended: false,
            member_deleted: false,
            order_cancelled: false,
            collapsed: false,
            in_audience: true,
            first_step_ended: None,
            goal_reached: false,
            already_greeted: false,
            channels: vec![
                ChannelFacts { channel: Channel::Email, has_address: true, has_consent: true, suppressed: false },
                ChannelFacts { channel: Channel::Sms, has_address: true, has_consent: true, suppressed: false },
            ],
            held_out: false,
            counted: 0,
        }
    }

    fn rules() -> Rules {
        Rules {
            purpose: Purpose::Marketing,
            quiet_hours: Some(QuietHours::parse("21:00-08:00").unwrap()),
            cap: Some(3),
            late: Late::SendWithin(Duration::hours(24)),
        }
    }

    /// One change to the facts: a name for failures, and what to change.
    type Change = (Reason, fn(&mut Facts));

    const CHANGES: &[Change] = &[
        (Reason::CampaignEnded, |f| f.campaign_ended = true),
        (Reason::OrderCancelled, |f| f.order_cancelled = true),
        (Reason::Collapsed, |f| f.collapsed = true),
        (Reason::MemberDeleted, |f| f.member_deleted = true),
        (Reason::OutsideAudience, |f| f.in_audience = false),
        (Reason::GoalReached, |f| f.goal_reached = true),
        (Reason::TooLate, |f| f.due_at -= Duration::days(3)),
        (Reason::AlreadyGreeted, |f| f.already_greeted = true),
        (Reason::NoAddress, |f| f.channels.iter_mut().for_each(|c| c.has_address = false)),
        (Reason::NoConsent, |f| f.channels.iter_mut().for_each(|c| c.has_consent = false)),
        (Reason::Suppressed, |f| f.channels.iter_mut().for_each(|c| c.suppressed = true)),
        (Reason::HeldOut, |f| f.held_out = true),
        (Reason::FrequencyCap, |f| f.counted = 3),
    ];

    #[test]
    fn each_reason_holds_alone_and_gives_way_to_the_ones_before_it() {
        let now = utc("2026-01-01T05:30:00Z");
        assert_eq!(decide(&facts(), &rules(), now), Decision::Send(Channel::Email));
        for (index, (reason, change)) in CHANGES.iter().enumerate() {
            let mut alone = facts();
            change(&mut alone);
            assert_eq!(decide(&alone, &rules(), now), Decision::Skip(*reason));
            for (_, later) in &CHANGES[index + 1..] {
                // Consent and suppression are asked only where there is an address.
                let mut both = alone.clone();
                later(&mut both);
                assert_eq!(decide(&both, &rules(), now), Decision::Skip(*reason), "{reason} before the others");
            }
        }
    }

    #[test]
    fn the_first_channel_that_reaches_is_taken() {
        let now = utc("2026-01-01T05:30:00Z");
        let mut facts = facts();
        facts.channels[0].has_consent = false;
        assert_eq!(decide(&facts, &rules(), now), Decision::Send(Channel::Sms));
        facts.channels[1].suppressed = true;
        assert_eq!(decide(&facts, &rules(), now), Decision::Skip(Reason::Suppressed));
        facts.channels[1] = ChannelFacts { has_address: false, ..facts.channels[1] };
        assert_eq!(decide(&facts, &rules(), now), Decision::Skip(Reason::NoConsent));
        let service = Rules { purpose: Purpose::Service, ..rules() };
        assert_eq!(decide(&facts, &service, now), Decision::Send(Channel::Email));
    }

    #[test]
    fn quiet_hours_defer_marketing_and_lateness_counts_after_them() {
        let mut facts = facts();
        facts.due_at = utc("2026-01-01T20:00:00Z"); // 23:30 in Tehran
        let morning = utc("2026-01-02T04:30:00Z");
        assert_eq!(first_attempt_at(&rules(), facts.due_at, facts.zone), morning);
        assert_eq!(decide(&facts, &rules(), facts.due_at), Decision::Defer(morning));
        assert_eq!(decide(&facts, &rules(), morning), Decision::Send(Channel::Email));
        let strict = Rules { late: Late::SendWithin(Duration::hours(1)), ..rules() };
        assert_eq!(decide(&facts, &strict, morning + Duration::hours(1)), Decision::Send(Channel::Email));
        let late = morning + Duration::minutes(61);
        assert_eq!(decide(&facts, &strict, late), Decision::Skip(Reason::TooLate));
        assert_eq!(decide(&facts, &Rules { late: Late::Always, ..strict }, late), Decision::Send(Channel::Email));
        let service = Rules { purpose: Purpose::Service, ..rules() };
        assert_eq!(decide(&facts, &service, facts.due_at), Decision::Send(Channel::Email));
    }

    #[test]
    fn a_first_step_that_ended_the_occasion_ends_the_later_ones() {
        let now = utc("2026-01-01T05:30:00Z");
        for reason in [Reason::OutsideAudience, Reason::HeldOut] {
            let ended = Facts { first_step_ended: Some(reason), ..facts() };
            assert_eq!(decide(&ended, &rules(), now), Decision::Skip(reason));
        }
    }
}
