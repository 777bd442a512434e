//! A birth date, and the days on which it recurs.

use chrono::NaiveDate;

use super::calendar::{Calendar, MonthDay, in_calendar};

/// A birth date, with or without its year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BirthDate {
    /// A day in history; it recurs on its month and day in the member's calendar.
    Full(NaiveDate),
    /// `--MM-DD`, in the member's own calendar.
    Yearless(MonthDay),
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
