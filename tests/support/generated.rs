//! Shops that dice make up: members, orders and campaigns of every trigger.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::Duration;
use rekindle::domain::lifetime::{BgNbd, Fit};
use rekindle::domain::message::Purpose;
use rekindle::import::Kind;
use rekindle::store::members;
use rekindle::store::models::{self, Fitted};
use rekindle::store::objections::{self, Objection};

use super::features::Feature::{
    AddressCap, Aggregates, AnniversaryOf, Backfill, Collapse, Dates, Gifts, Items, Occasions, Probability, Received,
    RestDays, Rhythm, Segments, Spread,
};
use super::naive;
use super::shop::{Dice, Shop, Size, at};

const ZONES: &[&str] = &[
    "",
    "",
    "Asia/Tehran",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
];

const BRANDS: &[&str] = &[
    "timezone: Asia/Tehran, calendar: persian, quiet_hours: \"21:00-08:00\", frequency_cap: { messages: 2, per: 5d }",
    "timezone: Europe/Berlin, calendar: gregorian, quiet_hours: \"22:30-09:00\", frequency_cap: { messages: 1, per: 3d }, holdout: 6%",
    "timezone: America/New_York, calendar: gregorian, quiet_hours: \"12:00-13:30\", frequency_cap: { messages: 3, per: 7d }, holdout: 0.1",
];

const RESTS: &[&str] = &[
    "",
    ", rest: { weekends: defer }",
    ", rest: { weekends: skip, blackouts: skip }",
    ", weekend: [friday], rest: { weekends: defer, blackouts: skip }",
    ", weekend: [thursday, friday], rest: { weekends: skip }",
];

/// Members of every zone and calendar, and what a shop does with them from an instant on for some
/// days.
pub struct Generated {
    pub brand: String,
    pub members: String,
    pub purchases: String,
    /// The name and the text of each.
    pub campaigns: Vec<(String, String)>,
    pub segments: Vec<(String, String)>,
    /// The text of the occasions' file.
    pub occasions: Option<String>,
    /// How many codes each of [`POOLS`] holds.
    pub codes: usize,
    /// Who objects to marketing by which channel.
    pub objections: BTreeSet<(String, String)>,
}

const POOLS: &[&str] = &["spring", "autumn"];

/// A mail and an SMS that say the gift, if they have one.
const GIVING: &str = "Hello {{#if gift}}{{gift.code}}{{/if}}";

/// What Fader, Hardie and Lee found for the CDNOW sample.
const MODEL: naive::Model = naive::Model { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

impl Generated {
    /// With so many members and four times as many orders.
    pub fn new(count: usize, seed: u64, from: &str, days: u64) -> Self {
        let mut dice = Dice(seed);
        let brand = brand(&mut dice);
        let members = members(count, &mut dice, from, days);
        let purchases = purchases(count, &mut dice, from, days);
        let campaigns = campaigns(&mut dice, from, days);
        let occasions = Occasions.is_on().then(|| occasions(&mut dice, from, days));
        let segments = if Segments.is_on() { segments() } else { Vec::new() };
        // More than anybody can need.
        let codes = if Gifts.is_on() { count * 20 } else { 0 };
        Self { brand, members, purchases, campaigns, segments, occasions, codes, objections: BTreeSet::new() }
    }

    /// The same shop, in which some members objected to marketing by a channel.
    pub fn with_objections(self) -> Self {
        let count = self.members.lines().count() - 1;
        let every = |step: usize, channel: &str| {
            let names = (1..count).filter(move |n| n % step == step / 2).map(|n| format!("m{n}"));
            names.map(|name| (name, channel.to_owned())).collect::<Vec<_>>()
        };
        let objections = every(7, "email").into_iter().chain(every(11, "sms")).collect();
        Self { objections, ..self }
    }

    /// The same shop with fewer codes than messages that bring one.
    pub fn with_few_codes(self) -> Self {
        Self { codes: self.codes / 200, ..self }
    }

    /// The same shop without a frequency cap.
    pub fn without_cap(mut self) -> Self {
        let cap = self.brand.find("frequency_cap").unwrap();
        let end = cap + self.brand[cap..].find('}').unwrap() + 1;
        self.brand.replace_range(cap..end, "frequency_cap: none");
        self
    }

    /// The same shop in which a message may go however late it is.
    pub fn never_late(mut self) -> Self {
        for (_, text) in &mut self.campaigns {
            *text = text.replace(", late: skip", "").replace(", late: always", "");
            *text = match text.contains("limits: {") {
                true => text.replace("limits: {", "limits: { late: always,"),
                false => format!("{text}limits: {{ late: always }}\n"),
            };
        }
        self
    }

    /// What the evaluator reads.
    pub fn world(&self) -> naive::World {
        let brand = naive::Brand { caps_addresses: AddressCap.is_on(), ..naive::Brand::from_yaml(&self.brand) };
        let shop = naive::Shop::from_csv(self.members.as_bytes(), self.purchases.as_bytes());
        let campaigns = self.campaigns.iter().map(|(_, text)| naive::Campaign::from_yaml(text)).collect();
        let segments = self.segments.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let occasions = naive::DaysOfYear::from_yaml(self.occasions.as_deref());
        let model = Probability.is_on().then_some(MODEL);
        let pools = POOLS.iter().map(|pool| ((*pool).to_owned(), self.codes)).collect();
        let objections = self.objections.clone();
        naive::World {
            occasions,
            model,
            pools,
            objections,
            ..naive::World::new(brand, shop, campaigns).with_segments(segments)
        }
    }

    /// The same as Rekindle has it.
    pub async fn shop(&self, size: &Size) -> Shop {
        let shop = self.shop_without_members(size).await;
        shop.import(Kind::Members, &self.members).await;
        shop.import(Kind::Purchases, &self.purchases).await;
        shop.write_store(async |tx| {
            let names = self.objections.iter().map(|(member, _)| member.clone()).collect();
            let keys = members::keys(tx, names).await.unwrap();
            let rows = self.objections.iter().map(|(member, channel)| Objection {
                member_id: keys[member],
                channel: channel.parse().unwrap(),
                purpose: Purpose::Marketing,
                reason: "unsubscribed".to_owned(),
                made_at: 0,
            });
            objections::insert(tx, &rows.collect::<Vec<_>>()).await.unwrap();
        })
        .await;
        shop
    }

    /// The same before the first import.
    pub async fn shop_without_members(&self, size: &Size) -> Shop {
        let shop = Shop::new(size, &self.brand);
        for (name, text) in &self.campaigns {
            shop.write(&format!("campaigns/{name}.yaml"), text);
        }
        for part in ["subject.txt", "email.txt", "sms.txt"] {
            shop.write(&format!("templates/giving/{part}"), GIVING);
        }
        for pool in POOLS {
            let codes: String = (0..self.codes).map(|n| format!("{pool}-{n}\n")).collect();
            shop.import(Kind::Coupons { pool: Some(pool) }, format!("code\n{codes}")).await;
        }
        for (name, text) in &self.segments {
            shop.write(&format!("segments/{name}.yaml"), text);
        }
        if let Some(text) = &self.occasions {
            shop.write("occasions/all.yaml", text);
        }
        if Probability.is_on() {
            store_model(&shop, MODEL).await;
        }
        shop
    }
}

/// As if it had been fitted.
pub async fn store_model(shop: &Shop, naive::Model { r, alpha, a, b }: naive::Model) {
    let fit = Fit { model: BgNbd { r, alpha, a, b }, log_likelihood: -1.0 };
    let long_ago = at("1990-01-01T00:00:00Z");
    let fitted = Fitted {
        fitted_at: long_ago,
        until: long_ago,
        customers: 100,
        repeat_customers: 50,
        fit,
        currency: "USD".to_owned(),
        spenders: 0,
        spending: None,
    };
    shop.write_store(async |tx| models::insert(tx, &fitted).await.unwrap()).await;
}

fn brand(dice: &mut Dice) -> String {
    let habits = dice.pick(BRANDS);
    let rest = if RestDays.is_on() { *dice.pick(RESTS) } else { "" };
    format!("{{ name: Shop, locale: en, currency: USD, base_url: \"https://shop.example\", {habits}{rest} }}")
}

fn or_none(dice: &mut Dice, times: u64, value: String) -> String {
    if dice.once_in(times) { String::new() } else { value }
}

/// Members of several zones and calendars, with and without what a message needs.
fn members(count: usize, dice: &mut Dice, from: &str, days: u64) -> String {
    let opened = at(from) - Duration::days(1_100);
    let mut file = "external_id,email,phone,first_name,birth_date,joined_at,locale,timezone,calendar,\
        email_consent,sms_consent,tier,points,attributes.size,attributes.renewal\n"
        .to_owned();
    for n in 0..count {
        let email = or_none(dice, 6, format!("m{n}@example.com"));
        // Some families have one telephone, and some one mailbox.
        let household = if AddressCap.is_on() && dice.once_in(4) { n / 8 } else { 1_000 + n };
        let email = if AddressCap.is_on() && dice.once_in(8) { format!("Home{}@Example.com", n / 6) } else { email };
        let phone = or_none(dice, 6, format!("+98912{:07}", 1_000_000 + household));
        let calendar = *dice.pick(&["", "gregorian", "persian"]);
        let (month, day) = (1 + dice.below(12), 1 + dice.below(28));
        let birth = match dice.below(8) {
            0 => String::new(),
            1 => format!("--{month:02}-{day:02}"),
            2 if calendar == "gregorian" => "2000-02-29".to_owned(),
            2 => "1399/12/30".to_owned(),
            3 => format!("13{:02}/{month:02}/{day:02}", 50 + dice.below(40)),
            _ => format!("{}-{month:02}-{day:02}", 1950 + dice.below(55)),
        };
        let joined = (opened + minutes(dice, 1_120)).to_rfc3339();
        let joined = or_none(dice, 10, joined);
        let zone = dice.pick(ZONES);
        let (mail_consent, sms_consent) = (!dice.once_in(4), !dice.once_in(3));
        let tier = *dice.pick(&["", "bronze", "silver", "gold"]);
        let points = if dice.once_in(5) { String::new() } else { dice.below(200).to_string() };
        let size = *dice.pick(&["", "M", "XL"]);
        let renewal = if AnniversaryOf.is_on() || Dates.is_on() { renewal(dice, from, days) } else { String::new() };
        writeln!(
            file,
            "m{n},{email},{phone},Sara,{birth},{joined},en,{zone},{calendar},{mail_consent},{sms_consent},{tier},\
             {points},{size},{renewal}"
        )
        .unwrap();
    }
    file
}

/// So many minutes of some days.
fn minutes(dice: &mut Dice, days: u64) -> Duration {
    Duration::minutes(i64::try_from(dice.below(days * 24 * 60)).unwrap())
}

/// A date in either calendar; often one that is celebrated in the window; or what is no date.
fn renewal(dice: &mut Dice, from: &str, days: u64) -> String {
    let near = (at(from) + minutes(dice, days)).date_naive();
    let years_ago = format!("{}-{}", 2010 + dice.below(14), near.format("%m-%d"));
    match dice.below(7) {
        0 => String::new(),
        1 => "soon".to_owned(),
        2 => format!("14{:02}/{:02}/{:02}", dice.below(4), 1 + dice.below(12), 1 + dice.below(29)),
        3 => dice.pick(&["1399/12/30", "2020-02-29", "1403/12/30", "2024-02-29"]).to_string(),
        4 => near.to_string(),
        // There may be no such day in that year.
        _ if years_ago.ends_with("02-29") => "2016-02-29".to_owned(),
        _ => years_ago,
    }
}

/// Orders before and in the window; some cancelled, in another currency, or at the same instant.
fn purchases(count: usize, dice: &mut Dice, from: &str, days: u64) -> String {
    let opened = at(from) - Duration::days(200);
    let mut file = "order_id,member_external_id,purchased_at,amount,currency,status".to_owned();
    file += if Items.is_on() { ",delivered_at,items\n" } else { "\n" };
    let mut last = opened;
    for n in 0..count * 4 {
        let member = dice.below(count as u64 * 3 / 4);
        match dice.below(20) {
            0 => {}
            // Two orders within a day and a half, for those who collapse them.
            1..4 => last += minutes(dice, 2) * 3 / 4,
            _ => last = opened + Duration::seconds(i64::try_from(dice.below((200 + days) * 86_400)).unwrap()),
        }
        let amount = format!("{}.{:02}", dice.below(60), dice.below(100));
        let currency = *dice.pick(&["", "USD", "USD", "EUR"]);
        let status = *dice.pick(&["", "paid", "paid", "paid", "paid", "paid", "cancelled", "refunded"]);
        write!(file, "o{n},m{member},{},{amount},{currency},{status}", last.to_rfc3339()).unwrap();
        if Items.is_on() {
            let delivered = (last + minutes(dice, 6)).to_rfc3339();
            let delivered = or_none(dice, 4, delivered);
            let items = *dice.pick(&[
                "",
                "A-1",
                "b-2 x3",
                "Tea/T-1; A-1 x2",
                "Cups/C 7 x10;tea/t-2",
                "cups/c 7",
                "A-1x2",
                "TEA/A-1",
            ]);
            write!(file, ",{delivered},{items}").unwrap();
        }
        file.push('\n');
    }
    file
}

/// Campaigns of every trigger, each with whatever the dice say.
fn campaigns(dice: &mut Dice, from: &str, days: u64) -> Vec<(String, String)> {
    let day = |dice: &mut Dice| at(from) + Duration::hours(i64::try_from(dice.below(days * 24)).unwrap());
    let mut all = Vec::new();
    for (n, trigger) in triggers(dice, from, days).into_iter().enumerate() {
        let name = format!("c{n}");
        let gift = gift(dice);
        let content = if gift.contains("coupon") { "giving" } else { "note" };
        let mut text = format!("name: {name}\nstatus: live\ncontent: {content}\ntrigger: {trigger}\n{gift}");
        let is_broadcast = trigger.contains("kind: broadcast");
        let is_for_everybody = is_broadcast || trigger.contains("kind: occasion");
        let backfills = Backfill.is_on() && !is_for_everybody && dice.once_in(3);
        if backfills {
            let (up_to, per_day) = (5 + dice.below(300), 1 + dice.below(40));
            writeln!(text, "backfill: {{ up_to: {up_to}d, per_day: {per_day} }}").unwrap();
        }
        let begins_late = dice.once_in(8) || backfills;
        // What a first pass finds of the time before the window is two months of it.
        let begun = if begins_late { day(dice) } else { at(from) - Duration::days(60) };
        writeln!(text, "starts_at: {}", begun.to_rfc3339()).unwrap();
        if dice.once_in(8) {
            writeln!(text, "ends_at: {}", (at(from) + Duration::days(days as i64)).to_rfc3339()).unwrap();
        }
        if Spread.is_on() && is_for_everybody && dice.once_in(2) {
            writeln!(text, "spread: {}h", 1 + dice.below(30)).unwrap();
        }
        if Collapse.is_on() && trigger.contains("kind: post_purchase, orders: every") && dice.once_in(2) {
            writeln!(text, "collapse: {}h", 12 + dice.below(60)).unwrap();
        }
        let mut put = |dice: &mut Dice, lines: &[&str]| {
            writeln!(text, "{}", dice.pick(lines)).unwrap();
        };
        put(
            dice,
            &[
                "channels: [email]",
                "channels: [sms]",
                "channels: [email, sms]",
                "channels: [sms, email]\nreach: all",
                "channels: [email, sms]\nreach: all",
            ],
        );
        put(dice, &["", "purpose: marketing", "purpose: service"]);
        put(
            dice,
            &[
                "",
                "schedule: { send_at: \"09:00\" }",
                "schedule: { send_at: \"02:30\" }",
                "schedule: { send_at: \"23:15\" }",
            ],
        );
        put(dice, &audiences(from));
        let experiment = experiment(dice);
        put(dice, &["", "experiment: { holdout: 30% }", &experiment]);
        put(
            dice,
            &[
                "",
                "limits: { priority: 3 }",
                "limits: { frequency_cap: exempt, late: always }",
                "limits: { priority: -2, late: skip }",
            ],
        );
        put(
            dice,
            &[
                "",
                "steps: [{ id: second, after: 2d, content: note }]",
                SECOND_GIFT,
                "steps: [{ id: reminder, after: 30h, unless: [goal], content: note }, { id: again, after: 4d, content: note }]",
            ],
        );
        all.push((name, text));
    }
    all
}

/// An experiment with variants, some of members and some of addresses.
fn experiment(dice: &mut Dice) -> String {
    let by = dice.pick(&["member", "address"]);
    let shares = dice.pick(&[["20%", "30%", "50%"], ["0.5", "0.25", "0.25"]]);
    let giving = "content: giving, gift: { coupon: { pool: spring, value: 5% } }";
    let giving = if Gifts.is_on() { giving } else { "content: note" };
    let others = [giving, "", "content: note, gift: { points: 5 }"];
    let mut text = format!("experiment: {{ holdout: 10%, holdout_by: {by}, variants: [");
    for (n, (share, other)) in shares.iter().zip(others).enumerate() {
        let send_at = dice.pick(&["", ", send_at: \"18:30\"", ", send_at: \"07:00\""]);
        let other = if other.is_empty() { String::new() } else { format!(", {other}") };
        write!(text, "{{ name: v{n}, share: {share}{other}{send_at} }},").unwrap();
    }
    text + "] }"
}

/// A second step that brings something of its own.
const SECOND_GIFT: &str = "steps: [{ id: second, after: 2d, content: giving, \
    gift: { coupon: { pool: autumn, value: 5%, valid_days: 3 }, when_empty: send_without } }]";

/// What the first step of a campaign brings.
fn gift(dice: &mut Dice) -> String {
    let gifts = ["", "", "gift: { points: 50 }\n", "gift: { coupon: { pool: spring, value: 20% } }\n"];
    match dice.below(6) {
        _ if !Gifts.is_on() => String::new(),
        4 => "gift: { coupon: { pool: spring, value: 20%, valid_days: 9 }, when_empty: send_without }\n".to_owned(),
        5 => "gift: { coupon: { pool: autumn, value: 10% }, when_empty: skip }\n".to_owned(),
        other => gifts[other as usize].to_owned(),
    }
}

fn triggers(dice: &mut Dice, from: &str, days: u64) -> Vec<String> {
    let day = |dice: &mut Dice| at(from) + Duration::hours(i64::try_from(dice.below(days * 24)).unwrap());
    let hours = |dice: &mut Dice, most: u64| format!("{}h", 1 + dice.below(most));
    let mut triggers = Vec::new();
    triggers.push(format!("{{ kind: welcome, delay: {} }}", hours(dice, 60)));
    for leap_day in ["before", "after"] {
        triggers.push(format!("{{ kind: birthday, days_before: {}, leap_day: {leap_day} }}", dice.below(12)));
        triggers.push(format!("{{ kind: anniversary, leap_day: {leap_day} }}"));
    }
    triggers.push("{ kind: anniversary, years: [1, 3] }".to_owned());
    for orders in ["every", "first", "{ nth: 2 }"] {
        let least = if dice.once_in(2) { ", min_amount: 12.50" } else { "" };
        triggers.push(format!("{{ kind: post_purchase, orders: {orders}, delay: {}{least} }}", hours(dice, 80)));
    }
    triggers.push(format!("{{ kind: at_risk, after: {} }}", hours(dice, 24 * 40)));
    triggers.push(format!("{{ kind: at_risk, after: {}d, delay: 1d }}", 5 + dice.below(60)));
    triggers.push(format!("{{ kind: at_risk, after: {}d, never_bought: true }}", 1 + dice.below(300)));
    triggers.push(format!("{{ kind: broadcast, at: {} }}", day(dice).format("%Y-%m-%dT%H:%M")));
    triggers.push(format!("{{ kind: broadcast, at: \"{}\" }}", day(dice).to_rfc3339()));
    if Rhythm.is_on() {
        triggers.push("{ kind: at_risk, rhythm: { times: 0.7 } }".to_owned());
        let times = 1 + dice.below(3);
        triggers.push(format!(
            "{{ kind: at_risk, rhythm: {{ times: {times}.25, floor: 3d, ceiling: 60d }}, fallback: 20d, delay: 3h }}"
        ));
    }
    if Probability.is_on() {
        triggers.push("{ kind: at_risk, probability: { below: 0.5 }, fallback: none }".to_owned());
        let below = 20 + dice.below(75);
        triggers.push(format!(
            "{{ kind: at_risk, probability: {{ below: 0.{below}, floor: 4d, ceiling: 90d }}, fallback: 30d }}"
        ));
    }
    if Occasions.is_on() {
        for occasion in ["spring", "leap", "second-sunday", "last-day", "fair"] {
            let leap_day = *dice.pick(&["", ", leap_day: after", ", leap_day: before"]);
            let before = dice.below(6);
            triggers.push(format!("{{ kind: occasion, occasion: {occasion}, days_before: {before}{leap_day} }}"));
        }
    }
    if AnniversaryOf.is_on() {
        triggers.push("{ kind: anniversary, of: first_purchase }".to_owned());
        triggers.push("{ kind: anniversary, of: attributes.renewal, leap_day: after }".to_owned());
    }
    if Dates.is_on() {
        triggers.push(format!("{{ kind: date, field: attributes.renewal, days_before: {} }}", dice.below(8)));
        triggers.push("{ kind: date, field: attributes.renewal, every: year, leap_day: after }".to_owned());
        triggers.push("{ kind: date, field: attributes.renewal, every: year, days_before: 2 }".to_owned());
    }
    if Items.is_on() {
        let delay = hours(dice, 50);
        triggers.push(format!("{{ kind: post_purchase, orders: every, from: delivered_at, delay: {delay} }}"));
        triggers.push("{ kind: post_purchase, orders: every, items: [a-1, \"C 7\"] }".to_owned());
        triggers.push("{ kind: post_purchase, orders: first, categories: [TEA] }".to_owned());
        triggers.push(
            "{ kind: post_purchase, orders: every, from: delivered_at, categories: [tea, cups], items: [t-1, c 7] }"
                .to_owned(),
        );
    }
    if Collapse.is_on() {
        triggers.push("{ kind: post_purchase, orders: every, delay: 2h }".to_owned());
        triggers.push("{ kind: post_purchase, orders: every, delay: 20h, min_amount: 20 }".to_owned());
    }
    triggers
}

fn audiences(from: &str) -> Vec<&'static str> {
    let mut all = vec![
        "",
        "",
        "audience: { field: tier, in: [silver, gold] }",
        "audience: { not: { field: points, gte: 90 } }",
        "audience: { any: [{ field: tier, exists: false }, { field: attributes.size, eq: XL }] }",
        "audience: { all: [{ field: email_consent, eq: true }, { field: calendar, ne: persian }] }",
    ];
    if Aggregates.is_on() {
        all.extend([
            "audience: { field: purchase_count, gte: 3 }",
            "audience: { field: purchase_count, within: 60d, lt: 2 }",
            "audience: { all: [{ field: purchase_sum, gte: 40.5 }, { field: purchase_average, lt: 35 }] }",
            "audience: { any: [{ field: purchase_average, within: 90d, gte: 25 }, { field: purchase_sum, eq: 0 }] }",
            "audience: { field: last_purchase_at, older_than: 30d }",
            "audience: { any: [{ field: joined_at, newer_than: 400d }, { field: first_purchase_at, newer_than: 100d }] }",
            "audience: { not: { field: last_purchase_at, exists: true } }",
            "audience: { reachable: any }",
            "audience: { any: [{ reachable: email }, { not: { reachable: sms } }] }",
            "audience: { any: [{ field: attributes.renewal, lt: 2021-01-01 }, { field: birth_date, newer_than: 9000d }] }",
        ]);
        // A date of either calendar in the year before the window.
        all.push(match &from[..4] {
            "2024" => "audience: { field: purchase_count, since: 2024-01-15, until: 1403-05-01, gte: 1 }",
            _ => "audience: { field: purchase_sum, since: 1403-09-01, gte: 30 }",
        });
    }
    if Segments.is_on() {
        all.extend([
            "audience: { segment: loyal }",
            "audience: { not: { segment: narrow } }",
            "audience: { any: [{ segment: narrow }, { field: tier, eq: gold }] }",
        ]);
    }
    if Received.is_on() {
        all.extend([
            "audience: { not: { received: { campaign: c12 } } }",
            "audience: { not: { received: { campaign: c1, within: 3d } } }",
            "audience: { any: [{ received: { campaign: c6, within: 10d } }, { field: tier, eq: gold }] }",
        ]);
    }
    all
}

fn segments() -> Vec<(String, String)> {
    let loyal = "audience: { field: tier, in: [silver, gold] }\n";
    let narrow = "audience: { all: [{ segment: loyal }, { field: points, gte: 40 }] }\n";
    [("loyal", loyal), ("narrow", narrow)].map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
}

/// Named days: by calendar, by day of the week, by date; two of them in the window and black.
fn occasions(dice: &mut Dice, from: &str, days: u64) -> String {
    let near = |dice: &mut Dice| (at(from) + minutes(dice, days)).date_naive();
    let (fair, black) = (near(dice), near(dice));
    format!(
        "occasions:\n\
         - {{ name: spring, every_year: {{ calendar: persian, date: \"{:02}-{:02}\" }} }}\n\
         - {{ name: leap, every_year: {{ calendar: persian, date: \"12-30\", leap_day: after }}, blackout: true }}\n\
         - {{ name: second-sunday, every_year: {{ calendar: gregorian, month: {}, weekday: sunday, nth: 2 }} }}\n\
         - {{ name: last-day, every_year: {{ calendar: gregorian, month: {}, weekday: friday, nth: -1 }}, blackout: true }}\n\
         - {{ name: fair, dates: [{fair}, 1404-01-02] }}\n\
         - {{ name: mourning, dates: [{black}], blackout: true }}\n",
        *dice.pick(&[1, 8, 12]),
        1 + dice.below(15),
        fair.format("%-m"),
        black.format("%-m"),
    )
}
