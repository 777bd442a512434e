//! Made-up shops of which it is known what their campaign earns: who the members are, and what they buy, given when
//! their message went out, if it did. What becomes of a message, and in which arm a member is, is not decided here.

use std::fmt::Write;

use super::shop::Dice;

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;

/// The campaign of every kind.
pub const NAME: &str = "hello";

/// It never writes at night.
pub const BRAND: &str = "{ name: Shop, timezone: UTC, locale: en, currency: USD, \
    base_url: \"https://shop.example\", quiet_hours: \"21:00-08:00\" }";

/// Orders count for so long.
pub const WINDOW: i64 = 14 * DAY;

/// Midnight of the first day on which messages fall due, 2024-05-01, and how many such days there are.
pub const FIRST: i64 = 1_714_521_600_000;
pub const DAYS: i64 = 4;

/// A member may buy so often after that, each time with this probability, within this time.
const CHANCES: usize = 2;
const CHANCE: f64 = 0.3;
const SPAN: i64 = 20 * DAY;

/// How many buy between the due instant and the scan of 22:00, and in the night after it.
const IN_THE_EVENING: f64 = 0.05;
const AT_NIGHT: f64 = 0.15;

/// In cents.
const MEDIAN: f64 = 5_000.0;

/// Where members come from, and how they wait for their message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// They join, and are welcomed at 10:00.
    Joining,
    /// So do families of up to four, a day after each other, who have one telephone.
    Families,
    /// They have not bought for 30 days at an hour of the day, are found at 22:00 and wait until 08:00.
    Waiting,
}

/// A kind of shop.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    pub shape: Shape,
    /// The deviation of the logarithm of an order.
    sigma: f64,
    /// What a message does to the orders after it: how many times as large they are, and which share is made.
    larger: f64,
    made: f64,
    /// The share of orders that are paid back, without a message and after one.
    paid_back: [f64; 2],
}

/// Nothing happens; every other kind differs in what it says.
const NOTHING: Known =
    Known { name: "none", shape: Shape::Joining, sigma: 0.75, larger: 1.0, made: 1.0, paid_back: [0.0; 2] };

pub const NONE: Known = NOTHING;
pub const MORE: Known = Known { name: "more", larger: 1.05, ..NOTHING };
pub const LESS: Known = Known { name: "less", made: 0.95, ..NOTHING };
pub const HEAVY_TAILED: Known = Known { name: "heavy_tailed", sigma: 1.5, larger: 1.05, ..NOTHING };
pub const BOUGHT_WHILE_WAITING: Known =
    Known { name: "bought_while_waiting", shape: Shape::Waiting, larger: 1.05, ..NOTHING };
pub const REFUNDS: Known = Known { name: "refunds", larger: 1.15, paid_back: [0.2, 0.25], ..NOTHING };
pub const SHARED_PHONES: Known = Known { name: "shared_phones", shape: Shape::Families, larger: 1.05, ..NOTHING };

/// A member.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    pub phone: Option<String>,
    pub consents: bool,
    pub joined_at: i64,
    /// Orders in the order of time.
    chances: Vec<Chance>,
}

/// An order, before it is known whether a message comes before it.
#[derive(Debug, Clone, Copy)]
struct Chance {
    at: i64,
    cents: f64,
    /// Below the share that is made, and above the share that is kept, in [0, 1).
    luck: [f64; 2],
}

/// An order that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: String,
    pub at: i64,
    pub cents: i64,
    /// It is, once all is over.
    pub is_paid_back: bool,
}

/// From 0 to below 1.
fn share(dice: &mut Dice) -> f64 {
    (dice.roll() >> 11) as f64 / (1_u64 << 53) as f64
}

impl Known {
    /// The campaign's file, without its name.
    pub fn campaign(&self) -> String {
        let (trigger, hours, channel, by) = match self.shape {
            Shape::Joining => ("welcome", "scan: \"0 10 * * *\", send_at: \"10:00\"", "email", "member"),
            Shape::Families => ("welcome", "scan: \"0 10 * * *\", send_at: \"10:00\"", "sms", "address"),
            Shape::Waiting => ("at_risk, after: 30d", "scan: \"0 22 * * *\"", "email", "member"),
        };
        format!(
            "trigger: {{ kind: {trigger} }}\nschedule: {{ {hours} }}\nchannels: [{channel}]\n\
             experiment: {{ holdout: 30%, holdout_by: {by}, goal: {{ event: purchase, within: 14d }} }}"
        )
    }

    /// The members of a shop; no two shops have the same.
    pub fn people(&self, shop: u64, members: usize) -> Vec<Person> {
        let seed = self.name.bytes().fold(shop, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut dice = Dice(seed);
        let mut people = Vec::with_capacity(members);
        while people.len() < members {
            let consents = !dice.once_in(7);
            let family = if self.shape == Shape::Families { 1 + dice.below(4) } else { 1 };
            let phone =
                (self.shape == Shape::Families).then(|| format!("+98912{:07}", shop * 10_000 + people.len() as u64));
            let day = if family == 1 { dice.below(DAYS as u64) } else { 0 };
            for sibling in 0..family {
                let id = format!("s{shop}-{}", people.len());
                let midnight = FIRST + (day + sibling) as i64 * DAY;
                let (joined_at, chances) = self.chances(&mut dice, midnight);
                people.push(Person { id, phone: phone.clone(), consents, joined_at, chances });
            }
        }
        people
    }

    /// When somebody joined, and what the member may buy, where the message falls due on this day.
    fn chances(&self, dice: &mut Dice, midnight: i64) -> (i64, Vec<Chance>) {
        let mut chances = Vec::new();
        let mut add = |dice: &mut Dice, probability: f64, from: i64, to: i64| {
            let comes = share(dice) < probability;
            let at = from + 1 + dice.below((to - from - 1) as u64) as i64;
            let normal = (-2.0 * (1.0 - share(dice)).ln()).sqrt() * (std::f64::consts::TAU * share(dice)).cos();
            let luck = [share(dice), share(dice)];
            if comes {
                chances.push(Chance { at, cents: MEDIAN * (self.sigma * normal).exp(), luck });
            }
        };
        let (joined_at, begins) = if self.shape == Shape::Waiting {
            let due_at = midnight + 12 * HOUR + dice.below(8 * HOUR as u64) as i64;
            add(dice, 1.0, due_at - 30 * DAY - 1, due_at - 30 * DAY + 1);
            add(dice, IN_THE_EVENING, due_at, midnight + 22 * HOUR);
            add(dice, AT_NIGHT, midnight + 22 * HOUR, midnight + 32 * HOUR);
            (midnight - 60 * DAY, midnight + 32 * HOUR)
        } else {
            (midnight + dice.below(10 * HOUR as u64) as i64, midnight + 10 * HOUR)
        };
        for _ in 0..CHANCES {
            add(dice, CHANCE, begins, begins + SPAN);
        }
        chances.sort_by_key(|chance| chance.at);
        (joined_at, chances)
    }

    /// What a member (with one telephone: a family) brings more on average because it is in the arm that gets
    /// messages, in cents.
    pub fn truth(&self) -> f64 {
        let order = MEDIAN * (self.sigma * self.sigma / 2.0).exp();
        let gain = self.larger * self.made * (1.0 - self.paid_back[1]) - (1.0 - self.paid_back[0]);
        let days = |days: f64| days * DAY as f64 / SPAN as f64;
        // The part of what somebody buys later that comes after the message and still counts.
        let counts = match self.shape {
            Shape::Joining => days(14.0),
            // The time in which orders count begins with the first of a family.
            Shape::Families => {
                (1..=4).flat_map(|size| 0..size).map(|late| days(14.0 - f64::from(late))).sum::<f64>() / 4.0
            }
            // It begins sixteen hours before the message on average, which who buys meanwhile does not get.
            Shape::Waiting => (1.0 - AT_NIGHT) * days(14.0 - 16.0 / 24.0),
        };
        CHANCES as f64 * CHANCE * order * gain * counts
    }
}

impl Person {
    /// What the member buys, given when the message went out.
    pub fn orders(&self, known: &Known, sent_at: Option<i64>) -> Vec<Order> {
        let order = |(n, chance): (usize, &Chance)| {
            let is_after = sent_at.is_some_and(|sent_at| chance.at > sent_at);
            let (larger, made) = if is_after { (known.larger, known.made) } else { (1.0, 1.0) };
            (chance.luck[0] < made).then(|| Order {
                id: format!("{}-{n}", self.id),
                at: chance.at,
                cents: (chance.cents * larger).round() as i64,
                is_paid_back: chance.luck[1] < known.paid_back[usize::from(is_after)],
            })
        };
        self.chances.iter().enumerate().filter_map(order).collect()
    }

    pub fn email(&self) -> String {
        format!("{}@example.com", self.id)
    }
}

/// The import's file of members.
pub fn members_file(people: &[Person]) -> String {
    let mut file = "external_id,email,phone,email_consent,sms_consent,joined_at\n".to_owned();
    for person in people {
        let Person { id, phone, consents, joined_at, .. } = person;
        let (email, phone) = (person.email(), phone.as_deref().unwrap_or_default());
        writeln!(file, "{id},{email},{phone},{consents},{consents},{}", text(*joined_at)).unwrap();
    }
    file
}

/// The import's file of members' orders; `is_over`, whether what is paid back was paid back by then.
pub fn orders_file<'a>(orders: impl IntoIterator<Item = (&'a Person, Order)>, is_over: bool) -> String {
    let mut file = "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned();
    for (person, Order { id, at, cents, is_paid_back }) in orders {
        let status = if is_over && is_paid_back { "refunded" } else { "paid" };
        let (at, member) = (text(at), &person.id);
        writeln!(file, "{id},{member},{at},{}.{:02},USD,{status}", cents / 100, cents % 100).unwrap();
    }
    file
}

/// An instant as RFC 3339.
pub fn text(millis: i64) -> String {
    rekindle::domain::instant(millis).to_rfc3339()
}
