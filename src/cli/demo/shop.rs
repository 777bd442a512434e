//! The demo's shop: members and orders made up from a fixed seed, with the rhythms of real ones.
//! Addresses end in `example` domains, numbers are reserved or invented: nothing reaches anybody.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{Duration, NaiveDate, SecondsFormat};

use super::dice::Dice;
use crate::domain::Instant;
use crate::files::create;

/// The files that were written.
pub(super) struct Files {
    pub members: PathBuf,
    pub purchases: PathBuf,
    pub coupons: PathBuf,
}

const PERSIAN_WOMEN: &[&str] = &["سارا", "مریم", "نرگس", "الهام", "شیرین", "پریسا", "نگار", "فاطمه", "زهرا", "لیلا"];
const PERSIAN_MEN: &[&str] = &["علی", "رضا", "امیر", "حسین", "آرش", "کاوه", "بهرام", "سهراب", "میلاد", "پویا"];
const PERSIAN_FAMILIES: &[&str] =
    &["احمدی", "محمدی", "کریمی", "رستمی", "حسینی", "شریفی", "نادری", "قاسمی", "جعفری", "مرادی", "صادقی", "یزدانی"];
const ENGLISH_GIVEN: &[&str] =
    &["Emma", "Liam", "Olivia", "Noah", "Mia", "Leo", "Sofia", "Adam", "Nora", "Oscar", "Ida", "Hugo"];
const ENGLISH_FAMILIES: &[&str] =
    &["Brown", "Miller", "Garcia", "Dubois", "Rossi", "Novak", "Jensen", "Okafor", "Meyer", "Silva", "Tanaka", "Walsh"];
const ZONES: &[&str] =
    &["Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Australia/Sydney"];
const TIERS: &[&str] = &["bronze", "bronze", "bronze", "silver", "silver", "gold"];

/// A member, and how they stand in `members.csv`.
pub(super) struct Member {
    pub number: u32,
    pub joined: Instant,
    pub is_persian: bool,
    pub row: String,
}

/// An order, and what was paid for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub number: u32,
    /// The member's number.
    pub member: u32,
    pub at: Instant,
    /// In rials, or in cents of a dollar.
    pub amount: u64,
    pub is_persian: bool,
    pub items: u64,
}

/// The shop as it stands at the end of a day.
pub(super) struct Shop {
    pub members: Vec<Member>,
    /// What members buy by themselves, member by member.
    pub orders: Vec<Order>,
}

/// The columns of `members.csv`.
pub(super) const MEMBERS: &str = "external_id,email,phone,title,first_name,last_name,birth_date,joined_at,locale,timezone,calendar,email_consent,sms_consent,tier,points";
/// Those of `purchases.csv`.
pub(super) const ORDERS: &str = "order_id,member_external_id,purchased_at,amount,currency,items";

impl Shop {
    /// Makes up so many members, until the end of the day that begins at `day`.
    pub fn make(count: u32, day: Instant) -> Self {
        let mut shop = Self { members: Vec::new(), orders: Vec::new() };
        let mut dice = Dice::new(1405);
        let end = day + Duration::days(1);
        for number in 1..=count {
            let joined = joined_at(&mut dice, day, number);
            let persian = dice.chance(0.6);
            let row = member_row(&mut dice, number, persian, joined);
            // Each member has a rhythm of their own, and may lose interest after any order.
            let rhythm = 20.0 + 140.0 * dice.share();
            let loyalty = 0.72 + 0.26 * dice.share();
            let mut at = joined + Duration::minutes((dice.gap(4.0) * 1440.0) as i64);
            while at < end {
                let order = shop.orders.len() as u32 + 1;
                shop.orders.push(Order::make(&mut dice, order, (number, persian), at));
                if !dice.chance(loyalty) {
                    break;
                }
                at += Duration::minutes((1440.0 * (2.0 + dice.gap(rhythm))) as i64);
            }
            shop.members.push(Member { number, joined, is_persian: persian, row });
        }
        shop
    }

    /// Writes its files, with one coupon code for so many members.
    pub fn write(&self, folder: &Path, members_a_code: u32) -> std::io::Result<Files> {
        let [members, purchases, coupons] =
            ["members.csv", "purchases.csv", "coupons.csv"].map(|name| folder.join(name));
        write_lines(&members, MEMBERS, self.members.iter().map(|member| member.row.clone()))?;
        write_lines(&purchases, ORDERS, self.orders.iter().map(Order::row))?;
        let codes = self.members.len() as u32 / members_a_code;
        write_coupons(&mut BufWriter::new(create(&coupons)?), codes)?;
        Ok(Files { members, purchases, coupons })
    }
}

/// Writes a file of lines below their columns.
pub(super) fn write_lines(file: &Path, columns: &str, lines: impl IntoIterator<Item = String>) -> std::io::Result<()> {
    let mut out = BufWriter::new(create(file)?);
    writeln!(out, "{columns}")?;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Codes for birthdays, of letters that nobody mistakes for others.
fn write_coupons(out: &mut impl Write, count: u32) -> std::io::Result<()> {
    const LETTERS: &[u8] = b"ACDEFGHJKLMNPQRTUVWXY34679";
    let mut dice = Dice::new(26);
    writeln!(out, "code,pool")?;
    for _ in 0..count {
        let code: String = (0..6).map(|_| char::from(LETTERS[dice.below(LETTERS.len() as u64) as usize])).collect();
        writeln!(out, "ROSE-{code},birthday")?;
    }
    out.flush()
}

/// Over three years, more of them lately; a few on the day itself, a few on its anniversaries.
fn joined_at(dice: &mut Dice, day: Instant, number: u32) -> Instant {
    if number % 150 == 7 {
        return day + Duration::minutes(dice.below(720) as i64);
    }
    if number % 120 == 11 {
        let years = 1 + dice.below(3) as u32;
        return day.checked_sub_months(chrono::Months::new(12 * years)).unwrap_or(day) + Duration::hours(9);
    }
    let ago = dice.share().powf(1.4) * 3.0 * 365.0;
    day - Duration::minutes((ago * 1440.0) as i64)
}

fn member_row(dice: &mut Dice, number: u32, persian: bool, joined: Instant) -> String {
    let woman = dice.chance(0.5);
    let (first, family, title) = if persian {
        let first = dice.pick(if woman { PERSIAN_WOMEN } else { PERSIAN_MEN });
        (first, dice.pick(PERSIAN_FAMILIES), if woman { "خانم" } else { "آقای" })
    } else {
        (dice.pick(ENGLISH_GIVEN), dice.pick(ENGLISH_FAMILIES), "")
    };
    let email =
        if dice.chance(if persian { 0.7 } else { 0.97 }) { format!("m{number:05}@example.com") } else { String::new() };
    let phone = match (persian, dice.chance(if persian { 0.96 } else { 0.6 })) {
        (true, true) => format!("0912{:07}", 1_000_000 + number),
        (false, true) => format!("001202555{:04}", 100 + dice.below(100)),
        (_, false) => String::new(),
    };
    let (locale, zone, calendar) =
        if persian { ("fa", "Asia/Tehran", "persian") } else { ("en", dice.pick(ZONES), "gregorian") };
    let birth = birth_date(dice, persian);
    let (mail_yes, sms_yes) = (dice.chance(0.86), dice.chance(if persian { 0.9 } else { 0.5 }));
    let (tier, points) = (dice.pick(TIERS), dice.below(2_400));
    let joined = joined.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!(
        "M{number:05},{email},{phone},{title},{first},{family},{birth},{joined},{locale},{zone},{calendar},{mail_yes},{sms_yes},{tier},{points}"
    )
}

/// In the member's own calendar; some without a year, some unknown.
fn birth_date(dice: &mut Dice, persian: bool) -> String {
    if dice.chance(0.12) {
        return String::new();
    }
    if persian {
        let (year, month, day) = (1335 + dice.below(50), 1 + dice.below(12), 1 + dice.below(29));
        return if dice.chance(0.1) { format!("--{month:02}-{day:02}") } else { format!("{year}/{month:02}/{day:02}") };
    }
    let born = NaiveDate::from_ymd_opt(1956, 1, 1).unwrap_or_default() + Duration::days(dice.below(18_000) as i64);
    if dice.chance(0.1) { born.format("--%m-%d").to_string() } else { born.to_string() }
}

impl Order {
    /// An order of the member, for as much as chance will have it.
    pub fn make(dice: &mut Dice, number: u32, (member, is_persian): (u32, bool), at: Instant) -> Self {
        let items = 1 + dice.below(4);
        let amount = if is_persian {
            (45 * items + dice.below(400)) * 10_000
        } else {
            let dollars = 9 * items + dice.below(90);
            dollars * 100 + dice.below(100)
        };
        Self { number, member, at, amount, is_persian, items }
    }

    pub fn id(&self) -> String {
        format!("A{:06}", self.number)
    }

    pub const fn currency(&self) -> &'static str {
        if self.is_persian { "IRR" } else { "USD" }
    }

    /// In major units.
    pub fn paid(&self) -> f64 {
        self.amount as f64 / if self.is_persian { 1.0 } else { 100.0 }
    }

    /// As a line of `purchases.csv`.
    pub fn row(&self) -> String {
        let amount = match self.is_persian {
            true => self.amount.to_string(),
            false => format!("{}.{:02}", self.amount / 100, self.amount % 100),
        };
        let (id, member, items) = (self.id(), member_id(self.member), self.items);
        let at = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!("{id},{member},{at},{amount},{},item:{items}", self.currency())
    }
}

/// What the files call a member.
pub(super) fn member_id(number: u32) -> String {
    format!("M{number:05}")
}
