//! What becomes of each message, decided one after another in the order of time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::audience::{self, Scene};
use super::brand::Rest;
use super::calendar::round_up;
use super::campaign::{Campaign, Coupon};
use super::schedule::{first_open, rest_at};
use super::shop::Member;
use super::triggers::{self, first_eight_bytes};
use super::{DAY, Expected, Fate, Pass, World};

/// A message, decided or not.
struct Message<'a> {
    campaign: &'a Campaign,
    member: &'a Member,
    occasion_key: String,
    lapsed_since: Option<i64>,
    step_position: usize,
    /// The channels to try in turn: all for `reach: first`, one for `reach: all`.
    channels: Vec<String>,
    channel_position: usize,
    first_due_at: i64,
    due_at: i64,
    /// When a backfill writes it down, whatever the audience.
    taken_up_at: Option<i64>,
    /// When it is looked at next.
    next_at: i64,
    /// In which it is, once it came to that.
    arm: Option<&'a str>,
    state: State,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    /// No scan has found it yet.
    Unseen,
    /// A scan has found it outside the audience and left no trace of it.
    Untraced,
    InLedger(Fate),
}

/// What happens to a message next. The order is that in which things happen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: i64,
    deed: Deed,
    order: (i64, Reverse<i64>, i64, String, usize, usize, String),
    message: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Scan,
    Decide,
}

/// What policy says of a message at an instant.
enum Decision {
    Send(String),
    Skip(&'static str),
    Wait(i64),
}

/// Campaign, occasion, step, channel and address.
type Place<'a> = (&'a str, String, usize, String, String);

/// The messages, and what was sent so far.
struct Run<'a> {
    world: &'a World,
    messages: Vec<Message<'a>>,
    /// The messages that were sent to each member, in order.
    sent_to: HashMap<&'a str, Vec<usize>>,
    /// The same by channel and address.
    sent_to_address: HashMap<(String, String), Vec<usize>>,
    /// Who stands for an address, where everybody has the occasion at once: by campaign, occasion, step, channel and
    /// address.
    standing: HashMap<Place<'a>, &'a str>,
    /// The messages of each first step, by campaign, member and occasion.
    first_steps: HashMap<(&'a str, &'a str, String), Vec<usize>>,
    /// How many codes were taken out of each pool.
    taken: HashMap<&'a str, usize>,
    /// The steps of occasions that have one.
    gifted: BTreeSet<(&'a str, &'a str, String, usize)>,
}

/// Every message that the passes find.
pub fn run(world: &World, passes: &[Pass]) -> Vec<Expected> {
    let mut run = Run::new(world, window_of(passes));
    for pass in passes {
        match *pass {
            Pass::Between(from, to) => run.between(from, to),
            Pass::At(now) => run.at(now),
        }
    }
    let found = run.messages.into_iter().filter_map(|message| {
        let State::InLedger(fate) = message.state else {
            return None;
        };
        Some(Expected {
            member: message.member.id.clone(),
            campaign: message.campaign.name.clone(),
            step: message.campaign.steps[message.step_position].id.clone(),
            due_at: message.due_at,
            arm: message.arm.map(str::to_owned),
            fate,
        })
    });
    found.collect()
}

/// The first instant of all passes, and the last.
fn window_of(passes: &[Pass]) -> (i64, i64) {
    let bounds = passes.iter().flat_map(|pass| match *pass {
        Pass::Between(from, to) => [from, to - 1],
        Pass::At(now) => [now, now],
    });
    let bounds: Vec<i64> = bounds.collect();
    (*bounds.iter().min().expect("a pass"), *bounds.iter().max().expect("a pass"))
}

impl<'a> Run<'a> {
    fn new(world: &'a World, window: (i64, i64)) -> Run<'a> {
        let mut messages = Vec::new();
        for campaign in world.campaigns.iter().filter(|campaign| campaign.is_live) {
            let starts_at = campaign.starts_at.map_or(window.0, |at| at.in_zone(world.brand.timezone));
            let window = (window.0.min(starts_at), window.1);
            let backfilled = triggers::backfilled(world, campaign, window);
            for member in world.shop.members.values() {
                messages.extend(messages_of(world, campaign, member, window, &backfilled));
            }
        }
        let mut first_steps: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, message) in messages.iter().enumerate().filter(|(_, message)| message.step_position == 0) {
            first_steps.entry(message.occasion()).or_default().push(index);
        }
        let (sent_to, sent_to_address) = (HashMap::new(), HashMap::new());
        let (taken, gifted, standing) = (HashMap::new(), BTreeSet::new(), HashMap::new());
        Run { world, messages, sent_to, sent_to_address, standing, first_steps, taken, gifted }
    }

    /// Works at every instant until nothing that fell due in the window waits any more.
    fn between(&mut self, from: i64, to: i64) {
        self.take_up(to - 1);
        let mut events = BTreeSet::new();
        for (index, message) in self.messages.iter().enumerate() {
            if message.state == State::Unseen && (from..to).contains(&message.due_at) {
                events.insert(message.event(message.due_at, Deed::Scan, index));
            }
            // A backfill also writes down what is due after the window.
            if message.waits() && message.due_at < to {
                events.insert(message.event(message.next_at.max(from), Deed::Decide, index));
            }
        }
        while let Some(event) = events.pop_first() {
            match event.deed {
                Deed::Scan => self.scan(event.message),
                Deed::Decide => self.decide(event.message, event.at),
            }
            let message = &self.messages[event.message];
            if message.waits() {
                events.insert(message.event(message.next_at, Deed::Decide, event.message));
            }
        }
    }

    /// Scans and decides once.
    fn at(&mut self, now: i64) {
        self.take_up(now);
        for index in 0..self.messages.len() {
            if self.messages[index].state == State::Unseen && self.messages[index].due_at <= now {
                self.scan(index);
            }
        }
        let waiting = self.messages.iter().enumerate();
        let waiting = waiting.filter(|(_, message)| message.waits() && message.next_at <= now);
        let events: BTreeSet<Event> = waiting.map(|(index, message)| message.event(now, Deed::Decide, index)).collect();
        for event in events {
            self.decide(event.message, now);
        }
    }

    /// Writes down what backfills take up by now, of days to come as well.
    fn take_up(&mut self, now: i64) {
        for message in &mut self.messages {
            if message.state == State::Unseen && message.taken_up_at.is_some_and(|at| at <= now) {
                message.state = State::InLedger(Fate::Waiting);
            }
        }
    }

    /// A scan finds the message and judges it by its due instant.
    fn scan(&mut self, index: usize) {
        let message = &self.messages[index];
        let first_steps = self.first_steps_of(message);
        // The first step may have been due before anybody was at work.
        let began_outside = message.campaign.leaves_no_trace()
            && message.step_position > 0
            && self.admits(message, message.first_due_at, None) == Some(false);
        self.messages[index].state = match self.may_be_admitted(message) {
            _ if began_outside || first_steps.contains(&&State::Untraced) => State::Untraced,
            true => State::InLedger(Fate::Waiting),
            false if message.campaign.leaves_no_trace() => State::Untraced,
            false => State::InLedger(Fate::Ended("outside_audience")),
        };
    }

    /// The dispatcher and the sender look at the message.
    fn decide(&mut self, index: usize, now: i64) {
        let message = &self.messages[index];
        let member = message.member;
        let channel = match self.channel_for(message, now) {
            Ok(channel) => channel,
            Err(reason) => {
                self.messages[index].state = State::InLedger(Fate::Ended(reason));
                return;
            }
        };
        // It came to the question of its arm, and stands for its address whatever follows.
        let place = message.place(&channel);
        self.standing.entry(place).or_insert(&member.id);
        self.messages[index].arm = arm_of(self.world, self.messages[index].campaign, member);
        match self.decision(&self.messages[index], channel, now) {
            Decision::Send(channel) => {
                let address = member.address(&channel).expect("an address");
                self.sent_to.entry(&member.id).or_default().push(index);
                self.sent_to_address.entry((channel.clone(), address)).or_default().push(index);
                self.take_code(index);
                self.messages[index].state = State::InLedger(Fate::Sent { at: now, channel });
            }
            Decision::Skip(reason) => self.messages[index].state = State::InLedger(Fate::Ended(reason)),
            Decision::Wait(until) => self.messages[index].next_at = until,
        }
    }

    /// The policy up to the question of the arm: the channel, or the first reason that holds.
    fn channel_for(&self, message: &Message<'a>, now: i64) -> Result<String, &'static str> {
        let (campaign, member) = (message.campaign, message.member);
        if self.began_outside(message) || !self.is_admitted(message, now) {
            return Err("outside_audience");
        }
        if message.goal_reached(now) {
            return Err("goal_reached");
        }
        if campaign.send_within.is_some_and(|within| now > message.may_go_at(self.world) + within) {
            return Err("too_late");
        }
        if self.is_already_greeted(message) {
            return Err("already_greeted");
        }
        let has_address = |channel: &&String| member.address(channel).is_some();
        let may_write = |channel: &&String| !campaign.is_marketing || member.has_consent(channel);
        let mut with_address = message.channels.iter().filter(has_address).peekable();
        if with_address.peek().is_none() {
            return Err("no_address");
        }
        let mut allowed = with_address.filter(may_write).peekable();
        if allowed.peek().is_none() {
            return Err("no_consent");
        }
        let objects = |channel: &&String| {
            campaign.is_marketing && self.world.objections.contains(&(member.id.clone(), (*channel).clone()))
        };
        let Some(channel) = allowed.find(|channel| !objects(channel)) else {
            return Err("suppressed");
        };
        let stands = self.standing.get(&message.place(channel));
        if campaign.leaves_no_trace() && stands.is_some_and(|other| *other != member.id) {
            return Err("same_address");
        }
        Ok(channel.clone())
    }

    /// The policy after that.
    fn decision(&self, message: &Message<'a>, channel: String, now: i64) -> Decision {
        let (campaign, member) = (message.campaign, message.member);
        let zone = member.zone(&self.world.brand);
        if matches!(message.arm, Some("holdout" | "brand_holdout")) {
            return Decision::Skip("held_out");
        }
        let now = match message.not_before(self.world) {
            Some(begin) if begin > now => {
                let rests = campaign.is_marketing && rest_at(self.world, zone, now) == Rest::Skip;
                let open = if campaign.is_marketing { first_open(self.world, zone, begin) } else { begin };
                return if rests { Decision::Skip("rest_day") } else { Decision::Wait(open) };
            }
            _ => now,
        };
        if campaign.is_marketing {
            if rest_at(self.world, zone, now) == Rest::Skip {
                return Decision::Skip("rest_day");
            }
            let open = first_open(self.world, zone, now);
            if open > now {
                return Decision::Wait(open);
            }
        }
        if self.is_capped(message, &channel, now) {
            return Decision::Skip("frequency_cap");
        }
        if self.lacks_code(message) {
            return Decision::Skip("gift_unavailable");
        }
        Decision::Send(channel)
    }

    /// Whether the message needs a code, and its step of the occasion has none, and none is left.
    fn lacks_code(&self, message: &Message<'a>) -> bool {
        let coupon = message.coupon();
        let has_one = self.gifted.contains(&message.step());
        coupon.is_some_and(|coupon| coupon.is_needed && !has_one && self.codes_left(&coupon.pool) == 0)
    }

    fn codes_left(&self, pool: &str) -> usize {
        self.world.pools.get(pool).copied().unwrap_or(0) - self.taken.get(pool).copied().unwrap_or(0)
    }

    /// A message that goes out has a code with it, if there is one.
    fn take_code(&mut self, index: usize) {
        let message = &self.messages[index];
        let step = message.step();
        let Some(coupon) = message.coupon() else { return };
        if self.codes_left(&coupon.pool) > 0 && self.gifted.insert(step) {
            *self.taken.entry(&coupon.pool).or_default() += 1;
        }
    }

    /// Whether the first step of the occasion was found outside the audience.
    fn began_outside(&self, message: &Message) -> bool {
        self.first_steps_of(message).contains(&&State::InLedger(Fate::Ended("outside_audience")))
    }

    /// What became of the first step of a later one, on each channel.
    fn first_steps_of(&self, message: &Message) -> Vec<&State> {
        let first_steps = self.first_steps.get(&message.occasion()).filter(|_| message.step_position > 0);
        first_steps.into_iter().flatten().map(|&index| &self.messages[index].state).collect()
    }

    /// Whether the member is in the audience, by what was sent so far.
    fn is_admitted(&self, message: &Message, now: i64) -> bool {
        let sent = self.sent_to.get(message.member.id.as_str()).into_iter().flatten();
        let received: Vec<_> = sent.map(|&index| self.messages[index].sent()).collect();
        self.admits(message, now, Some(&received)) == Some(true)
    }

    /// Whether a scan leaves the member in the audience: what was received is asked later.
    fn may_be_admitted(&self, message: &Message) -> bool {
        self.admits(message, message.due_at, None) != Some(false)
    }

    fn admits(&self, message: &Message, at: i64, received: Option<&[(&str, i64)]>) -> Option<bool> {
        let scene = Scene { world: self.world, member: message.member, at, received };
        message.campaign.audience.as_ref().map_or(Some(true), |rule| audience::admits(rule, &scene))
    }

    fn is_already_greeted(&self, message: &Message) -> bool {
        let sent = self.sent_to.get(message.member.id.as_str()).into_iter().flatten();
        message.campaign.is_yearly()
            && sent.map(|&index| &self.messages[index]).any(|other| {
                other.campaign.name == message.campaign.name
                    && other.occasion_key != message.occasion_key
                    && (other.due_at - message.due_at).abs() < 180 * DAY
            })
    }

    /// Whether the member, or the address, had their share.
    fn is_capped(&self, message: &Message, channel: &str, now: i64) -> bool {
        let Some((limit, per)) = self.world.brand.frequency_cap.filter(|_| !message.campaign.is_exempt) else {
            return false;
        };
        let is_full = |sent: Option<&Vec<usize>>| {
            let sent = sent.into_iter().flatten().map(|&index| &self.messages[index]);
            let counts = sent.filter(|other| {
                let (_, at) = other.sent();
                !other.campaign.is_exempt && at > now - per && at <= now
            });
            counts.count() >= limit
        };
        let address = message.member.address(channel).expect("an address");
        is_full(self.sent_to.get(message.member.id.as_str()))
            || self.world.brand.caps_addresses && is_full(self.sent_to_address.get(&(channel.to_string(), address)))
    }
}

/// The messages of one member in one campaign.
fn messages_of<'a>(
    world: &World,
    campaign: &'a Campaign,
    member: &'a Member,
    window: triggers::Window,
    backfilled: &triggers::Backfilled,
) -> Vec<Message<'a>> {
    let slots: Vec<Vec<String>> = if campaign.reaches_all {
        campaign.channels.iter().map(|channel| vec![channel.clone()]).collect()
    } else {
        vec![campaign.channels.clone()]
    };
    let (occasions, steps) = triggers::steps_of(world, campaign, member, window, backfilled);
    let mut messages = Vec::new();
    for step in steps.iter().filter(|step| step.due_at <= window.1) {
        for (channel_position, channels) in slots.iter().enumerate() {
            let occasion = &occasions[step.occasion];
            let mut message = Message {
                campaign,
                member,
                occasion_key: occasion.key.clone(),
                lapsed_since: occasion.lapsed_since,
                step_position: step.step_position,
                channels: channels.clone(),
                channel_position,
                first_due_at: step.first_due_at,
                due_at: step.due_at,
                taken_up_at: step.taken_up_at,
                next_at: step.due_at,
                arm: None,
                state: State::Unseen,
            };
            message.next_at = message.first_attempt_at(world);
            messages.push(message);
        }
    }
    messages
}

impl<'a> Message<'a> {
    fn occasion(&self) -> (&'a str, &'a str, String) {
        (&self.campaign.name, &self.member.id, self.occasion_key.clone())
    }

    fn step(&self) -> (&'a str, &'a str, String, usize) {
        (&self.campaign.name, &self.member.id, self.occasion_key.clone(), self.step_position)
    }

    fn place(&self, channel: &str) -> Place<'a> {
        let address = self.member.address(channel).expect("an address");
        (&self.campaign.name, self.occasion_key.clone(), self.step_position, channel.to_string(), address)
    }

    fn waits(&self) -> bool {
        self.state == State::InLedger(Fate::Waiting)
    }

    fn event(&self, at: i64, deed: Deed, message: usize) -> Event {
        let (priority, name) = (Reverse(self.campaign.priority), self.campaign.name.clone());
        let member = self.member.id.clone();
        let order = (self.next_at, priority, self.due_at, name, self.step_position, self.channel_position, member);
        Event { at, deed, order, message }
    }

    /// The due instant, or when the quiet hours and days of rest are over that it fell into.
    fn first_attempt_at(&self, world: &World) -> i64 {
        let zone = self.member.zone(&world.brand);
        if self.campaign.is_marketing { first_open(world, zone, self.due_at) } else { self.due_at }
    }

    /// The same for who is in a variant that goes out later.
    fn may_go_at(&self, world: &World) -> i64 {
        let zone = self.member.zone(&world.brand);
        let begin = self.not_before(world).unwrap_or(self.due_at);
        if self.campaign.is_marketing { first_open(world, zone, begin) } else { begin }
    }

    /// When the member's variant begins to go out, if it says so.
    fn not_before(&self, world: &World) -> Option<i64> {
        let arm = self.arm.or_else(|| arm_of(world, self.campaign, self.member));
        let variant = self.campaign.variants.iter().find(|variant| Some(variant.name.as_str()) == arm);
        let time = variant.filter(|_| self.step_position == 0)?.send_at?;
        Some(round_up(self.member.zone(&world.brand), self.due_at, time))
    }

    /// What the message needs out of a pool.
    fn coupon(&self) -> Option<&'a Coupon> {
        let variants = if self.step_position == 0 { self.campaign.variants.as_slice() } else { &[] };
        match variants.iter().find(|variant| Some(variant.name.as_str()) == self.arm) {
            Some(variant) => variant.coupon.as_ref(),
            None => self.campaign.steps[self.step_position].coupon.as_ref(),
        }
    }

    /// Campaign and moment of a message that was sent.
    fn sent(&self) -> (&'a str, i64) {
        match &self.state {
            State::InLedger(Fate::Sent { at, .. }) => (&self.campaign.name, *at),
            _ => panic!("it was not sent"),
        }
    }

    /// Whether the member has bought by now what the message wants them to buy.
    fn goal_reached(&self, now: i64) -> bool {
        let unless_goal = self.campaign.steps[self.step_position].unless_goal;
        let since = match self.lapsed_since {
            Some(lapsed_since) => lapsed_since,
            None if unless_goal => self.first_due_at,
            None => return false,
        };
        self.member.orders.iter().any(|order| order.purchased_at > since && order.purchased_at <= now)
    }
}

/// The arm of a member in a campaign; none where nobody is compared.
fn arm_of<'a>(world: &World, campaign: &'a Campaign, member: &Member) -> Option<&'a str> {
    let falls = |text: &str| first_eight_bytes(text) as f64 / 2_f64.powi(64);
    if campaign.is_marketing && falls(&format!("brand\0\0{}", member.id)) < world.brand.holdout {
        return Some("brand_holdout");
    }
    if campaign.holdout == 0.0 && campaign.variants.is_empty() {
        return None;
    }
    // As the store writes it: numbers with a plus.
    let written = |channel: &String| {
        let address = member.address(channel)?;
        Some(if channel == "sms" { format!("+{address}") } else { address })
    };
    let address = campaign.channels.iter().find_map(written);
    let divided = address.filter(|_| campaign.divides_addresses).unwrap_or_else(|| member.id.clone());
    if falls(&format!("{}\0{divided}", campaign.name)) < campaign.holdout {
        return Some("holdout");
    }
    let place = falls(&format!("variant\0{}\0{divided}", campaign.name));
    let mut below = 0.0;
    for variant in &campaign.variants {
        below += variant.share;
        if place < below {
            return Some(&variant.name);
        }
    }
    Some(campaign.variants.last().map_or("treated", |variant| &variant.name))
}
