//! What policy needs to know about a batch of messages, read in a few statements for all of them.
//! The same surroundings serve the dispatcher, the sender, `plan` and `explain`.

use std::collections::{HashMap, HashSet};

use chrono_tz::Tz;

use super::audience_facts::AudienceFacts;
use super::gifts::GiftFacts;
use super::messages::Message;
use super::objections::Objections;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{local_date, next_local_time};
use crate::domain::campaign::{Campaign, MAIN};
use crate::domain::experiment::arms::Assignment;
use crate::domain::gift::Gift;
use crate::domain::member::{Member, suppression_key};
use crate::domain::message::{Channel, EventKind, Purpose, Reason, State};
use crate::domain::policy::{ChannelFacts, Facts, GREETING_DISTANCE};
use crate::domain::purchase::{OrderStatus, Placed, Purchase, chain};

mod loading;

pub use loading::STATEMENTS;

/// The clocks of two machines may differ by this much: what another one has just sent counts, though
/// its time lies a little ahead.
const CLOCKS_APART: chrono::Duration = chrono::Duration::minutes(1);

/// A batch's members, orders and histories.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub members: HashMap<i64, Member>,
    pub orders: HashMap<i64, Purchase>,
    /// Valid orders' instants by member, in order.
    pub purchases: HashMap<i64, Vec<Instant>>,
    /// Messages that went out, by member.
    counted: HashMap<i64, Vec<Counted>>,
    sharing: Sharing,
    /// Greetings that went out, by (member, campaign): (occasion, due).
    greetings: HashMap<(i64, String), Vec<(String, Instant)>>,
    first_steps: HashMap<(i64, String, String), Reason>,
    /// What was heard of the messages of an occasion, by (member, campaign, occasion).
    heard: HashMap<(i64, String, String), Vec<Heard>>,
    suppressions: HashSet<(String, String)>,
    objections: Objections,
    /// When members' messages came to the question of their arm, of occasions that everybody has at once: the first of
    /// those who share an address stands for it.
    /// Of members who share an address alone.
    assigned: HashMap<Standing, HashMap<i64, Instant>>,
    /// The variants that all get by now who are not held out, by campaign.
    chosen: HashMap<String, String>,
    /// Valid orders by member, where a campaign takes several as one occasion.
    close_orders: HashMap<i64, Vec<Placed>>,
    /// Orders of which such a campaign's step went out, by (member, campaign, step).
    thanked: HashMap<(i64, String, String), Vec<Placed>>,
    /// What the campaigns' audiences ask for.
    pub audiences: AudienceFacts,
    /// What the messages bring, and how much is left of it.
    pub gifts: GiftFacts,
}

/// Who shares an address, by channel and [`suppression_key`].
#[derive(Debug, Default)]
pub struct Sharing(HashMap<(Channel, String), Vec<i64>>);

/// A message that went out.
#[derive(Debug)]
struct Counted {
    id: uuid::Uuid,
    /// Whether it counts for the frequency cap.
    counts: bool,
    channel: Option<Channel>,
    at: Instant,
}

/// One step of an occasion that everybody has at once, by one channel: (campaign, occasion, step, channel).
type Standing = (String, String, String, Channel);

/// That a message was opened or clicked, and when first.
#[derive(Debug)]
struct Heard {
    step: String,
    kind: EventKind,
    at: Instant,
}

impl Surroundings {
    /// What is known about a message at `now`. `campaign` is absent when it is no longer configured.
    pub fn facts(&self, message: &Message, campaign: Option<&Campaign>, brand: &Brand, now: Instant) -> Facts {
        let member = self.members.get(&message.member_id);
        let zone = member.map_or(brand.timezone, |member| member.zone(brand));
        let over = over(message, member, zone);
        let (Some(campaign), Some(member)) = (campaign, member) else { return over };
        let assignment = self.assignment(message, campaign, member, brand);
        let arm = assignment.arm.as_deref();
        let Some(step) = campaign.step(&message.step, arm) else { return over };
        let (counted, channels) = self.channels(message, campaign, member, brand, now);
        let send_at = campaign.variant(&message.step, arm).and_then(|variant| variant.send_at);
        // Of one on its way it is settled.
        let settled = matches!(message.state, State::Queued | State::Sending);
        Facts {
            campaign_ended: campaign.ends_at.is_some_and(|ends| message.first_due_at >= ends),
            order_cancelled: self.order_cancelled(message, member),
            collapsed: self.collapsed(message, campaign, now),
            in_audience: self.in_audience(message, campaign, member, brand, now),
            first_step_ended: self.first_step_ended(message, campaign, member),
            goal_reached: self.goal_reached(message, campaign, step.unless_goal, now)
                || self.was_heard(message, campaign, &step.unless_heard, now),
            already_greeted: campaign.trigger.features().is_yearly && self.already_greeted(message, campaign, member),
            channels,
            not_before: send_at.map(|time| next_local_time(zone, message.due_at, time)),
            counted,
            gift_unavailable: !settled && self.gifts.is_lacking(message, step),
            assignment,
            ..over
        }
    }

    /// Whether the order that the occasion rests on does not hold.
    fn order_cancelled(&self, message: &Message, member: &Member) -> bool {
        let order = message.purchase_id.and_then(|id| self.orders.get(&id));
        order.is_some_and(|order| order.status != OrderStatus::Paid || order.member_id != member.id)
    }

    /// Why the first step ended the occasion, for the steps behind it.
    fn first_step_ended(&self, message: &Message, campaign: &Campaign, member: &Member) -> Option<Reason> {
        if message.step == MAIN {
            return None;
        }
        let key = (member.id, campaign.name.clone(), message.occasion.clone());
        self.first_steps.get(&key).copied()
    }

    /// Whether another year's greeting went out too close to this one.
    fn already_greeted(&self, message: &Message, campaign: &Campaign, member: &Member) -> bool {
        let others = self.greetings.get(&(member.id, campaign.name.clone()));
        others.into_iter().flatten().any(|(occasion, due)| {
            *occasion != message.occasion && (*due - message.first_due_at).abs() < GREETING_DISTANCE
        })
    }

    /// The channels that are left to try, and what counts for the cap: of the member, and by each channel.
    fn channels(
        &self,
        message: &Message,
        campaign: &Campaign,
        member: &Member,
        brand: &Brand,
        now: Instant,
    ) -> (u32, Vec<ChannelFacts>) {
        let is_for_everybody = campaign.trigger.features().is_for_everybody;
        let channels =
            campaign.channels_of(&message.slot).into_iter().filter(|channel| !message.tried.contains(channel));
        let mut channels: Vec<ChannelFacts> = channels
            .map(|channel| ChannelFacts {
                taken: is_for_everybody && self.is_taken(message, member, channel),
                ..self.channel(member, channel, campaign.purpose, brand, now)
            })
            .collect();
        let Some(cap) = brand.frequency_cap.filter(|_| campaign.limits.counts_for_cap) else { return (0, channels) };
        let time = (now - cap.per, now + CLOCKS_APART);
        for channel in &mut channels {
            let sharing = self.sharing(member, channel.channel);
            channel.counted = self.count(message, sharing, Some(channel.channel), time);
        }
        (self.count(message, &[member.id], None, time), channels)
    }

    /// The arm of a message. Once it is known it stays, whatever becomes of the experiment.
    fn assignment(&self, message: &Message, campaign: &Campaign, member: &Member, brand: &Brand) -> Assignment {
        match &message.arm {
            Some(arm) => Assignment::to(arm.clone()),
            None => campaign.assignment(member, brand, self.chosen.get(&campaign.name).map(String::as_str)),
        }
    }

    /// Those who share the member's address on a channel, as far as somebody asked for them.
    fn sharing(&self, member: &Member, channel: Channel) -> &[i64] {
        let key = suppression_key(member, channel).map(|address| (channel, address));
        key.and_then(|key| self.sharing.0.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// Whether the message of another member who has the same address came to the question of its arm before this one.
    fn is_taken(&self, message: &Message, member: &Member, channel: Channel) -> bool {
        let Some(assigned) = self.assigned.get(&standing(message, channel)) else { return false };
        let own = assigned.get(&member.id).map(|at| (at, member.id));
        let others = self.sharing(member, channel).iter().filter(|other| **other != member.id);
        let mut before = others.filter_map(|other| Some((assigned.get(other)?, *other)));
        before.any(|other| own.is_none_or(|own| other < own))
    }

    /// Lets later decisions in the same pass see a message that came to the question of its arm.
    pub fn note_assigned(&mut self, message: &Message, campaign: &Campaign, channel: Channel, at: Instant) {
        let member = self.members.get(&message.member_id);
        if campaign.trigger.features().is_for_everybody
            && member.is_some_and(|member| self.sharing(member, channel).len() > 1)
        {
            self.assigned.entry(standing(message, channel)).or_default().entry(message.member_id).or_insert(at);
        }
    }

    /// Whether the member is in the audience at `now`. What was received by then is judged when the
    /// message is dispatched, in its turn; for one on its way it is settled.
    fn in_audience(
        &self,
        message: &Message,
        campaign: &Campaign,
        member: &Member,
        brand: &Brand,
        now: Instant,
    ) -> bool {
        if message.reason == Some(Reason::OutsideAudience) {
            return false;
        }
        let mut view = self.audiences.view(member, brand, now, Some(message.id));
        if matches!(message.state, State::Queued | State::Sending) {
            view.known.received = None;
        }
        campaign.audience.verdict(&view) != Some(false)
    }

    /// The members' other messages that count, by one channel or any, in (after, until].
    fn count(
        &self,
        message: &Message,
        members: &[i64],
        channel: Option<Channel>,
        (after, until): (Instant, Instant),
    ) -> u32 {
        let sent = members.iter().filter_map(|member| self.counted.get(member)).flatten();
        let counted = sent.filter(|sent| {
            sent.counts
                && sent.id != message.id
                && (channel.is_none() || sent.channel == channel)
                && after < sent.at
                && sent.at <= until
        });
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    }

    /// Lets later decisions in the same pass see a message that this one sends on its way.
    pub fn note_sent(&mut self, message: &Message, campaign: &Campaign, brand: &Brand, channel: Channel, at: Instant) {
        let counts = campaign.limits.counts_for_cap;
        let sent = Counted { id: message.id, counts, channel: Some(channel), at };
        self.counted.entry(message.member_id).or_default().push(sent);
        self.audiences.note_sent(message, at);
        self.give(message, campaign, brand, at);
        if campaign.trigger.features().is_yearly {
            let greeting = (message.occasion.clone(), message.first_due_at);
            self.greetings.entry((message.member_id, message.campaign.clone())).or_default().push(greeting);
        }
        if campaign.trigger.features().collapse.is_some()
            && let Some(order) = message.purchase_id.and_then(|id| self.orders.get(&id))
        {
            let key = (message.member_id, message.campaign.clone(), message.step.clone());
            self.thanked.entry(key).or_default().push(placed(order));
        }
    }

    /// The gift that a message sent at `at` brings: its step's own, taken from what is left unless it has one
    /// already; of a step that gives nothing, the last one that the occasion brought.
    pub fn give(&mut self, message: &Message, campaign: &Campaign, brand: &Brand, at: Instant) -> Option<Gift> {
        let member = self.members.get(&message.member_id)?;
        let arm = self.assignment(message, campaign, member, brand).arm;
        self.gifts.give(message, campaign, arm.as_deref(), local_date(member.zone(brand), at))
    }

    /// Lets later steps of an occasion see that its first step ended it.
    pub fn note_ended(&mut self, message: &Message, reason: Reason) {
        if message.step == MAIN && matches!(reason, Reason::HeldOut | Reason::OutsideAudience) {
            self.first_steps.insert((message.member_id, message.campaign.clone(), message.occasion.clone()), reason);
        }
    }

    /// Takes over what went out from an earlier batch of the same pass.
    pub fn carry_over(&mut self, earlier: Self) {
        // The smaller goes into the larger: of a long pass the earlier is the larger by far.
        let counted = std::mem::replace(&mut self.counted, earlier.counted);
        for (member, sent) in counted {
            let known = self.counted.entry(member).or_default();
            let new: Vec<_> = sent.into_iter().filter(|sent| !known.iter().any(|have| have.id == sent.id)).collect();
            known.extend(new);
        }
        let greetings = std::mem::replace(&mut self.greetings, earlier.greetings);
        for (key, greeted) in greetings {
            self.greetings.entry(key).or_default().extend(greeted);
        }
        let first_steps = std::mem::replace(&mut self.first_steps, earlier.first_steps);
        for (key, reason) in first_steps {
            self.first_steps.entry(key).or_insert(reason);
        }
        for (key, orders) in earlier.thanked {
            let known = self.thanked.entry(key).or_default();
            known.extend(orders);
            known.sort();
            known.dedup();
        }
        for (key, assigned) in earlier.assigned {
            // What was decided first holds, and a pass is in the order of time.
            self.assigned.entry(key).or_default().extend(assigned);
        }
        self.audiences.carry_over(earlier.audiences);
        self.gifts.carry_over(earlier.gifts);
    }

    /// Forgets what can no longer count at `now`, so that a long pass stays small.
    pub fn forget_before(&mut self, counted_after: Instant) {
        self.counted.retain(|_, sent| {
            sent.retain(|sent| sent.at > counted_after);
            !sent.is_empty()
        });
    }

    fn goal_reached(&self, message: &Message, campaign: &Campaign, unless_goal: bool, now: Instant) -> bool {
        let since = if campaign.trigger.features().ends_with_any_purchase {
            // The order that was the last one when the occasion arose; any later one is a return.
            message.purchase_id.map(|id| self.orders.get(&id).map_or(message.first_due_at, |order| order.purchased_at))
        } else if unless_goal {
            Some(message.first_due_at)
        } else {
            return false;
        };
        let purchases = self.purchases.get(&message.member_id).into_iter().flatten();
        let mut seen = purchases.filter(|at| **at <= now);
        seen.any(|at| since.is_none_or(|since| *at > since))
    }

    /// Whether one of these was heard of an earlier step of the occasion. Who clicked has opened it.
    fn was_heard(&self, message: &Message, campaign: &Campaign, kinds: &[EventKind], now: Instant) -> bool {
        let earlier = campaign.steps.iter().take_while(|step| step.id != message.step).map(|step| &step.id);
        let earlier: Vec<&String> = if kinds.is_empty() { return false } else { earlier.collect() };
        let key = (message.member_id, message.campaign.clone(), message.occasion.clone());
        let says = |kind| kinds.contains(&kind) || (kind == EventKind::Clicked && kinds.contains(&EventKind::Opened));
        let heard = self.heard.get(&key).into_iter().flatten();
        heard.filter(|heard| heard.at <= now && says(heard.kind)).any(|heard| earlier.contains(&&heard.step))
    }

    /// Whether the occasion is not this order's, or no longer. An order that was thanked for and then
    /// cancelled still stands for those close to it.
    fn collapsed(&self, message: &Message, campaign: &Campaign, now: Instant) -> bool {
        let (Some(span), Some(id)) = (campaign.trigger.features().collapse, message.purchase_id) else { return false };
        let mut orders = self.close_orders.get(&message.member_id).cloned().unwrap_or_default();
        orders.retain(|order| order.purchased_at <= now);
        if chain(orders.clone(), id, span).first().is_some_and(|first| *first != id) {
            return true;
        }
        let key = (message.member_id, message.campaign.clone(), message.step.clone());
        let Some(thanked) = self.thanked.get(&key) else { return false };
        orders.extend(thanked.iter().cloned());
        let chain = chain(orders, id, span);
        thanked.iter().any(|order| order.id != id && chain.contains(&order.id))
    }

    fn channel(
        &self,
        member: &Member,
        channel: Channel,
        purpose: Purpose,
        brand: &Brand,
        now: Instant,
    ) -> ChannelFacts {
        let number = member.address(channel).filter(|_| channel == Channel::Sms);
        let line = number.and_then(|number| brand.sms.line(number, purpose));
        let key = suppression_key(member, channel);
        let paused = purpose == Purpose::Marketing && member.paused_until.is_some_and(|until| now < until);
        ChannelFacts {
            channel,
            has_address: key.is_some() && number.is_none_or(|number| brand.sms.cover(number)),
            has_consent: member.consents(channel),
            suppressed: paused
                || self.objections.contains(&(member.id, channel, purpose))
                || key.is_some_and(|address| self.suppressions.contains(&(address, purpose.as_str().to_owned()))),
            taken: false,
            counted: 0,
            closed: line.and_then(|line| line.closed).map(|hours| (hours, brand.timezone)),
        }
    }
}

/// What is known of a message whose campaign, or step, is no longer there.
fn over(message: &Message, member: Option<&Member>, zone: Tz) -> Facts {
    Facts {
        zone,
        due_at: message.due_at,
        campaign_ended: true,
        member_deleted: member.is_none_or(|member| member.deleted),
        order_cancelled: false,
        collapsed: false,
        in_audience: true,
        first_step_ended: None,
        goal_reached: false,
        already_greeted: false,
        channels: Vec::new(),
        assignment: Assignment::default(),
        not_before: None,
        counted: 0,
        gift_unavailable: false,
    }
}

fn standing(message: &Message, channel: Channel) -> Standing {
    (message.campaign.clone(), message.occasion.clone(), message.step.clone(), channel)
}

fn placed(order: &Purchase) -> Placed {
    Placed { purchased_at: order.purchased_at, order_id: order.order_id.clone(), id: order.id }
}
