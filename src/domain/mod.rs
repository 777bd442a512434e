//! PURE: no I/O, no async, no clock; time is an argument. What a member, a campaign and a message
//! are, when an occasion is due, and what policy decides.

pub mod address;
pub mod almanac;
pub mod audience;
pub mod birth_date;
pub mod brand;
pub mod breaker;
pub mod calendar;
pub mod campaign;
pub mod cell;
pub mod credit;
pub mod cron;
pub mod duration;
pub mod experiment;
pub mod gift;
pub mod history;
pub mod host;
pub mod lifetime;
pub mod locale;
pub mod member;
pub mod message;
pub mod money;
pub mod name;
pub mod number;
pub mod occasion;
pub mod pace;
pub mod period;
pub mod phone;
pub mod policy;
pub mod purchase;
pub mod receiver;
pub mod reply;
pub mod retry;
pub mod rfm;
pub mod sms;
pub mod smtp_reply;
pub mod text;
pub mod token;
pub mod track;
pub mod words;

/// A point in time. Stored as epoch milliseconds in columns named `…_at`.
pub type Instant = chrono::DateTime<chrono::Utc>;

/// The instant of an epoch-millisecond column. Values outside the calendar are clamped.
pub fn instant(millis: i64) -> Instant {
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or(if millis < 0 {
        Instant::MIN_UTC
    } else {
        Instant::MAX_UTC
    })
}
