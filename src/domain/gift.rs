//! Gifts: what a message brings the member beside its words, a coupon's code or points. The shop makes the
//! codes and books the points; Rekindle sees to it that nobody gets one twice.

use chrono::NaiveDate;

use super::brand::Brand;
use super::words::words;
use super::{cell, money};
use crate::document::{Table, Value};

words! {
    /// What becomes of a message whose pool of codes is empty.
    WhenEmpty {
        /// It goes out without a gift; its templates must know how.
        SendWithout = "send_without",
        /// It is skipped, as `gift_unavailable`.
        Skip = "skip",
    }
}

/// What a step gives, as the campaign says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GiftRule {
    /// A code of its own for each member.
    Coupon {
        /// Where the codes come from.
        pool: String,
        /// What it is worth, in words for the member: `20%`.
        value: String,
        /// The member may use it up to and with the day so many days after the message is dispatched.
        valid_days: Option<u32>,
        /// What one costs the shop beside the discount, once it is used, in minor units of the brand's currency.
        cost: Option<i64>,
        when_empty: WhenEmpty,
    },
    /// Points, which the shop books.
    Points(i64),
}

/// Longer than any coupon holds.
const MOST_DAYS: i64 = 3_660;

impl GiftRule {
    /// Reads `gift: { coupon: { pool, value, valid_days, cost }, when_empty }` or `gift: { points }`.
    pub(super) fn decode(value: Value<'_>, brand: &Brand) -> Option<Self> {
        let mut table = value.table()?;
        let (coupon, points) = (table.get("coupon"), table.get("points"));
        let when_empty_value = table.get("when_empty");
        let when_empty = when_empty_value.map_or(Some(WhenEmpty::Skip), |value| value.one_of(WhenEmpty::WORDS));
        let gift = match (coupon, points) {
            (Some(coupon), None) => coupon.table().and_then(|table| Self::decode_coupon(table, when_empty, brand)),
            (None, Some(points)) => {
                if let Some(value) = when_empty_value {
                    value.problem("points never run out; remove `when_empty`");
                }
                points.integer_in(1..=1_000_000_000).map(Self::Points)
            }
            (Some(_), Some(points)) => {
                points.problem("a step gives a coupon or points, not both; remove one of them");
                None
            }
            (None, None) => {
                value.problem("a gift is `coupon: { pool: NAME, value: \"20%\", valid_days: 14 }` or `points: 500`");
                None
            }
        };
        table.finish();
        gift
    }

    fn decode_coupon(mut table: Table<'_>, when_empty: Option<WhenEmpty>, brand: &Brand) -> Option<Self> {
        let pool = table.require("pool").and_then(|value| value.parse(parse_pool));
        let worth = table.require("value").and_then(|value| {
            let text = value.text()?.trim().to_owned();
            if text.is_empty() || text.chars().count() > 40 || text.chars().any(char::is_control) {
                value.problem("`value` is what the coupon is worth, in at most 40 letters, such as \"20%\"");
                return None;
            }
            Some(text)
        });
        let valid_days = table.get_or("valid_days", None, |value| {
            value.integer_in(0..=MOST_DAYS).and_then(|days| u32::try_from(days).ok()).map(Some)
        });
        let cost = table
            .get_or("cost", None, |value| value.parse(|text| money::parse_amount(text, &brand.currency)).map(Some));
        table.finish();
        Some(Self::Coupon { pool: pool?, value: worth?, valid_days: valid_days?, cost: cost?, when_empty: when_empty? })
    }

    /// The pool that it draws on, if it draws on one.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Coupon { pool, .. } => Some(pool),
            Self::Points(_) => None,
        }
    }

    /// Whether a message may go out without it.
    pub fn may_be_missing(&self) -> bool {
        matches!(self, Self::Coupon { when_empty: WhenEmpty::SendWithout, .. })
    }

    /// The gift of a message dispatched on `today`, a date of the member's clock. `code` is the coupon's.
    pub fn give(&self, today: NaiveDate, code: String) -> Gift {
        match self {
            Self::Coupon { value, valid_days, cost, .. } => Gift {
                cost: *cost,
                code: Some(code),
                value: Some(value.clone()),
                points: None,
                valid_until: valid_days.and_then(|days| today.checked_add_days(chrono::Days::new(days.into()))),
            },
            Self::Points(points) => {
                Gift { code: None, value: None, points: Some(*points), valid_until: None, cost: None }
            }
        }
    }
}

/// What one message brings one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    pub code: Option<String>,
    /// What the code is worth, in the campaign's words.
    pub value: Option<String>,
    pub points: Option<i64>,
    /// The last day on which the code may be used, on the member's clock.
    pub valid_until: Option<NaiveDate>,
    /// What it costs the shop once the code is used, in minor units of the brand's currency.
    pub cost: Option<i64>,
}

impl std::fmt::Display for Gift {
    /// For people: `ROSE-1 (20%, until 2027-01-02)`, `500 points`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(points) = self.points {
            return write!(f, "{points} points");
        }
        let (code, value) = (self.code.as_deref().unwrap_or_default(), self.value.as_deref().unwrap_or_default());
        match self.valid_until {
            Some(until) => write!(f, "{code} ({value}, until {until})"),
            None => write!(f, "{code} ({value})"),
        }
    }
}

/// Reads the name of a pool of codes.
pub fn parse_pool(text: &str) -> Result<String, String> {
    super::name::parse(text)
}

/// Reads a coupon's code: what a member can type, without spaces.
pub fn parse_code(text: &str) -> Result<String, String> {
    let code = text.trim();
    if !code.is_empty() && cell::parse_key(code).is_err() {
        return Err("this is no code, but what a spreadsheet or a database made of one".to_owned());
    }
    if code.is_empty() || code.chars().count() > 64 {
        return Err("a code has 1 to 64 letters".to_owned());
    }
    if code.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a code holds no spaces".to_owned());
    }
    Ok(code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Problems};
    use crate::domain::member::samples::brand;

    fn read(text: &str) -> Result<GiftRule, Problems> {
        let document = Document::parse("x.yaml", text, None).unwrap();
        let decoded = GiftRule::decode(document.root(), &brand());
        document.finish(decoded)
    }

    #[test]
    fn a_gift_is_a_coupon_or_points() {
        let coupon =
            read("{ coupon: { pool: birthday-2026, value: \"20%\", valid_days: 14 }, when_empty: send_without }");
        let expected = GiftRule::Coupon {
            pool: "birthday-2026".to_owned(),
            value: "20%".to_owned(),
            valid_days: Some(14),
            when_empty: WhenEmpty::SendWithout,
            cost: None,
        };
        assert_eq!(coupon.unwrap(), expected);
        assert!(
            !read("{ coupon: { pool: p, value: x } }").unwrap().may_be_missing(),
            "skipped unless it says otherwise"
        );
        assert_eq!(read("{ points: 500 }").unwrap(), GiftRule::Points(500));
        let check = |text: &str, expected: &str| {
            let problems = read(text).unwrap_err().to_string();
            assert!(problems.contains(expected), "{text}: {problems}");
        };
        check("{ points: 5, coupon: { pool: p, value: x } }", "not both");
        check("{ when_empty: skip }", "a gift is `coupon:");
        check("{ points: 0 }", "expected 1 to");
        check("{ points: 5, when_empty: skip }", "points never run out");
        check("{ coupon: { pool: Big Pool, value: x } }", "cannot be a name");
        check("{ coupon: { pool: p } }", "`value` is missing");
        check("{ coupon: { pool: p, value: \"\" } }", "what the coupon is worth");
        check("{ coupon: { pool: p, value: x, valid_dyas: 3 } }", "did you mean `valid_days`");
    }

    #[test]
    fn a_code_is_valid_for_so_many_days_after_the_day_of_dispatch() {
        let today = NaiveDate::from_ymd_opt(2026, 12, 28).unwrap();
        let given = |text: &str| read(text).unwrap().give(today, "A-1".to_owned());
        let gift = given("{ coupon: { pool: p, value: x, valid_days: 5 } }");
        assert_eq!(gift.valid_until, NaiveDate::from_ymd_opt(2027, 1, 2));
        assert_eq!(gift.to_string(), "A-1 (x, until 2027-01-02)");
        assert_eq!(given("{ coupon: { pool: p, value: x } }").valid_until, None);
        assert_eq!(
            given("{ points: 7 }"),
            Gift { code: None, value: None, points: Some(7), valid_until: None, cost: None }
        );
    }

    #[test]
    fn codes_are_what_a_member_can_type() {
        let check = |text: &str, expected: Result<&str, &str>| {
            assert_eq!(parse_code(text).as_deref().map_err(String::as_str), expected, "{text}");
        };
        check(" SPRING-1 ", Ok("SPRING-1"));
        check("بهار۱", Ok("بهار۱"));
        check("", Err("a code has 1 to 64 letters"));
        check(&"x".repeat(65), Err("a code has 1 to 64 letters"));
        check("A B", Err("a code holds no spaces"));
    }
}
