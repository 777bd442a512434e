//! The demo's shop: members and orders made up from a fixed seed, with the rhythms of real ones.
//! Addresses end in `example` domains, numbers are reserved or invented: nothing reaches anybody.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{Duration, NaiveDate, SecondsFormat};

use crate::domain::Instant;
use crate::files::create;

/// The files that were written.
pub(super) struct Files {
    pub members: PathBuf,
    pub purchases: PathBuf,
    pub coupons: PathBuf,
}

/// A small generator of numbers (SplitMix64, Steele, Lea and Flood 2014): the same shop everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }

    /// An exponentially distributed gap with this mean, in days.
    fn gap(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }
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

/// Writes the shop as it stands at the end of the simulated day that begins at `day`.
pub(super) fn write(folder: &Path, count: u32, day: Instant) -> std::io::Result<Files> {
    let [members, purchases, coupons] = ["members.csv", "purchases.csv", "coupons.csv"].map(|name| folder.join(name));
    let files = Files { members, purchases, coupons };
    let mut members = BufWriter::new(create(&files.members)?);
    let mut purchases = BufWriter::new(create(&files.purchases)?);
    writeln!(
        members,
        "external_id,email,phone,title,first_name,last_name,birth_date,joined_at,locale,timezone,calendar,email_consent,sms_consent,tier,points"
    )?;
    writeln!(purchases, "order_id,member_external_id,purchased_at,amount,currency,items")?;
    let mut dice = Dice(1405);
    let end = day + Duration::days(1);
    let mut order = 0;
    for number in 1..=count {
        let joined = joined_at(&mut dice, day, number);
        let persian = dice.chance(0.6);
        write_member(&mut members, &mut dice, number, persian, joined)?;
        // Each member has a rhythm of their own, and may lose interest after any order.
        let rhythm = 20.0 + 140.0 * dice.share();
        let loyalty = 0.72 + 0.26 * dice.share();
        let mut at = joined + Duration::minutes((dice.gap(4.0) * 1440.0) as i64);
        while at < end {
            order += 1;
            write_order(&mut purchases, &mut dice, order, number, persian, at)?;
            if !dice.chance(loyalty) {
                break;
            }
            at += Duration::minutes((1440.0 * (2.0 + dice.gap(rhythm))) as i64);
        }
    }
    members.flush()?;
    purchases.flush()?;
    write_coupons(&mut BufWriter::new(create(&files.coupons)?), count / 50)?;
    Ok(files)
}

/// Codes for birthdays, of letters that nobody mistakes for others.
fn write_coupons(out: &mut impl Write, count: u32) -> std::io::Result<()> {
    const LETTERS: &[u8] = b"ACDEFGHJKLMNPQRTUVWXY34679";
    let mut dice = Dice(26);
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

fn write_member(
    out: &mut impl Write,
    dice: &mut Dice,
    number: u32,
    persian: bool,
    joined: Instant,
) -> std::io::Result<()> {
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
    writeln!(
        out,
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

fn write_order(
    out: &mut impl Write,
    dice: &mut Dice,
    order: u32,
    member: u32,
    persian: bool,
    at: Instant,
) -> std::io::Result<()> {
    let items = 1 + dice.below(4);
    let (amount, currency) = if persian {
        (format!("{}0000", 45 * items + dice.below(400)), "IRR")
    } else {
        (format!("{}.{:02}", 9 * items + dice.below(90), dice.below(100)), "USD")
    };
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    writeln!(out, "A{order:06},M{member:05},{at},{amount},{currency},item:{items}")
}
