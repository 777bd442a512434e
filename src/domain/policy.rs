//! Policy: may this message go out now? One pure decision, asked when a message is dispatched and
//! again when it is sent, by `plan` and by `explain`.

use chrono::Duration;
use chrono_tz::Tz;

use super::Instant;
use super::almanac::{Almanac, OnDay};
use super::calendar::{QuietHours, local_date, next_midnight};
use super::experiment::arms::Assignment;
use super::message::{Channel, Purpose, Reason, State};

/// Two yearly greetings closer than this are one too many.
pub const GREETING_DISTANCE: Duration = Duration::days(180);

/// A message waits for the end of rest no longer than this; then policy is asked again.
pub const LONGEST_REST: Duration = Duration::days(60);

/// How late a message may still go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Up to this long after it was due (after quiet hours and days of rest).
    SendWithin(Duration),
    Always,
}

/// What the campaign and the brand ask of a message.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub purpose: Purpose,
    /// The brand's quiet hours; they hold for marketing only.
    pub quiet_hours: Option<QuietHours>,
    /// The brand's days of rest; for marketing only, too.
    pub almanac: &'a Almanac,
    /// At most so many messages to a member, and by one channel to an address; `None` for an exempt campaign.
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
    /// The message's arm, from when it comes to the question of it.
    pub assignment: Assignment,
    /// What its arm gets does not go out before.
    pub not_before: Option<Instant>,
    /// The member's other messages that count, in the cap's time.
    pub counted: u32,
    /// The message must bring a gift, and none is left.
    pub gift_unavailable: bool,
}

impl Facts {
    /// When its arm's message may go out at the earliest.
    fn begins(&self) -> Instant {
        self.not_before.map_or(self.due_at, |at| at.max(self.due_at))
    }
}

/// Whether a channel reaches the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelFacts {
    pub channel: Channel,
    /// There is one, and a sender that is for it.
    pub has_address: bool,
    pub has_consent: bool,
    /// The address is closed for the purpose, or the member objects to it or paused it.
    pub suppressed: bool,
    /// Where everybody has the occasion at once: the message of another member with this address stands for it.
    pub taken: bool,
    /// Other messages that count, of whatever member, by this channel to the same address, in the
    /// cap's time.
    pub counted: u32,
    /// When the line of SMS that marketing takes to this number is closed, and on which clock.
    pub closed: Option<(QuietHours, Tz)>,
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
        Reason::OrderCancelled | Reason::CampaignEnded | Reason::Restored | Reason::ByHand => State::Cancelled,
        _ => State::Skipped,
    }
}

/// The first instant from `at` on that lies neither in quiet hours nor on a day that defers: when a
/// message that falls due at `at` is first taken up, and until when one that is asked about waits.
pub fn first_attempt_at(rules: &Rules<'_>, at: Instant, zone: Tz) -> Instant {
    first_attempt_by(rules, None, at, zone)
}

/// The same for a message that takes this channel: an SMS waits until its line is open, too.
fn first_attempt_by(rules: &Rules<'_>, channel: Option<&ChannelFacts>, at: Instant, zone: Tz) -> Instant {
    if rules.purpose == Purpose::Service {
        return at;
    }
    let closed = channel.and_then(|channel| channel.closed);
    let mut free = at;
    // A night can end on a day of rest, and that day in the next night, or before the line opens.
    while free - at < LONGEST_REST {
        let awake = rules.quiet_hours.map_or(free, |quiet| quiet.defer(free, zone));
        let awake = closed.map_or(awake, |(hours, zone)| hours.defer(awake, zone));
        let rests = rules.almanac.on(local_date(zone, awake)) == OnDay::Defer;
        let next = if rests { next_midnight(zone, awake) } else { awake };
        if next == free {
            break;
        }
        free = next;
    }
    free
}

/// Decides. The reasons are tested in the order that [`Reason`] tells; the first that holds is the answer.
/// Quiet hours and days that defer come before the frequency cap, which counts what has gone out by the time of sending.
pub fn decide(facts: &Facts, rules: &Rules<'_>, now: Instant) -> Decision {
    assign(facts, rules, now).map_or_else(Decision::Skip, |(_, decision)| decision)
}

/// Decides, and says by which channel the message came to the question of its arm: `Err` where a reason before
/// that ended it.
pub fn assign(facts: &Facts, rules: &Rules<'_>, now: Instant) -> Result<(Channel, Decision), Reason> {
    let chosen = reach(facts, rules, now)?;
    Ok((chosen.channel, after_assignment(facts, rules, chosen, now)))
}

/// The channel on which the member may be asked for, before the question of the arm.
fn reach<'f>(facts: &'f Facts, rules: &Rules<'_>, now: Instant) -> Result<&'f ChannelFacts, Reason> {
    if facts.campaign_ended {
        return Err(Reason::CampaignEnded);
    }
    if facts.order_cancelled {
        return Err(Reason::OrderCancelled);
    }
    if facts.collapsed {
        return Err(Reason::Collapsed);
    }
    if facts.member_deleted {
        return Err(Reason::MemberDeleted);
    }
    if !facts.in_audience || facts.first_step_ended == Some(Reason::OutsideAudience) {
        return Err(Reason::OutsideAudience);
    }
    if facts.goal_reached {
        return Err(Reason::GoalReached);
    }
    let chosen = choose_channel(facts, rules.purpose);
    if let Late::SendWithin(within) = rules.late
        && now > first_attempt_by(rules, chosen.ok(), facts.begins(), facts.zone) + within
    {
        return Err(Reason::TooLate);
    }
    if facts.already_greeted {
        return Err(Reason::AlreadyGreeted);
    }
    let chosen = chosen?;
    if chosen.taken {
        return Err(Reason::SameAddress);
    }
    Ok(chosen)
}

/// What becomes of a message that came to the question of its arm.
fn after_assignment(facts: &Facts, rules: &Rules<'_>, chosen: &ChannelFacts, now: Instant) -> Decision {
    use Decision::{Defer, Send, Skip};
    if facts.assignment.is_held_out() || facts.first_step_ended == Some(Reason::HeldOut) {
        return Skip(Reason::HeldOut);
    }
    if rules.purpose == Purpose::Marketing && rules.almanac.on(local_date(facts.zone, now)) == OnDay::Skip {
        return Skip(Reason::RestDay);
    }
    let from = facts.not_before.map_or(now, |at| at.max(now));
    let until = first_attempt_by(rules, Some(chosen), from, facts.zone);
    if until > now {
        return Defer(until);
    }
    if rules.cap.is_some_and(|cap| facts.counted.max(chosen.counted) >= cap) {
        return Skip(Reason::FrequencyCap);
    }
    if facts.gift_unavailable {
        return Skip(Reason::GiftUnavailable);
    }
    Send(chosen.channel)
}

/// Whether another channel than this one reaches the member.
pub fn reaches_without(facts: &Facts, channel: Channel, purpose: Purpose) -> bool {
    let others = facts.channels.iter().filter(|other| other.channel != channel).copied().collect();
    choose_channel(&Facts { channels: others, ..facts.clone() }, purpose).is_ok()
}

/// The first channel that reaches the member, or the reason that stopped the one that came nearest.
fn choose_channel(facts: &Facts, purpose: Purpose) -> Result<&ChannelFacts, Reason> {
    let mut nearest = Reason::NoAddress;
    for channel in facts.channels.iter().filter(|channel| channel.has_address) {
        if purpose == Purpose::Marketing && !channel.has_consent {
            nearest = nearest.max(Reason::NoConsent);
        } else if channel.suppressed {
            nearest = Reason::Suppressed;
        } else {
            return Ok(channel);
        }
    }
    Err(nearest)
}

#[cfg(test)]
mod tests {
    use super::super::experiment::arms::HOLDOUT;
    use super::*;

    fn utc(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn facts() -> Facts {
        let reached = ChannelFacts {
            channel: Channel::Sms,
            has_address: true,
            has_consent: true,
            suppressed: false,
            taken: false,
            counted: 0,
            closed: None,
        };
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
            channels: vec![ChannelFacts { channel: Channel::Email, ..reached }, reached],
            assignment: Assignment::default(),
            not_before: None,
            counted: 0,
            gift_unavailable: false,
        }
    }

    static PLAIN: Almanac = Almanac::EMPTY;

    fn rules() -> Rules<'static> {
        Rules {
            purpose: Purpose::Marketing,
            quiet_hours: Some(QuietHours::parse("21:00-08:00").unwrap()),
            almanac: &PLAIN,
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
        (Reason::SameAddress, |f| f.channels.iter_mut().for_each(|c| c.taken = true)),
        (Reason::HeldOut, |f| f.assignment = Assignment::to(HOLDOUT)),
        (Reason::FrequencyCap, |f| f.counted = 3),
        (Reason::GiftUnavailable, |f| f.gift_unavailable = true),
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

    /// The weekend is Friday; `days` are blackout dates.
    fn resting(weekends: OnDay, blackouts: OnDay, days: &str) -> Almanac {
        let mut almanac = Almanac { weekend: vec![chrono::Weekday::Fri], weekends, blackouts, ..Almanac::EMPTY };
        let text = format!("occasions: [{{ name: x, dates: [{days}], blackout: true }}]");
        assert_eq!(almanac.read([("x.yaml".to_owned(), text.as_str())]), []);
        almanac
    }

    #[test]
    fn days_that_defer_and_quiet_hours_lead_into_each_other() {
        let check = |weekends, blackouts, days: &str, zone: &str, quiet: &str, at: &str, expected: &str| {
            let almanac = resting(weekends, blackouts, days);
            let quiet_hours = (quiet != "none").then(|| QuietHours::parse(quiet).unwrap());
            let rules = Rules { almanac: &almanac, quiet_hours, ..rules() };
            let zone: Tz = zone.parse().unwrap();
            let free = first_attempt_at(&rules, utc(at), zone);
            assert_eq!(free, utc(expected), "{days} {zone} {quiet} {at}");
            assert_eq!(first_attempt_at(&rules, free, zone), free);
            let facts = Facts { zone, due_at: utc(at), ..facts() };
            let skips = almanac.on(local_date(zone, utc(at))) == OnDay::Skip;
            let wanted = match utc(expected) {
                _ if skips => Decision::Skip(Reason::RestDay),
                until if until > utc(at) => Decision::Defer(until),
                _ => Decision::Send(Channel::Email),
            };
            assert_eq!(decide(&facts, &rules, utc(at)), wanted, "{days} {zone} {quiet} {at}");
            let service = Rules { purpose: Purpose::Service, ..rules };
            assert_eq!(first_attempt_at(&service, utc(at), zone), utc(at));
            assert_eq!(decide(&facts, &service, utc(at)), Decision::Send(Channel::Email));
        };
        use OnDay::{Defer, Send, Skip};
        // 1 January 2026 is a Thursday.
        let night = "21:00-08:00";
        check(Send, Defer, "2026-01-05", "UTC", "none", "2026-01-04T23:59:59.999Z", "2026-01-04T23:59:59.999Z");
        check(Send, Defer, "2026-01-05", "UTC", "none", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z");
        check(Send, Defer, "2026-01-05", "UTC", "none", "2026-01-05T23:59:59Z", "2026-01-06T00:00:00Z");
        check(Send, Defer, "2026-01-05", "UTC", "none", "2026-01-06T00:00:00Z", "2026-01-06T00:00:00Z");
        // A night before, a day of rest, and the night after it.
        check(Send, Defer, "2026-01-05", "UTC", night, "2026-01-04T22:00:00Z", "2026-01-06T08:00:00Z");
        check(Send, Defer, "2026-01-05", "UTC", night, "2026-01-05T12:00:00Z", "2026-01-06T08:00:00Z");
        check(Send, Defer, "2026-01-05, 2026-01-06", "UTC", night, "2026-01-04T22:00:00Z", "2026-01-07T08:00:00Z");
        // Quiet at noon: midnight itself is free.
        check(Send, Defer, "2026-01-05", "UTC", "12:00-14:00", "2026-01-05T13:00:00Z", "2026-01-06T00:00:00Z");
        // A weekend after a blackout, and the same weekend where weekends do not count.
        check(Defer, Defer, "2026-01-01", "UTC", "none", "2026-01-01T09:00:00Z", "2026-01-03T00:00:00Z");
        check(Send, Defer, "2026-01-01", "UTC", "none", "2026-01-01T09:00:00Z", "2026-01-02T00:00:00Z");
        // A day that skips ends the waiting: asked again then, the message is skipped.
        check(Skip, Defer, "2026-01-01", "UTC", "none", "2026-01-01T09:00:00Z", "2026-01-02T00:00:00Z");
        check(Skip, Defer, "2026-01-01", "UTC", night, "2026-01-01T09:00:00Z", "2026-01-02T08:00:00Z");
        check(Defer, Skip, "2026-01-03", "UTC", "none", "2026-01-02T09:00:00Z", "2026-01-03T00:00:00Z");
        check(Defer, Skip, "2026-01-03", "UTC", "none", "2026-01-03T09:00:00Z", "2026-01-03T09:00:00Z");
        // A day that is both skips; at night, too.
        check(Defer, Skip, "2026-01-02", "UTC", "none", "2026-01-02T09:00:00Z", "2026-01-02T09:00:00Z");
        check(Send, Skip, "2026-01-05", "UTC", night, "2026-01-05T22:00:00Z", "2026-01-06T08:00:00Z");
        // The member's own day, from one end of the world to the other.
        check(Send, Defer, "2026-01-05", "Pacific/Kiritimati", "none", "2026-01-04T10:00:00Z", "2026-01-05T10:00:00Z");
        check(Send, Defer, "2026-01-05", "Pacific/Kiritimati", "none", "2026-01-05T10:00:00Z", "2026-01-05T10:00:00Z");
        check(Send, Defer, "2026-01-05", "Etc/GMT+12", "none", "2026-01-05T11:59:59Z", "2026-01-05T11:59:59Z");
        check(Send, Defer, "2026-01-05", "Etc/GMT+12", "none", "2026-01-05T12:00:00Z", "2026-01-06T12:00:00Z");
        // Days of 23 and 25 hours, midnights that do not exist or come twice, and the day that never was.
        check(Send, Defer, "2026-03-29", "Europe/Berlin", "none", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        check(Send, Defer, "2026-10-25", "Europe/Berlin", "none", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        check(Send, Defer, "2022-03-21", "Asia/Tehran", "none", "2022-03-21T09:00:00Z", "2022-03-21T20:30:00Z");
        check(Send, Defer, "2018-02-17", "America/Sao_Paulo", "none", "2018-02-18T01:30:00Z", "2018-02-18T03:00:00Z");
        check(Send, Defer, "2018-02-17", "America/Sao_Paulo", "none", "2018-02-18T02:30:00Z", "2018-02-18T03:00:00Z");
        check(Send, Defer, "2010-11-06", "America/St_Johns", "none", "2010-11-07T02:45:00Z", "2010-11-07T03:30:00Z");
        check(Send, Defer, "2011-12-29", "Pacific/Apia", "none", "2011-12-29T12:00:00Z", "2011-12-30T10:00:00Z");
    }

    #[test]
    fn lateness_counts_from_the_end_of_the_days_of_rest() {
        let almanac = resting(OnDay::Defer, OnDay::Defer, "2026-01-01");
        let rules = Rules { almanac: &almanac, late: Late::SendWithin(Duration::hours(1)), ..rules() };
        // A Thursday that is a blackout, and a Friday, in Tehran.
        let saturday = utc("2026-01-03T04:30:00Z");
        assert_eq!(decide(&facts(), &rules, facts().due_at), Decision::Defer(saturday));
        assert_eq!(decide(&facts(), &rules, saturday + Duration::hours(1)), Decision::Send(Channel::Email));
        let late = saturday + Duration::minutes(61);
        assert_eq!(decide(&facts(), &rules, late), Decision::Skip(Reason::TooLate));
    }

    #[test]
    fn a_day_that_skips_gives_way_to_the_reasons_before_it() {
        let almanac = resting(OnDay::Send, OnDay::Skip, "2026-01-01");
        let rules = Rules { almanac: &almanac, ..rules() };
        for (reason, change) in CHANGES {
            let mut facts = facts();
            change(&mut facts);
            let comes_later = matches!(reason, Reason::FrequencyCap | Reason::GiftUnavailable);
            let expected = if comes_later { Reason::RestDay } else { *reason };
            assert_eq!(decide(&facts, &rules, facts.due_at.max(utc("2026-01-01T05:30:00Z"))), Decision::Skip(expected));
        }
    }

    #[test]
    fn a_rest_without_end_is_broken_off() {
        let days = (1..=28).flat_map(|day| [1, 2, 3, 4].map(|month| format!("2026-{month:02}-{day:02}")));
        let more = ["2026-01-29", "2026-01-30", "2026-01-31", "2026-03-29", "2026-03-30", "2026-03-31"];
        let days = days.chain(more.map(str::to_owned)).collect::<Vec<_>>().join(", ");
        let almanac = resting(OnDay::Send, OnDay::Defer, &days);
        let rules = Rules { almanac: &almanac, quiet_hours: None, ..rules() };
        let from = utc("2026-01-01T00:00:00Z");
        assert_eq!(first_attempt_at(&rules, from, Tz::UTC), from + LONGEST_REST);
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
    fn the_cap_holds_for_the_address_of_the_chosen_channel() {
        let now = utc("2026-01-01T05:30:00Z");
        let mut facts = facts();
        facts.channels[1].counted = 3;
        assert_eq!(decide(&facts, &rules(), now), Decision::Send(Channel::Email));
        facts.channels[0].counted = 2;
        assert_eq!(decide(&facts, &rules(), now), Decision::Send(Channel::Email));
        facts.channels[0].counted = 3;
        assert_eq!(decide(&facts, &rules(), now), Decision::Skip(Reason::FrequencyCap));
        assert_eq!(decide(&facts, &Rules { cap: None, ..rules() }, now), Decision::Send(Channel::Email));
        // No other channel is tried because of the cap, but another that is chosen anyway has its own count.
        facts.channels[0].suppressed = true;
        facts.channels[1].counted = 0;
        assert_eq!(decide(&facts, &rules(), now), Decision::Send(Channel::Sms));
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
    fn an_sms_waits_for_its_lines_hours_on_the_brands_clock() {
        let closed = QuietHours::parse("20:00-09:30").unwrap();
        let tehran = "Asia/Tehran".parse().unwrap();
        let rules = Rules { late: Late::SendWithin(Duration::hours(1)), ..rules() };
        let mut facts = facts();
        facts.channels[1].closed = Some((closed, tehran));
        facts.zone = Tz::UTC;
        facts.due_at = utc("2026-01-01T17:00:00Z"); // 20:30 in Tehran
        // A mail goes out; an SMS waits for 09:30 in Tehran, and then for the end of the member's night.
        assert_eq!(decide(&facts, &rules, facts.due_at), Decision::Send(Channel::Email));
        facts.channels.remove(0);
        let opens = utc("2026-01-02T08:00:00Z");
        assert_eq!(decide(&facts, &rules, facts.due_at), Decision::Defer(utc("2026-01-02T08:00:00Z")));
        let awake = Rules { quiet_hours: None, ..rules };
        assert_eq!(decide(&facts, &awake, facts.due_at), Decision::Defer(utc("2026-01-02T06:00:00Z")));
        // Lateness counts from then on.
        assert_eq!(decide(&facts, &rules, opens + Duration::hours(1)), Decision::Send(Channel::Sms));
        assert_eq!(decide(&facts, &rules, opens + Duration::minutes(61)), Decision::Skip(Reason::TooLate));
        let service = Rules { purpose: Purpose::Service, ..rules };
        assert_eq!(decide(&facts, &service, facts.due_at), Decision::Send(Channel::Sms));
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
