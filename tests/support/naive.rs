//! The naive evaluator: which messages a set of campaigns sends in a window, worked out member by
//! member in memory. It is slow and plain on purpose and shares no code with the library, so that
//! the two can be held against each other.
//!
//! Assumptions: the ledger is empty when the window opens, nothing is suppressed, nobody is
//! deleted, and every message leaves at its `next_at`. Input that is not understood panics.
//! Instants are epoch milliseconds.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use chrono_tz::Tz;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

// ---------------------------------------------------------------------------------------------
// What goes in and what comes out

/// The settings of the brand that decide what is sent when.
pub struct Brand {
    /// For members without a zone, and for dates without one.
    pub timezone: Tz,
    /// For members without a calendar.
    pub calendar: Calendar,
    /// The currency of every `min_amount`.
    pub currency: String,
    /// `[start, end)` on the member's clock; it may cross midnight.
    pub quiet_hours: Option<(NaiveTime, NaiveTime)>,
    /// At most so many messages in so much time.
    pub frequency_cap: Option<(usize, chrono::Duration)>,
}

/// The calendar in which a member's yearly occasions recur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    Gregorian,
    Persian,
}

/// One message that must be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub member: String,
    pub campaign: String,
    pub step: String,
    pub channel: String,
    pub due_at: i64,
    /// The moment of sending: `due_at` moved out of the quiet hours.
    pub next_at: i64,
}

/// The cells of a CSV row that are not empty, by column.
type Row = BTreeMap<String, String>;

/// The members and their valid orders.
pub struct Shop {
    members: BTreeMap<String, Row>,
    /// By member, in the order of instant and id, without cancelled and refunded ones.
    orders: BTreeMap<String, Vec<Order>>,
}

struct Order {
    id: String,
    purchased_at: i64,
    amount: i128,
    currency: String,
}

impl Shop {
    pub fn read(members_csv: &Path, purchases_csv: &Path) -> Shop {
        let open = |path| fs::File::open(path).expect("a CSV file");
        Shop::from_csv(open(members_csv), open(purchases_csv))
    }

    pub fn from_csv(members: impl Read, purchases: impl Read) -> Shop {
        let mut orders: BTreeMap<String, Vec<Order>> = BTreeMap::new();
        for (id, row) in rows(purchases, "order_id") {
            match row.get("status").map_or("paid", String::as_str) {
                "paid" => {}
                "cancelled" | "refunded" => continue,
                other => panic!("order {id}: status {other}"),
            }
            let order = Order {
                id,
                purchased_at: instant(&row["purchased_at"]),
                amount: decimal(&row["amount"]),
                currency: row.get("currency").cloned().unwrap_or_default(),
            };
            let member = row["member_external_id"].clone();
            orders.entry(member).or_default().push(order);
        }
        for list in orders.values_mut() {
            list.sort_by(|a, b| (a.purchased_at, &a.id).cmp(&(b.purchased_at, &b.id)));
        }
        let members = rows(members, "external_id");
        Shop { members, orders }
    }
}

/// The rows of a CSV file by their id. A later row for the same id replaces the earlier one.
fn rows(csv: impl Read, id: &str) -> BTreeMap<String, Row> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.trim(csv::Trim::All).from_reader(csv);
    let mut by_id = BTreeMap::new();
    for row in reader.deserialize() {
        let mut row: Row = row.expect("a CSV row");
        row.retain(|_, cell| !cell.is_empty());
        by_id.insert(row[id].clone(), row);
    }
    by_id
}

/// An amount in major units as millionths, exactly.
fn decimal(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 6, "too many decimals: {text}");
    let millionths = format!("{whole}{fraction:0<6}");
    millionths.parse().expect("an amount")
}

/// An RFC 3339 instant.
fn instant(text: &str) -> i64 {
    let time = DateTime::parse_from_rfc3339(text);
    time.expect("an instant").timestamp_millis()
}

fn cell<'a>(member: &'a Row, column: &str) -> Option<&'a str> {
    member.get(column).map(String::as_str)
}

fn zone_of(member: &Row, brand: &Brand) -> Tz {
    cell(member, "timezone").map_or(brand.timezone, |name| name.parse().expect("a time zone"))
}

fn calendar_of(member: &Row, brand: &Brand) -> Calendar {
    match cell(member, "calendar") {
        None => brand.calendar,
        Some("gregorian") => Calendar::Gregorian,
        Some("persian") => Calendar::Persian,
        Some(other) => panic!("calendar {other}"),
    }
}

/// Whether a member has an address on a channel and, for marketing, has given consent.
fn is_reachable(member: &Row, channel: &str, marketing: bool) -> bool {
    let (has_address, consent) = if channel == "email" {
        let valid = |address: &str| address.contains('@');
        (cell(member, "email").is_some_and(valid), "email_consent")
    } else {
        let valid = |number: &str| number.chars().filter(char::is_ascii_digit).count() >= 8;
        (cell(member, "phone").is_some_and(valid), "sms_consent")
    };
    has_address && (!marketing || cell(member, consent) == Some("true"))
}

// ---------------------------------------------------------------------------------------------
// Campaign files

/// What a campaign's YAML file says, as far as it decides what is sent.
pub struct Campaign {
    name: String,
    is_live: bool,
    is_marketing: bool,
    trigger: Trigger,
    starts_at: Option<Moment>,
    ends_at: Option<Moment>,
    send_at: Option<NaiveTime>,
    audience: Option<Value>,
    channels: Vec<String>,
    reaches_all: bool,
    is_exempt: bool,
    priority: i64,
    holdout: f64,
    /// The first is `main`; its `after` is the trigger's delay.
    steps: Vec<Step>,
}

enum Trigger {
    Welcome,
    Birthday { days_before: u32, leap_after: bool },
    Anniversary { years: Option<Vec<i32>>, leap_after: bool },
    PostPurchase { nth: Option<usize>, min_amount: Option<i128> },
    AtRisk { after: i64 },
    NeverBought { after: i64 },
    Broadcast { at: Moment },
}

struct Step {
    id: String,
    after: i64,
    unless_goal: bool,
}

impl Campaign {
    pub fn read(path: &Path) -> Campaign {
        Campaign::from_yaml(&fs::read_to_string(path).expect("a campaign file"))
    }

    pub fn from_yaml(yaml: &str) -> Campaign {
        let mut keys = Keys(serde_saphyr::from_str(yaml).expect("YAML"));
        let mut trigger = keys.map("trigger");
        let mut schedule = keys.map("schedule");
        let mut limits = keys.map("limits");
        let mut experiment = keys.map("experiment");
        let mut steps =
            vec![Step { id: "main".to_string(), after: trigger.get("delay").map_or(0, span), unless_goal: false }];
        for step in keys.get::<Vec<_>>("steps").unwrap_or_default() {
            let mut step = Keys(step);
            let unless: Vec<String> = step.get("unless").unwrap_or_default();
            assert!(unless.iter().all(|word| word == "goal"), "{unless:?}");
            steps.push(Step { id: step.need("id"), after: span(step.need("after")), unless_goal: !unless.is_empty() });
            step.end(&["content"]);
        }
        let campaign = Campaign {
            name: keys.need("name"),
            is_live: keys.is("status", "live", &["draft", "paused"]),
            is_marketing: !keys.is("purpose", "service", &["marketing"]),
            trigger: Trigger::read(&mut trigger),
            starts_at: keys.get("starts_at").map(Moment::read),
            ends_at: keys.get("ends_at").map(Moment::read),
            send_at: schedule.get("send_at").map(time_of_day),
            audience: keys.get("audience"),
            channels: keys.need("channels"),
            reaches_all: keys.is("reach", "all", &["first"]),
            is_exempt: limits.is("frequency_cap", "exempt", &["counts"]),
            priority: limits.get("priority").unwrap_or(0),
            holdout: experiment.get("holdout").map_or(0.0, share),
            steps,
        };
        let known = |channel: &String| channel == "email" || channel == "sms";
        assert!(campaign.channels.iter().all(known), "channels");
        if let Some(rule) = &campaign.audience {
            admits(rule, &Row::new(), Tz::UTC); // panics where the rule cannot be understood
        }
        trigger.end(&[]);
        schedule.end(&["scan"]);
        limits.end(&["late", "ceiling"]);
        experiment.end(&["goal", "window"]);
        keys.end(&["content"]);
        campaign
    }

    fn is_yearly(&self) -> bool {
        matches!(self.trigger, Trigger::Birthday { .. } | Trigger::Anniversary { .. })
    }
}

impl Trigger {
    fn read(keys: &mut Keys) -> Trigger {
        match keys.need::<String>("kind").as_str() {
            "welcome" => Trigger::Welcome,
            "birthday" => Trigger::Birthday {
                days_before: keys.get("days_before").unwrap_or(0),
                leap_after: keys.is("leap_day", "after", &["before"]),
            },
            "anniversary" => {
                Trigger::Anniversary { years: keys.get("years"), leap_after: keys.is("leap_day", "after", &["before"]) }
            }
            "post_purchase" => Trigger::PostPurchase {
                nth: match keys.get("orders") {
                    None => None,
                    Some(Value::String(word)) if word == "every" => None,
                    Some(Value::String(word)) if word == "first" => Some(1),
                    Some(other) => Some(other["nth"].as_u64().expect("nth") as usize),
                },
                min_amount: keys.get("min_amount").map(|least: Value| match least {
                    Value::String(text) => decimal(&text),
                    number => decimal(&number.to_string()),
                }),
            },
            "at_risk" => {
                let after = span(keys.need("after"));
                match keys.get("never_bought") {
                    Some(true) => Trigger::NeverBought { after },
                    _ => Trigger::AtRisk { after },
                }
            }
            "broadcast" => Trigger::Broadcast { at: Moment::read(keys.need("at")) },
            other => panic!("unknown trigger {other}"),
        }
    }
}

/// A YAML mapping whose keys are taken out one by one.
struct Keys(BTreeMap<String, Value>);

impl Keys {
    fn get<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.0.remove(key)?;
        Some(serde_json::from_value(value).unwrap_or_else(|e| panic!("{key}: {e}")))
    }

    fn need<T: DeserializeOwned>(&mut self, key: &str) -> T {
        self.get(key).unwrap_or_else(|| panic!("no {key}"))
    }

    /// Whether the key is there and has this value; `others` are the other values it can have.
    fn is(&mut self, key: &str, value: &str, others: &[&str]) -> bool {
        let found: Option<String> = self.get(key);
        let known = found.as_deref().is_none_or(|word| word == value || others.contains(&word));
        assert!(known, "unknown {key}: {found:?}");
        found.as_deref() == Some(value)
    }

    fn map(&mut self, key: &str) -> Keys {
        Keys(self.get(key).unwrap_or_default())
    }

    /// Panics where a key is left that is not among the ignored ones.
    fn end(self, ignored: &[&str]) {
        for key in self.0.keys() {
            assert!(ignored.contains(&key.as_str()), "unknown key {key}");
        }
    }
}

/// Milliseconds, written `2w`, `60d`, `12h`, `30m` or `90s`.
fn span(text: String) -> i64 {
    let (count, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "w" => 7 * DAY,
        "d" => DAY,
        "h" => HOUR,
        "m" => 60 * SECOND,
        "s" => SECOND,
        _ => panic!("not a duration: {text}"),
    };
    i64::from(count.parse::<u32>().expect("a duration")) * unit
}

/// A time of day, written `09:00`.
fn time_of_day(text: String) -> NaiveTime {
    NaiveTime::parse_from_str(&text, "%H:%M").expect("a time of day")
}

/// A part of one, written `10%` or `0.1`.
fn share(value: Value) -> f64 {
    let text = value.to_string();
    let text = text.trim_matches('"');
    let number = |text: &str| text.trim().parse::<f64>().expect("a share");
    let percent = text.strip_suffix('%').map(|percent| number(percent) / 100.0);
    percent.unwrap_or_else(|| number(text))
}

/// An instant, or a local date and time (a date alone is its midnight) in a zone named elsewhere.
#[derive(Clone, Copy)]
enum Moment {
    Instant(i64),
    Local(NaiveDateTime),
}

impl Moment {
    fn read(text: String) -> Moment {
        let text = text.replacen(' ', "T", 1);
        if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
            return Moment::Instant(time.timestamp_millis());
        }
        let complete = match text.len() {
            10 => text + "T00:00:00",
            16 => text + ":00",
            _ => text,
        };
        Moment::Local(complete.parse().expect("an instant, or a local date and time"))
    }

    fn in_zone(self, zone: Tz) -> i64 {
        match self {
            Moment::Instant(at) => at,
            Moment::Local(local) => first_instant(zone, local),
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Audience

const TEXT_FIELDS: &str = "external_id email phone title first_name last_name locale timezone calendar tier";

/// Whether an audience rule admits a member; `zone` is that of dates without one. Looks at every
/// part of the rule, also where the answer is already known, so that any mistake in it panics.
fn admits(rule: &Value, member: &Row, zone: Tz) -> bool {
    let map = rule.as_object().expect("a rule is a mapping");
    let each = |rules: &Value| -> Vec<bool> {
        let rules = rules.as_array().expect("a list of rules");
        rules.iter().map(|rule| admits(rule, member, zone)).collect()
    };
    if let Some(field) = map.get("field") {
        let field = field.as_str().expect("the name of a field");
        let operators = map.iter().filter(|(key, _)| *key != "field");
        let answers: Vec<bool> =
            operators.map(|(operator, literal)| holds(field, operator, literal, member, zone)).collect();
        assert!(!answers.is_empty(), "no operator for {field}");
        return !answers.contains(&false);
    }
    assert!(map.len() == 1, "one of all, any and not: {rule}");
    match map.iter().next().map(|(key, inner)| (key.as_str(), inner)) {
        Some(("all", rules)) => !each(rules).contains(&false),
        Some(("any", rules)) => each(rules).contains(&true),
        Some(("not", inner)) => !admits(inner, member, zone),
        other => panic!("unknown rule {other:?}"),
    }
}

/// One comparison. With a missing value only `ne` and `not_in` hold, and `exists: false`.
fn holds(field: &str, operator: &str, literal: &Value, member: &Row, zone: Tz) -> bool {
    let value = match cell(member, field) {
        None if field.ends_with("_consent") => Some("false"),
        cell => cell,
    };
    let ordering = || compare(field, value, literal, zone);
    let is_listed = || {
        let list = literal.as_array().expect("a list").iter();
        let orderings: Vec<_> = list.map(|item| compare(field, value, item, zone)).collect();
        orderings.contains(&Some(Ordering::Equal))
    };
    match operator {
        "eq" => ordering() == Some(Ordering::Equal),
        "ne" => ordering() != Some(Ordering::Equal),
        "gt" => ordering().is_some_and(Ordering::is_gt),
        "gte" => ordering().is_some_and(Ordering::is_ge),
        "lt" => ordering().is_some_and(Ordering::is_lt),
        "lte" => ordering().is_some_and(Ordering::is_le),
        "in" => is_listed(),
        "not_in" => !is_listed(),
        "exists" => literal.as_bool().expect("true or false") == value.is_some(),
        other => panic!("unknown operator {other}"),
    }
}

/// How a cell compares with a literal; `None` where it is missing or the two have no order.
fn compare(field: &str, cell: Option<&str>, literal: &Value, zone: Tz) -> Option<Ordering> {
    let is_attribute = field.starts_with("attributes.");
    match literal {
        Value::String(text) if field == "joined_at" => {
            let other = Moment::read(text.clone()).in_zone(zone);
            Some(instant(cell?).cmp(&other))
        }
        Value::String(text) if field == "birth_date" => match (Birth::read(text), Birth::read(cell?)) {
            (Birth::Full(other), Birth::Full(born)) => Some(born.cmp(&other)),
            (other, born) => (born == other).then_some(Ordering::Equal),
        },
        Value::String(text) if is_attribute || TEXT_FIELDS.split(' ').any(|f| f == field) => Some(cell?.cmp(text)),
        Value::Number(number) if is_attribute || field == "points" => {
            cell?.parse::<f64>().ok()?.partial_cmp(&number.as_f64()?)
        }
        Value::Bool(wanted) if is_attribute || field.ends_with("_consent") => {
            Some(cell?.parse::<bool>().ok()?.cmp(wanted))
        }
        _ => panic!("{field} cannot be compared with {literal}"),
    }
}

// ---------------------------------------------------------------------------------------------
// Calendars and clocks

impl Calendar {
    /// The date of a year, month and day of this calendar, if it exists.
    fn date(self, year: i32, month: u32, day: u32) -> Option<NaiveDate> {
        match self {
            Calendar::Gregorian => NaiveDate::from_ymd_opt(year, month, day),
            Calendar::Persian => {
                let days_before_month = match month {
                    1..=6 => 31 * (month - 1),
                    7..=12 => 6 * 31 + 30 * (month - 7),
                    _ => return None,
                };
                let exists = (1206..=1498).contains(&year) && (1..=persian_month_length(year, month)).contains(&day);
                exists.then(|| persian_new_year(year) + days(days_before_month + day - 1))
            }
        }
    }

    /// The year, month and day of a date in this calendar.
    fn fields(self, date: NaiveDate) -> (i32, u32, u32) {
        match self {
            Calendar::Gregorian => (date.year(), date.month(), date.day()),
            Calendar::Persian => {
                let mut year = date.year() - 621;
                if persian_new_year(year) > date {
                    year -= 1;
                }
                let mut month = 1;
                let mut first_of_month = persian_new_year(year);
                while first_of_month + days(persian_month_length(year, month)) <= date {
                    first_of_month = first_of_month + days(persian_month_length(year, month));
                    month += 1;
                }
                (year, month, (date - first_of_month).num_days() as u32 + 1)
            }
        }
    }

    /// The day of a year on which a month and day are celebrated: a leap day that the year does not
    /// have, on the day before or after.
    fn celebrated(self, year: i32, month: u32, day: u32, leap_after: bool) -> Option<NaiveDate> {
        self.date(year, month, day).or_else(|| {
            let eve = self.date(year, month, day - 1)?;
            Some(if leap_after { eve + days(1) } else { eve })
        })
    }
}

fn days(count: u32) -> Days {
    Days::new(u64::from(count))
}

fn is_persian_leap(year: i32) -> bool {
    (25 * year + 11).rem_euclid(33) < 8
}

fn persian_month_length(year: i32, month: u32) -> u32 {
    match month {
        1..=6 => 31,
        7..=11 => 30,
        _ if is_persian_leap(year) => 30,
        _ => 29,
    }
}

/// 1 Farvardin, counted year by year from that of 1403.
fn persian_new_year(year: i32) -> NaiveDate {
    let length = |year: i32| if is_persian_leap(year) { 366 } else { 365 };
    let known = NaiveDate::from_ymd_opt(2024, 3, 20).expect("a date");
    if year >= 1403 {
        (1403..year).fold(known, |date, passed| date + days(length(passed)))
    } else {
        (year..1403).fold(known, |date, passed| date - days(length(passed)))
    }
}

/// A birth date as written: with its year, or only a month and day of the member's calendar.
#[derive(PartialEq)]
enum Birth {
    Full(NaiveDate),
    Yearless(u32, u32),
}

impl Birth {
    fn read(text: &str) -> Birth {
        let number = |part: &str| part.parse::<u32>().unwrap_or_else(|_| panic!("date {text}"));
        let dashed = text.replace('/', "-");
        let (yearless, rest) = match dashed.strip_prefix("--") {
            Some(rest) => (true, rest),
            None => (false, dashed.as_str()),
        };
        let parts: Vec<u32> = rest.split('-').map(number).collect();
        match (yearless, parts.as_slice()) {
            (true, &[month, day]) => Birth::Yearless(month, day),
            (false, &[year, month, day]) => {
                let persian = (1200..=1499).contains(&year);
                let calendar = if persian { Calendar::Persian } else { Calendar::Gregorian };
                let date = calendar.date(year as i32, month, day);
                Birth::Full(date.unwrap_or_else(|| panic!("no such date: {text}")))
            }
            _ => panic!("not a date: {text}"),
        }
    }
}

/// What the clock of a zone shows at an instant.
fn local(zone: Tz, at: i64) -> NaiveDateTime {
    let utc = DateTime::from_timestamp_millis(at).expect("an instant").naive_utc();
    utc + zone.offset_from_utc_datetime(&utc).fix()
}

/// Every instant at which the clock of a zone shows `wanted`: one or two, in order. Inside a gap
/// it is the first instant after the gap.
fn instants(zone: Tz, wanted: NaiveDateTime) -> Vec<i64> {
    let as_if_utc = wanted.and_utc().timestamp_millis();
    let offset_at = |at: i64| local(zone, at).and_utc().timestamp_millis() - at;
    let (before, after) = (as_if_utc - 26 * HOUR, as_if_utc + 26 * HOUR);
    let mut found = vec![as_if_utc - offset_at(before), as_if_utc - offset_at(after)];
    found.retain(|&at| local(zone, at) == wanted);
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        let (mut too_early, mut late_enough) = (before, after);
        while late_enough - too_early > 1 {
            let middle = (too_early + late_enough) / 2;
            if local(zone, middle) < wanted {
                too_early = middle;
            } else {
                late_enough = middle;
            }
        }
        found.push(late_enough);
    }
    found
}

fn first_instant(zone: Tz, wanted: NaiveDateTime) -> i64 {
    instants(zone, wanted)[0]
}

fn local_midnight(zone: Tz, date: NaiveDate) -> i64 {
    first_instant(zone, date.and_time(NaiveTime::MIN))
}

/// The local dates around an instant: from the day before to the third day after, without those
/// that the zone skipped altogether.
fn dates_around(zone: Tz, at: i64) -> Vec<NaiveDate> {
    let yesterday = local(zone, at).date() - days(1);
    let mut dates: Vec<NaiveDate> = yesterday.iter_days().take(5).collect();
    dates.retain(|&date| local(zone, local_midnight(zone, date)).date() == date);
    dates
}

/// The earliest instant from `at` on that is some local date's one instant of `time`.
fn round_up(zone: Tz, at: i64, time: NaiveTime) -> i64 {
    let of_each_date = dates_around(zone, at);
    let of_each_date = of_each_date.iter().map(|date| first_instant(zone, date.and_time(time)));
    of_each_date.filter(|&shown| shown >= at).min().expect("a later date")
}

/// The moment of sending: `due_at`, or the first instant that shows the end of the quiet hours.
fn after_quiet_hours(zone: Tz, due_at: i64, quiet_hours: Option<(NaiveTime, NaiveTime)>) -> i64 {
    let Some((start, end)) = quiet_hours else {
        return due_at;
    };
    let now = local(zone, due_at).time();
    let quiet = if start <= end { start <= now && now < end } else { start <= now || now < end };
    if !quiet {
        return due_at;
    }
    let dates = dates_around(zone, due_at);
    let ends = dates.iter().flat_map(|date| instants(zone, date.and_time(end)));
    ends.filter(|&shown| shown >= due_at).min().expect("a later date")
}

// ---------------------------------------------------------------------------------------------
// Occasions

struct Occasion {
    key: String,
    base: i64,
    /// For a lapse: a purchase after this instant means that the member came back.
    lapsed_since: Option<i64>,
}

/// The occasions of one member: all that can have a step in the window, and others.
fn occasions(campaign: &Campaign, brand: &Brand, member: &Row, orders: &[Order], window: (i64, i64)) -> Vec<Occasion> {
    let zone = zone_of(member, brand);
    let calendar = calendar_of(member, brand);
    let joined_at = cell(member, "joined_at").map(instant);
    let mut found = Vec::new();
    let mut add = |key: String, base: i64, lapsed_since: Option<i64>| {
        found.push(Occasion { key, base, lapsed_since });
    };
    match &campaign.trigger {
        Trigger::Welcome => {
            if let Some(joined_at) = joined_at {
                add(member["external_id"].clone(), joined_at, None);
            }
        }
        Trigger::Birthday { days_before, leap_after } => {
            let (birth_year, month, day) = match cell(member, "birth_date").map(Birth::read) {
                None => return found,
                Some(Birth::Full(date)) => calendar.fields(date),
                Some(Birth::Yearless(month, day)) => (i32::MIN, month, day),
            };
            for year in years_around(campaign, calendar, window).filter(|&y| y > birth_year) {
                let Some(date) = calendar.celebrated(year, month, day, *leap_after) else {
                    continue;
                };
                let base = local_midnight(zone, date - days(*days_before));
                add(year.to_string(), base, None);
            }
        }
        Trigger::Anniversary { years, leap_after } => {
            let Some(joined_at) = joined_at else {
                return found;
            };
            let (joined_year, month, day) = calendar.fields(local(zone, joined_at).date());
            for year in years_around(campaign, calendar, window).filter(|&y| y > joined_year) {
                let nth = year - joined_year;
                if years.as_ref().is_none_or(|years| years.contains(&nth))
                    && let Some(date) = calendar.celebrated(year, month, day, *leap_after)
                {
                    add(nth.to_string(), local_midnight(zone, date), None);
                }
            }
        }
        Trigger::PostPurchase { nth, min_amount } => {
            for (index, order) in orders.iter().enumerate() {
                let is_chosen = nth.is_none_or(|nth| index + 1 == nth);
                let in_brand_currency = order.currency.is_empty() || order.currency == brand.currency;
                let is_large_enough = min_amount.is_none_or(|least| in_brand_currency && order.amount >= least);
                if is_chosen && is_large_enough {
                    add(order.id.clone(), order.purchased_at, None);
                }
            }
        }
        Trigger::AtRisk { after } => {
            for order in orders {
                let (last, base) = (order.purchased_at, order.purchased_at + after);
                let bought_again = orders.iter().any(|other| {
                    let is_tie = other.purchased_at == last && other.id > order.id;
                    is_tie || (other.purchased_at > last && other.purchased_at <= base)
                });
                if !bought_again {
                    add(order.id.clone(), base, Some(last));
                }
            }
        }
        Trigger::NeverBought { after } => {
            if let Some(base) = joined_at.map(|joined_at| joined_at + after)
                && !orders.iter().any(|order| order.purchased_at <= base)
            {
                add("never".to_string(), base, Some(i64::MIN));
            }
        }
        Trigger::Broadcast { at } => add(campaign.name.clone(), at.in_zone(zone), None),
    }
    found
}

/// The years of a calendar whose occasions can have a step in the window, with a wide margin.
fn years_around(campaign: &Campaign, calendar: Calendar, (from, to): (i64, i64)) -> impl Iterator<Item = i32> {
    let year_of = |at| calendar.fields(local(Tz::UTC, at).date()).0;
    let days_before = match campaign.trigger {
        Trigger::Birthday { days_before, .. } => i64::from(days_before),
        _ => 0,
    };
    let last_step: i64 = campaign.steps.iter().map(|step| step.after + DAY).sum();
    year_of(from - last_step) - 2..=year_of(to + days_before * DAY) + 2
}

// ---------------------------------------------------------------------------------------------
// Decisions

/// A message that is due in the window and is not yet decided.
struct Candidate<'a> {
    campaign: &'a Campaign,
    occasion_key: String,
    lapsed_since: Option<i64>,
    step_position: usize,
    /// The channels to try in turn: all for `reach: first`, one for `reach: all`.
    channels: Vec<String>,
    channel_position: usize,
    first_due_at: i64,
    due_at: i64,
    next_at: i64,
}

/// The messages with `due_at` in `[from, to)`, by due instant, campaign, member, step, channel.
pub fn evaluate(shop: &Shop, brand: &Brand, campaigns: &[Campaign], from: i64, to: i64) -> Vec<Expected> {
    let mut all = Vec::new();
    for (id, member) in &shop.members {
        let orders = shop.orders.get(id).map_or(&[][..], Vec::as_slice);
        let mut candidates: Vec<Candidate> = Vec::new();
        for campaign in campaigns {
            if campaign.is_live
                && campaign.audience.as_ref().is_none_or(|rule| admits(rule, member, brand.timezone))
                && !is_held_out(campaign, id)
            {
                candidates.extend(candidates_of(campaign, brand, member, orders, (from, to)));
            }
        }
        all.extend(decide(candidates, brand, member, orders));
    }
    all.sort_by_cached_key(|message| {
        let Expected { due_at, campaign, member, step, channel, .. } = message.clone();
        (due_at, campaign, member, step, channel)
    });
    all
}

/// Whether a member is in the campaign's control group.
fn is_held_out(campaign: &Campaign, member: &str) -> bool {
    let hash = Sha256::digest(format!("{}\0{member}", campaign.name));
    let first_eight = hash.iter().take(8);
    let number = first_eight.fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
    (number as f64) / 2_f64.powi(64) < campaign.holdout
}

fn candidates_of<'a>(
    campaign: &'a Campaign,
    brand: &Brand,
    member: &Row,
    orders: &[Order],
    (from, to): (i64, i64),
) -> Vec<Candidate<'a>> {
    let zone = zone_of(member, brand);
    let starts_at = campaign.starts_at.map_or(i64::MIN, |at| at.in_zone(brand.timezone));
    let ends_at = campaign.ends_at.map_or(i64::MAX, |at| at.in_zone(brand.timezone));
    let quiet_hours = brand.quiet_hours.filter(|_| campaign.is_marketing);
    let slots: Vec<Vec<String>> = if campaign.reaches_all {
        campaign.channels.iter().map(|channel| vec![channel.clone()]).collect()
    } else {
        vec![campaign.channels.clone()]
    };
    let mut candidates = Vec::new();
    for occasion in occasions(campaign, brand, member, orders, (from, to)) {
        let mut first_due_at = None;
        let mut due_at = occasion.base;
        for (step_position, step) in campaign.steps.iter().enumerate() {
            due_at += step.after;
            if let Some(time) = campaign.send_at {
                due_at = round_up(zone, due_at, time);
            }
            let first_due_at = *first_due_at.get_or_insert(due_at);
            if first_due_at < starts_at || first_due_at >= ends_at {
                break; // there is no such occasion
            }
            if due_at < from || due_at >= to {
                continue;
            }
            for (channel_position, channels) in slots.iter().enumerate() {
                candidates.push(Candidate {
                    campaign,
                    occasion_key: occasion.key.clone(),
                    lapsed_since: occasion.lapsed_since,
                    step_position,
                    channels: channels.clone(),
                    channel_position,
                    first_due_at,
                    due_at,
                    next_at: after_quiet_hours(zone, due_at, quiet_hours),
                });
            }
        }
    }
    candidates
}

/// Decides the messages of one member one after another, each in view of those sent before.
fn decide(mut candidates: Vec<Candidate>, brand: &Brand, member: &Row, orders: &[Order]) -> Vec<Expected> {
    candidates.sort_by_key(|c| {
        let (priority, name) = (Reverse(c.campaign.priority), c.campaign.name.clone());
        (c.next_at, priority, c.due_at, name, c.step_position, c.channel_position)
    });
    let mut sent: Vec<Candidate> = Vec::new();
    let mut messages = Vec::new();
    for candidate in candidates {
        let campaign = candidate.campaign;
        let is_already_greeted = campaign.is_yearly()
            && sent.iter().any(|other| {
                other.campaign.name == campaign.name
                    && other.occasion_key != candidate.occasion_key
                    && (other.due_at - candidate.due_at).abs() < 180 * DAY
            });
        let is_capped = brand.frequency_cap.is_some_and(|(limit, per)| {
            let oldest = candidate.next_at - per.num_milliseconds();
            let counts = |other: &&Candidate| !other.campaign.is_exempt && other.next_at > oldest;
            !campaign.is_exempt && sent.iter().filter(counts).count() >= limit
        });
        if goal_reached(&candidate, orders) || is_already_greeted || is_capped {
            continue;
        }
        let mut channels = candidate.channels.iter();
        let reachable = |channel: &&String| is_reachable(member, channel, campaign.is_marketing);
        let Some(channel) = channels.find(reachable) else {
            continue;
        };
        messages.push(Expected {
            member: member["external_id"].clone(),
            campaign: campaign.name.clone(),
            step: campaign.steps[candidate.step_position].id.clone(),
            channel: channel.clone(),
            due_at: candidate.due_at,
            next_at: candidate.next_at,
        });
        sent.push(candidate);
    }
    messages
}

/// Whether the member has bought, before the message is sent, what it wants them to buy.
fn goal_reached(candidate: &Candidate, orders: &[Order]) -> bool {
    let unless_goal = candidate.campaign.steps[candidate.step_position].unless_goal;
    let since = match candidate.lapsed_since {
        Some(lapsed_since) => lapsed_since,
        None if unless_goal => candidate.first_due_at,
        None => return false,
    };
    let in_time = |at: i64| at > since && at <= candidate.next_at;
    orders.iter().any(|order| in_time(order.purchased_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).expect("a date")
    }

    fn clock(text: &str) -> NaiveTime {
        NaiveTime::parse_from_str(text, "%H:%M").expect("a time")
    }

    /// UTC, without quiet hours or a cap.
    fn brand() -> Brand {
        Brand {
            timezone: Tz::UTC,
            calendar: Calendar::Gregorian,
            currency: "USD".to_string(),
            quiet_hours: None,
            frequency_cap: None,
        }
    }

    fn shop(members: &str, purchases: &str) -> Shop {
        let members = format!(
            "external_id,birth_date,joined_at,timezone,calendar,tier,points,email,email_consent,\
             phone,sms_consent\n{members}"
        );
        let head = "order_id,member_external_id,purchased_at,amount,currency,status";
        Shop::from_csv(members.as_bytes(), format!("{head}\n{purchases}").as_bytes())
    }

    /// A row of a member who can be reached by mail.
    fn member(id: &str, birth_date: &str, joined_at: &str, zone: &str, calendar: &str) -> String {
        format!("{id},{birth_date},{joined_at},{zone},{calendar},gold,10,{id}@example.com,true,,\n")
    }

    fn campaign(trigger: &str, more: &str) -> Campaign {
        let head = "name: c\nstatus: live\nchannels: [email, sms]\ncontent: c";
        Campaign::from_yaml(&format!("{head}\ntrigger: {trigger}\n{more}\n"))
    }

    fn utc(at: i64) -> String {
        let time = DateTime::from_timestamp_millis(at).expect("an instant");
        time.format("%Y-%m-%dT%H:%M").to_string()
    }

    /// `member step due_at` of each message from 2023 to 2025, and `-> next_at` where it waits.
    fn sent(shop: &Shop, brand: &Brand, campaigns: &[Campaign]) -> Vec<String> {
        let (from, to) = (instant("2023-01-01T00:00:00Z"), instant("2026-01-01T00:00:00Z"));
        let line = |m: &Expected| {
            let wait = if m.next_at == m.due_at { String::new() } else { format!(" -> {}", utc(m.next_at)) };
            format!("{} {} {}{wait}", m.member, m.step, utc(m.due_at))
        };
        evaluate(shop, brand, campaigns, from, to).iter().map(line).collect()
    }

    #[test]
    fn persian_dates_are_the_known_ones() {
        for (persian, gregorian) in [
            ((1403, 1, 1), day(2024, 3, 20)),
            ((1403, 12, 30), day(2025, 3, 20)),
            ((1404, 1, 1), day(2025, 3, 21)),
            ((1399, 12, 30), day(2021, 3, 20)),
            ((1357, 11, 22), day(1979, 2, 11)),
            ((1376, 3, 2), day(1997, 5, 23)),
            ((1300, 1, 1), day(1921, 3, 21)),
            ((1402, 7, 1), day(2023, 9, 23)),
        ] {
            let (year, month, day) = persian;
            assert_eq!(Calendar::Persian.date(year, month, day), Some(gregorian));
            assert_eq!(Calendar::Persian.fields(gregorian), persian);
        }
        let leap: Vec<i32> = (1390..=1424).filter(|&year| is_persian_leap(year)).collect();
        assert_eq!(leap, [1391, 1395, 1399, 1403, 1408, 1412, 1416, 1420, 1424]);
        assert_eq!(Calendar::Persian.date(1404, 12, 30), None);
        assert_eq!(Calendar::Persian.date(1404, 7, 31), None);
        assert_eq!(Calendar::Persian.date(1499, 1, 1), None);
        for date in day(1830, 1, 1).iter_days().take(100_000).step_by(97) {
            let (year, month, day) = Calendar::Persian.fields(date);
            assert_eq!(Calendar::Persian.date(year, month, day), Some(date));
        }
    }

    #[test]
    fn each_local_date_has_one_instant_of_a_time() {
        let next = |zone: Tz, from: &str, time: &str| utc(round_up(zone, instant(from), clock(time)));
        let york = chrono_tz::America::New_York;
        assert_eq!(next(york, "2024-03-10T05:00:00Z", "02:30"), "2024-03-10T07:00");
        assert_eq!(next(york, "2024-03-10T07:00:00Z", "02:30"), "2024-03-10T07:00");
        assert_eq!(next(york, "2024-03-10T07:01:00Z", "02:30"), "2024-03-11T06:30");
        assert_eq!(next(york, "2024-11-03T05:00:00Z", "01:30"), "2024-11-03T05:30");
        assert_eq!(next(york, "2024-11-03T05:31:00Z", "01:30"), "2024-11-04T06:30");
        let tehran = chrono_tz::Asia::Tehran;
        assert_eq!(utc(local_midnight(tehran, day(2022, 3, 22))), "2022-03-21T20:30");
        let apia = chrono_tz::Pacific::Apia; // had no 30 December 2011
        assert_eq!(utc(local_midnight(apia, day(2011, 12, 30))), "2011-12-30T10:00");
        assert_eq!(next(apia, "2011-12-30T09:00:00Z", "09:00"), "2011-12-30T19:00");
    }

    #[test]
    fn quiet_hours_end_when_the_clock_shows_their_end() {
        let wait = |zone: Tz, due: &str, start: &str, end: &str| {
            utc(after_quiet_hours(zone, instant(due), Some((clock(start), clock(end)))))
        };
        assert_eq!(wait(Tz::UTC, "2024-01-01T20:59:00Z", "21:00", "08:00"), "2024-01-01T20:59");
        assert_eq!(wait(Tz::UTC, "2024-01-01T21:00:00Z", "21:00", "08:00"), "2024-01-02T08:00");
        assert_eq!(wait(Tz::UTC, "2024-01-01T07:59:00Z", "21:00", "08:00"), "2024-01-01T08:00");
        assert_eq!(wait(Tz::UTC, "2024-01-01T08:00:00Z", "21:00", "08:00"), "2024-01-01T08:00");
        assert_eq!(wait(Tz::UTC, "2024-01-01T12:30:00Z", "12:00", "13:00"), "2024-01-01T13:00");
        let york = chrono_tz::America::New_York;
        assert_eq!(wait(york, "2024-03-10T05:00:00Z", "21:00", "02:30"), "2024-03-10T07:00");
        assert_eq!(wait(york, "2024-11-03T05:10:00Z", "21:00", "01:30"), "2024-11-03T05:30");
        assert_eq!(wait(york, "2024-11-03T06:10:00Z", "21:00", "01:30"), "2024-11-03T06:30");
    }

    #[test]
    fn welcome_follows_joining_and_starts_at_bounds_the_first_step() {
        let members = member("a", "", "2023-05-01T10:00:00Z", "", "")
            + &member("b", "", "2023-05-03T10:00:00Z", "", "")
            + &member("c", "", "", "", "");
        let shop = shop(&members, "");
        let steps = "steps: [{ id: again, after: 2d, content: x }]";
        let bounded = format!("starts_at: 2023-05-02T10:00:00Z\nends_at: 2023-05-04T10:00:00Z\n{steps}");
        let all = campaign("{ kind: welcome, delay: 1d }", &bounded);
        assert_eq!(sent(&shop, &brand(), &[all]), ["a main 2023-05-02T10:00", "a again 2023-05-04T10:00"]);
        let timed = campaign("{ kind: welcome }", "schedule: { send_at: \"09:00\" }");
        assert_eq!(sent(&shop, &brand(), &[timed]), ["a main 2023-05-02T09:00", "b main 2023-05-04T09:00"]);
        let later = campaign("{ kind: welcome }", steps);
        let (from, to) = (instant("2023-05-03T00:00:00Z"), instant("2023-05-05T00:00:00Z"));
        let window = evaluate(&shop, &brand(), &[later], from, to);
        let window: Vec<_> = window.iter().map(|m| format!("{} {}", m.member, m.step)).collect();
        assert_eq!(window, ["a again", "b main"]);
    }

    #[test]
    fn birthdays_recur_in_the_calendar_of_the_member() {
        let members = member("a", "2000-02-29", "", "", "gregorian")
            + &member("b", "2021-03-20", "", "Asia/Tehran", "persian") // 30 Esfand 1399
            + &member("c", "--01-01", "", "Asia/Tehran", "persian")
            + &member("d", "1403/01/01", "", "", "gregorian");
        let shop = shop(&members, "");
        let before = campaign("{ kind: birthday }", "");
        let expected = [
            "a main 2023-02-28T00:00",
            "b main 2023-03-19T20:30",
            "c main 2023-03-20T20:30",
            "a main 2024-02-29T00:00",
            "b main 2024-03-18T20:30",
            "c main 2024-03-19T20:30",
            "a main 2025-02-28T00:00",
            "b main 2025-03-19T20:30",
            "d main 2025-03-20T00:00",
            "c main 2025-03-20T20:30",
        ];
        assert_eq!(sent(&shop, &brand(), &[before]), expected);
        let after = campaign("{ kind: birthday, leap_day: after, days_before: 1 }", "");
        let of_a = sent(&shop, &brand(), &[after]).into_iter().filter(|line| line.starts_with('a'));
        let expected = ["a main 2023-02-28T00:00", "a main 2024-02-28T00:00", "a main 2025-02-28T00:00"];
        assert!(of_a.eq(expected));
    }

    #[test]
    fn anniversaries_return_on_the_local_date_of_joining() {
        let members = member("a", "", "2022-06-01T23:30:00Z", "Europe/Berlin", "gregorian")
            + &member("b", "", "2024-02-29T12:00:00Z", "", "");
        let shop = shop(&members, "");
        let all = campaign("{ kind: anniversary, leap_day: after }", "");
        let expected = [
            "a main 2023-06-01T22:00",
            "a main 2024-06-01T22:00",
            "b main 2025-03-01T00:00",
            "a main 2025-06-01T22:00",
        ];
        assert_eq!(sent(&shop, &brand(), &[all]), expected);
        let some = campaign("{ kind: anniversary, years: [2, 5] }", "");
        assert_eq!(sent(&shop, &brand(), &[some]), ["a main 2024-06-01T22:00"]);
    }

    const PURCHASES: &str = "\
        1,a,2023-01-01T10:00:00Z,10,USD,cancelled\n\
        3,a,2023-01-02T10:00:00Z,20,USD,paid\n\
        2,a,2023-01-02T10:00:00Z,30.5,USD,\n\
        4,a,2023-01-09T10:00:00Z,99,EUR,paid\n\
        5,b,2023-02-01T10:00:00Z,5,USD,paid\n\
        5,b,2023-02-02T10:00:00Z,5,USD,paid\n";

    fn buyers() -> Shop {
        let joined = "2023-01-01T00:00:00Z";
        let members = ["a", "b", "c"].map(|id| member(id, "", joined, "", "")).concat();
        shop(&members, PURCHASES)
    }

    #[test]
    fn post_purchase_chooses_the_order_and_then_looks_at_its_amount() {
        let due = |trigger: &str| sent(&buyers(), &brand(), &[campaign(trigger, "")]);
        let first_of_a = "a main 2023-01-02T10:00";
        let of_b = "b main 2023-02-02T10:00";
        let every = [first_of_a, first_of_a, "a main 2023-01-09T10:00", of_b];
        assert_eq!(due("{ kind: post_purchase }"), every);
        assert_eq!(due("{ kind: post_purchase, orders: first }"), [first_of_a, of_b]);
        assert_eq!(due("{ kind: post_purchase, orders: { nth: 2 } }"), [first_of_a]);
        assert_eq!(due("{ kind: post_purchase, orders: first, min_amount: 30.5 }"), [first_of_a]);
        assert!(due("{ kind: post_purchase, orders: { nth: 2 }, min_amount: 30 }").is_empty());
        assert!(due("{ kind: post_purchase, orders: { nth: 3 }, min_amount: 1 }").is_empty());
    }

    #[test]
    fn a_purchase_ends_the_later_steps() {
        let steps = "steps: [{ id: s, after: 7d, unless: [goal], content: x }]";
        let first = campaign("{ kind: post_purchase, orders: first }", steps);
        let expected = ["a main 2023-01-02T10:00", "b main 2023-02-02T10:00", "b s 2023-02-09T10:00"];
        assert_eq!(sent(&buyers(), &brand(), &[first]), expected);
    }

    #[test]
    fn at_risk_counts_from_the_last_purchase() {
        let due = |trigger: &str, more: &str| sent(&buyers(), &brand(), &[campaign(trigger, more)]);
        let of_b = "b main 2023-02-08T10:00";
        let lapses = ["a main 2023-01-08T10:00", "a main 2023-01-15T10:00", of_b];
        assert_eq!(due("{ kind: at_risk, after: 6d }", ""), lapses);
        let weekly = ["a main 2023-01-16T10:00", "b main 2023-02-09T10:00"];
        assert_eq!(due("{ kind: at_risk, after: 7d }", ""), weekly);
        let noon = due("{ kind: at_risk, after: 6d, delay: 1d }", "");
        assert_eq!(noon, weekly);
        let steps = "steps: [{ id: s, after: 12h, content: x }, { id: t, after: 12h, content: x }]";
        let of_a = due("{ kind: at_risk, after: 6d }", steps);
        let of_a: Vec<_> = of_a.iter().filter(|line| line.starts_with('a')).collect();
        assert_eq!(of_a[..2], ["a main 2023-01-08T10:00", "a s 2023-01-08T22:00"]);
        assert_eq!(of_a.len(), 5);
        let never = due("{ kind: at_risk, after: 10d, never_bought: true }", "");
        assert_eq!(never, ["b main 2023-01-11T00:00", "c main 2023-01-11T00:00"]);
        let late = due("{ kind: at_risk, after: 10d, delay: 30d, never_bought: true }", "");
        assert_eq!(late, ["c main 2023-02-10T00:00"]);
    }

    #[test]
    fn broadcasts_go_out_at_an_instant_or_at_a_local_time() {
        let members = member("a", "", "", "", "") + &member("b", "", "", "Asia/Kolkata", "");
        let shop = shop(&members, "");
        let local = campaign("{ kind: broadcast, at: 2024-12-20T10:00 }", "");
        let expected = ["b main 2024-12-20T04:30", "a main 2024-12-20T10:00"];
        assert_eq!(sent(&shop, &brand(), &[local]), expected);
        let instant = campaign("{ kind: broadcast, at: \"2024-12-20 10:00:00+01:00\" }", "");
        let expected = ["a main 2024-12-20T09:00", "b main 2024-12-20T09:00"];
        assert_eq!(sent(&shop, &brand(), &[instant]), expected);
        let paused = "name: c\nstatus: paused\nchannels: [email]\ncontent: c\n\
                      trigger: { kind: broadcast, at: 2024-12-20T10:00 }\n";
        assert!(sent(&shop, &brand(), &[Campaign::from_yaml(paused)]).is_empty());
    }

    #[test]
    fn the_audience_compares_fields_of_the_member() {
        let members = "a,,2023-01-01T00:00:00Z,,,gold,10,a@x,true,,\nb,,2024-01-01T00:00:00Z,,,,,b@x,true,,\n";
        let shop = shop(members, "");
        let who = |audience: &str| {
            let broadcast = "{ kind: broadcast, at: 2024-12-20T10:00 }";
            let one = campaign(broadcast, &format!("audience: {audience}"));
            let lines = sent(&shop, &brand(), &[one]);
            lines.iter().map(|line| &line[..1]).collect::<String>()
        };
        assert_eq!(who("{ field: tier, in: [silver, gold] }"), "a");
        assert_eq!(who("{ field: tier, ne: gold }"), "b");
        assert_eq!(who("{ field: tier, not_in: [silver] }"), "ab");
        assert_eq!(who("{ not: { field: points, gte: 9 } }"), "b");
        assert_eq!(who("{ any: [{ field: points, lt: 9 }, { field: points, exists: false }] }"), "b");
        assert_eq!(who("{ all: [{ field: joined_at, lt: 2024-01-01 }, { field: email_consent, eq: true }] }"), "a");
    }

    #[test]
    fn the_channel_needs_an_address_and_for_marketing_consent() {
        let members = "a,,,,,,,a@x,true,+12025550100,true\nb,,,,,,,b@x,,+12025550100,true\n\
                       c,,,,,,,c@x,,,true\n";
        let shop = shop(members, "");
        let who = |more: &str| {
            let one = campaign("{ kind: broadcast, at: 2024-12-20T10:00 }", more);
            let all = evaluate(&shop, &brand(), &[one], 0, i64::from(u32::MAX) * 1_000);
            all.iter().map(|m| format!("{}-{}", m.member, m.channel)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(who("reach: first"), "a-email b-sms");
        assert_eq!(who("reach: all"), "a-email a-sms b-sms");
        assert_eq!(who("purpose: service"), "a-email b-email c-email");
        assert_eq!(who("purpose: service\nexperiment: { holdout: 100% }"), "");
    }

    #[test]
    fn the_cap_keeps_the_more_important_message() {
        let shop = shop(&member("a", "", "", "", ""), "");
        let capped = Brand { frequency_cap: Some((1, chrono::Duration::days(7))), ..brand() };
        let broadcast = |name: &str, at: &str, limits: &str| {
            Campaign::from_yaml(&format!(
                "name: {name}\nstatus: live\nchannels: [email]\ncontent: c\nlimits: {limits}\n\
                 trigger: {{ kind: broadcast, at: {at} }}\n\
                 steps: [{{ id: of-{name}, after: 7d, content: c }}]\n"
            ))
        };
        let low = || broadcast("low", "2024-01-01T10:00", "{}");
        let high = broadcast("high", "2024-01-01T10:00", "{ priority: 1 }");
        let expected = ["a main 2024-01-01T10:00", "a of-high 2024-01-08T10:00"];
        assert_eq!(sent(&shop, &capped, &[low(), high]), expected);
        let exempt = broadcast("free", "2024-01-01T09:00", "{ frequency_cap: exempt }");
        assert_eq!(sent(&shop, &capped, &[low(), exempt]).len(), 4);
    }

    #[test]
    fn quiet_hours_move_marketing_only() {
        let shop = shop(&member("a", "", "", "", ""), "");
        let quiet = Brand { quiet_hours: Some((clock("21:00"), clock("08:00"))), ..brand() };
        let night = "{ kind: broadcast, at: 2024-01-01T23:00 }";
        let marketing = campaign(night, "");
        let expected = ["a main 2024-01-01T23:00 -> 2024-01-02T08:00"];
        assert_eq!(sent(&shop, &quiet, &[marketing]), expected);
        let service = campaign(night, "purpose: service");
        assert_eq!(sent(&shop, &quiet, &[service]), ["a main 2024-01-01T23:00"]);
    }

    #[test]
    fn a_yearly_greeting_is_not_repeated_within_half_a_year() {
        let shop = shop(&member("a", "1990-03-01", "", "", "gregorian"), "");
        let steps = "steps: [{ id: s, after: 200d, content: x }]";
        let expected = ["a main 2023-03-01T00:00", "a s 2023-09-17T00:00", "a s 2024-09-17T00:00"];
        let lines = sent(&shop, &brand(), &[campaign("{ kind: birthday }", steps)]);
        assert_eq!(lines[..2], expected[..2]);
        assert_eq!(lines[2], expected[2]);
    }

    #[test]
    #[should_panic(expected = "unknown")]
    fn an_unknown_key_of_a_trigger_is_refused() {
        campaign("{ kind: welcome, after: 3d }", "");
    }
}
