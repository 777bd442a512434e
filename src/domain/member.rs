//! A member and the brand, whose zone, calendar and locale stand in for what a member lacks.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::Instant;
use super::almanac::Almanac;
use super::calendar::{Calendar, MonthDay, QuietHours, in_calendar};
use super::message::Channel;
use super::sms::Routes;
use crate::document::Value;

/// A customer in the member store.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The store's key.
    pub id: i64,
    /// The shop's own id.
    pub external_id: String,
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    pub title: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub birth_date: Option<BirthDate>,
    pub joined_at: Option<Instant>,
    pub locale: Option<String>,
    pub timezone: Option<Tz>,
    pub calendar: Option<Calendar>,
    pub email_consent: bool,
    pub sms_consent: bool,
    pub tier: Option<String>,
    pub points: Option<i64>,
    pub attributes: BTreeMap<String, String>,
    /// No marketing before it, by the member's own wish.
    pub paused_until: Option<Instant>,
    pub deleted: bool,
}

impl Member {
    /// The member's zone, else the brand's.
    pub fn zone(&self, brand: &Brand) -> Tz {
        self.timezone.unwrap_or(brand.timezone)
    }

    /// The calendar of the member's yearly occasions, else the brand's.
    pub fn calendar(&self, brand: &Brand) -> Calendar {
        self.calendar.unwrap_or(brand.calendar)
    }

    /// The member's language, else the brand's.
    pub fn locale<'a>(&'a self, brand: &'a Brand) -> &'a str {
        self.locale.as_deref().unwrap_or(&brand.locale)
    }

    /// Where a channel reaches the member.
    pub fn address(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Email => self.email.as_deref(),
            Channel::Sms => self.phone.as_deref(),
        }
    }

    /// Whether marketing may use a channel.
    pub fn consents(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email_consent,
            Channel::Sms => self.sms_consent,
        }
    }
}

/// The form in which addresses are compared, and stand in the suppression list.
pub fn suppression_key(member: &Member, channel: Channel) -> Option<String> {
    member.address(channel).map(str::to_lowercase)
}

/// A birth date, with or without its year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BirthDate {
    /// A day in history; it recurs on its month and day in the member's calendar.
    Full(NaiveDate),
    /// `--MM-DD`, in the member's own calendar.
    Yearless(MonthDay),
}

/// Reads the name of an attribute: letters, digits, `_` and `-`, first a letter; in lower case, however it is
/// written. Other signs would be a path into the attributes to one database or the other.
pub fn parse_attribute(text: &str) -> Result<String, String> {
    let name = super::text::tidy(&super::text::clean(text)).to_lowercase();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '\u{200c}');
    if name.starts_with(char::is_alphabetic) && name.chars().all(fits) && name.chars().count() <= 64 {
        return Ok(name);
    }
    Err(format!(
        "`{text}` cannot be the name of an attribute; write letters, digits, _ and -, first a letter, at most 64"
    ))
}

impl BirthDate {
    /// Reads a date of either calendar, or `--MM-DD`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = super::text::ascii_digits(text.trim()).replace('/', "-");
        let Some(rest) = plain.strip_prefix("--") else {
            return super::calendar::parse_life_date(&plain).map(Self::Full);
        };
        let wrong = || format!("`{text}` is not a birth date; write 1990-05-21, 1369/02/31 or --05-21");
        let (month, day) = rest.split_once('-').ok_or_else(wrong)?;
        let month: u8 = month.parse().map_err(|_| wrong())?;
        let day: u8 = day.parse().map_err(|_| wrong())?;
        // Either calendar's longest months: Persian months 1-6 have 31 days, 30 days follow.
        let longest = match month {
            1..=6 | 7 | 8 | 10 | 12 => 31,
            9 | 11 => 30,
            _ => return Err(wrong()),
        };
        if day == 0 || day > longest {
            return Err(wrong());
        }
        Ok(Self::Yearless(MonthDay { month, day }))
    }

    /// The month and day on which it recurs in a calendar.
    pub fn month_day(self, calendar: Calendar) -> MonthDay {
        match self {
            Self::Full(date) => in_calendar(date, calendar).1,
            Self::Yearless(at) => at,
        }
    }

    /// The year of birth in a calendar, where it is known.
    pub fn year(self, calendar: Calendar) -> Option<i32> {
        match self {
            Self::Full(date) => Some(in_calendar(date, calendar).0),
            Self::Yearless(_) => None,
        }
    }
}

impl std::fmt::Display for BirthDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(date) => write!(f, "{date}"),
            Self::Yearless(at) => write!(f, "--{:02}-{:02}", at.month, at.day),
        }
    }
}

/// The shop as its members know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Brand {
    pub name: String,
    pub timezone: Tz,
    pub calendar: Calendar,
    pub locale: String,
    pub currency: String,
    /// Where links in messages lead.
    pub base_url: String,
    /// The region whose national phone numbers are understood at import.
    pub phone_region: phonenumber::country::Id,
    pub quiet_hours: Option<QuietHours>,
    /// By which providers and lines SMS go out.
    pub sms: Routes,
    pub frequency_cap: Option<FrequencyCap>,
    /// For campaigns that do not say it themselves.
    pub track: Track,
    /// Its occasions come with the catalog; settings alone know none.
    pub almanac: Almanac,
}

/// At most so many messages to one member in so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrequencyCap {
    pub messages: u32,
    pub per: chrono::Duration,
}

/// What is heard of an HTML mail by ways that its reader does not see: nothing, unless the brand or
/// the campaign wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Track {
    /// A picture of one pixel says that it was opened.
    pub opens: bool,
    /// Its links lead through us.
    pub clicks: bool,
}

impl Track {
    /// Reads `{ opens: …, clicks: … }`; what is not said stays as in `default`.
    pub fn decode(value: Value<'_>, default: Self) -> Option<Self> {
        let mut table = value.table()?;
        let opens = table.get_or("opens", default.opens, |value| value.boolean());
        let clicks = table.get_or("clicks", default.clicks, |value| value.boolean());
        table.finish();
        Some(Self { opens: opens?, clicks: clicks? })
    }
}

/// A brand and a member for the tests of several modules.
#[cfg(test)]
pub mod samples {
    use super::*;

    /// A Persian shop in Tehran.
    pub fn brand() -> Brand {
        Brand {
            name: "Rose & Co".to_owned(),
            timezone: "Asia/Tehran".parse().unwrap(),
            calendar: Calendar::Persian,
            locale: "fa".to_owned(),
            currency: "IRR".to_owned(),
            base_url: "https://rose.example".to_owned(),
            phone_region: phonenumber::country::Id::IR,
            quiet_hours: None,
            sms: Routes::default(),
            frequency_cap: None,
            track: Track::default(),
            almanac: Almanac::EMPTY,
        }
    }

    /// Sara, reachable by mail.
    pub fn member() -> Member {
        Member {
            id: 1,
            external_id: "m1".to_owned(),
            email: Some("sara@example.com".to_owned()),
            phone: None,
            title: None,
            first_name: Some("<b>Sara</b>".to_owned()),
            last_name: None,
            birth_date: BirthDate::parse("1990-05-21").ok(),
            joined_at: "2026-03-20T21:00:00Z".parse().ok(),
            locale: None,
            timezone: None,
            calendar: None,
            email_consent: true,
            sms_consent: true,
            tier: None,
            points: Some(1_234_567),
            attributes: BTreeMap::new(),
            paused_until: None,
            deleted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birth_dates_recur_in_the_members_calendar() {
        let check = |text: &str, calendar, number: i64, year: Option<i32>| {
            let birth = BirthDate::parse(text).unwrap();
            assert_eq!((birth.month_day(calendar).number(), birth.year(calendar)), (number, year), "{text}");
        };
        check("1942-11-10", Calendar::Gregorian, 1110, Some(1942));
        check("1942-11-10", Calendar::Persian, 819, Some(1321));
        check("۱۳۶۹/۰۲/۳۱", Calendar::Persian, 231, Some(1369));
        check("--02-31", Calendar::Persian, 231, None);
        check("--11-10", Calendar::Gregorian, 1110, None);
        for text in ["", "--13-01", "--00-10", "--05-32", "--5", "1990-02-30", "31/12/1990"] {
            assert!(BirthDate::parse(text).is_err(), "{text}");
        }
    }
}
