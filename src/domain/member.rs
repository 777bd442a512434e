//! A member.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::Instant;
use super::birth_date::BirthDate;
use super::brand::Brand;
use super::calendar::Calendar;
use super::message::Channel;

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

/// A brand and a member for the tests of several modules.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::domain::almanac::Almanac;
    use crate::domain::sms::Routes;
    use crate::domain::track::Track;

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
            holdout: 0.0,
            discount: 0.1,
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
