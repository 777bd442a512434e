//! `{{date X}}`: an instant or a date, in the member's calendar, language and zone.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use chrono::{DateTime, Datelike, NaiveDate};
use handlebars::{Context, Helper, RenderError};
use icu_calendar::{Date, Iso};
use icu_datetime::DateTimeFormatter;
use icu_datetime::fieldsets::YMD;
use icu_locale_core::Locale;
use serde_json::Value;

use super::{fault, parameter, setting};
use crate::domain::calendar::parse_date;

pub(super) fn date(helper: &Helper<'_>, context: &Context) -> Result<String, RenderError> {
    let text = match parameter(helper, 0)? {
        Value::Null => return Ok(String::new()),
        Value::String(text) => text,
        _ => return Err(fault("`date` takes a date or an instant".to_owned())),
    };
    let date = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => {
            let zone: chrono_tz::Tz = setting(context, "@zone").parse().unwrap_or(chrono_tz::UTC);
            at.with_timezone(&zone).date_naive()
        }
        // A member's own attribute may hold a Persian date.
        Err(_) => match parse_date(text) {
            Ok(date) => date,
            // A birth date without a year, and anything else that is no date, stays as it is.
            Err(_) => return Ok(text.clone()),
        },
    };
    let written = localised(date, setting(context, "@locale"), setting(context, "@calendar"));
    Ok(written.unwrap_or_else(|| date.to_string()))
}

/// A date in words of a language (`fa`) and calendar (`persian`); `None` when they cannot be written.
pub fn localised(date: NaiveDate, locale: &str, calendar: &str) -> Option<String> {
    let iso: Date<Iso> = Date::try_new_iso(date.year(), date.month() as u8, date.day() as u8).ok()?;
    Some(formatter(locale, calendar)?.format(&iso).to_string())
}

fn formatter(locale: &str, calendar: &str) -> Option<Arc<DateTimeFormatter<YMD>>> {
    type Known = HashMap<String, Arc<DateTimeFormatter<YMD>>>;
    static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);
    let calendar = if calendar == "persian" { "persian" } else { "gregory" };
    let key = format!("{locale}-u-ca-{calendar}");
    if let Some(found) = KNOWN.read().ok()?.get(&key) {
        return Some(Arc::clone(found));
    }
    let parsed: Locale = key.parse().ok().or_else(|| format!("en-u-ca-{calendar}").parse().ok())?;
    let made = Arc::new(DateTimeFormatter::try_new(parsed.into(), YMD::long()).ok()?);
    let mut known = KNOWN.write().ok()?;
    if known.len() >= super::MOST_LANGUAGES {
        known.clear();
    }
    known.insert(key, Arc::clone(&made));
    Some(made)
}
