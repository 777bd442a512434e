//! The keys of `brand`: who writes, on whose clock, and when it rests.

use chrono::Weekday;
use chrono_tz::Tz;

use crate::document::Value;
use crate::domain::almanac::{Almanac, OnDay, WEEKDAYS};
use crate::domain::brand::{Brand, FrequencyCap};
use crate::domain::calendar::{Calendar, QuietHours, parse_zone};
use crate::domain::experiment::arms::parse_share;
use crate::domain::sms::Routes;
use crate::domain::track::Track;
use crate::domain::{duration, locale, money, phone};

pub(super) fn decode(value: Value<'_>) -> Option<Brand> {
    let mut table = value.table()?;
    let name = table.require("name").and_then(|value| value.text());
    let timezone = table.get_or("timezone", Tz::UTC, |value| value.parse(parse_zone));
    let calendar = table.get_or("calendar", Calendar::Gregorian, |value| value.one_of(Calendar::WORDS));
    let language = table.get_or("locale", "en".to_owned(), |value| value.parse(locale::parse));
    let currency = table.get_or("currency", "USD".to_owned(), |value| value.parse(money::parse_currency));
    let base_url = table.require("base_url").and_then(|value| {
        value.parse(|text| {
            if text.starts_with("http://") || text.starts_with("https://") {
                Ok(text.trim_end_matches('/').to_owned())
            } else {
                Err(format!("`{}` is not a web address; write it with https://", crate::store::redact(text)))
            }
        })
    });
    let region = match table.get("phone_region") {
        Some(value) => value.parse(phone::parse_region),
        None => Some(default_region(timezone.unwrap_or(Tz::UTC))),
    };
    let quiet_hours = table.get_or("quiet_hours", None, |value| {
        if value.text().as_deref() == Some("none") {
            return Some(None);
        }
        value.parse(QuietHours::parse).map(Some)
    });
    let frequency_cap = table.get_or("frequency_cap", None, decode_frequency_cap);
    let holdout = table.get_or("holdout", 0.0, |value| value.parse(parse_share));
    let track = table.get_or("track", Track::default(), |value| Track::decode(value, Track::default()));
    let weekend = match table.get("weekend") {
        Some(value) => decode_weekend(value),
        None => Some(default_weekend(language.as_deref().unwrap_or_default())),
    };
    let rest = table.get_or("rest", (OnDay::Send, OnDay::Defer), decode_rest);
    table.finish();
    let (weekends, blackouts) = rest?;
    Some(Brand {
        name: name?,
        timezone: timezone?,
        calendar: calendar?,
        locale: language?,
        currency: currency?,
        base_url: base_url?,
        phone_region: region?,
        quiet_hours: quiet_hours?,
        frequency_cap: frequency_cap?,
        holdout: holdout?,
        track: track?,
        sms: Routes::default(),
        discount: super::Reports::default().discount,
        almanac: Almanac { weekend: weekend?, weekends, blackouts, ..Almanac::EMPTY },
    })
}

fn decode_frequency_cap(value: Value<'_>) -> Option<Option<FrequencyCap>> {
    if !value.is_table() {
        return value.one_of(&[("none", None)]);
    }
    let mut table = value.table()?;
    let messages = table.require("messages").and_then(|value| value.integer_in(1..=1000));
    let per = table.require("per").and_then(|value| value.parse(duration::parse));
    table.finish();
    Some(Some(FrequencyCap { messages: u32::try_from(messages?).ok()?, per: per? }))
}

fn decode_weekend(value: Value<'_>) -> Option<Vec<Weekday>> {
    let days = value.list()?.iter().map(|item| item.one_of(WEEKDAYS)).collect::<Vec<_>>();
    let days = days.into_iter().collect::<Option<Vec<_>>>()?;
    if WEEKDAYS.iter().all(|(_, day)| days.contains(day)) {
        value.problem("a week is not all weekend; leave out the days on which the brand works");
        return None;
    }
    Some(days)
}

/// The weekend where a language is at home.
fn default_weekend(locale: &str) -> Vec<Weekday> {
    match locale.split('-').next() {
        Some("fa") => vec![Weekday::Fri],
        Some("ar" | "he") => vec![Weekday::Fri, Weekday::Sat],
        _ => vec![Weekday::Sat, Weekday::Sun],
    }
}

/// What happens at weekends and on blackout dates.
fn decode_rest(value: Value<'_>) -> Option<(OnDay, OnDay)> {
    let mut table = value.table()?;
    let weekends = table.get_or("weekends", OnDay::Send, |value| value.one_of(OnDay::WORDS));
    let blackouts = table.get_or("blackouts", OnDay::Defer, |value| {
        value.one_of(&[(OnDay::Defer.as_str(), OnDay::Defer), (OnDay::Skip.as_str(), OnDay::Skip)])
    });
    table.finish();
    Some((weekends?, blackouts?))
}

/// Shops in Iran write `0912…`; elsewhere the operator says which national form is meant.
fn default_region(zone: Tz) -> phonenumber::country::Id {
    if zone == Tz::Asia__Tehran { phonenumber::country::Id::IR } else { phonenumber::country::Id::US }
}
