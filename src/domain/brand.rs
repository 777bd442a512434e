//! The brand. Its zone, calendar and locale stand in for what a member lacks.

use chrono_tz::Tz;

use super::almanac::Almanac;
use super::calendar::{Calendar, QuietHours};
use super::sms::Routes;
use super::track::Track;

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
    /// The share of members who get no marketing at all, 0 to 1.
    pub holdout: f64,
    /// The yearly rate, 0 to 1, by which revenue to come counts for less: a setting of `reports`.
    pub discount: f64,
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
