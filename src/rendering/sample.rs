//! A member, an order and a gift that stand in for real ones when templates are checked.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::domain::birth_date::BirthDate;
use crate::domain::brand::Brand;
use crate::domain::gift::{Gift, GiftRule};
use crate::domain::instant;
use crate::domain::member::Member;
use crate::domain::purchase::{OrderStatus, Purchase};

/// A member of a language who lacks nothing.
pub fn member(locale: &str) -> Member {
    Member {
        id: 1,
        external_id: "sample".to_owned(),
        email: Some("sample@example.com".to_owned()),
        phone: Some("+12025550100".to_owned()),
        title: Some("Dr".to_owned()),
        first_name: Some("Sara".to_owned()),
        last_name: Some("Ahmadi".to_owned()),
        birth_date: BirthDate::parse("1990-05-21").ok(),
        joined_at: Some(instant(1_700_000_000_000)),
        locale: Some(locale.to_owned()),
        timezone: None,
        calendar: None,
        email_consent: true,
        sms_consent: true,
        tier: Some("gold".to_owned()),
        points: Some(1200),
        attributes: BTreeMap::new(),
        paused_until: None,
        deleted: false,
    }
}

/// An order in the brand's currency.
pub fn order(brand: &Brand) -> Purchase {
    Purchase {
        id: 1,
        member_id: 1,
        order_id: "S-1001".to_owned(),
        purchased_at: instant(1_720_000_000_000),
        amount: 125_000_000,
        currency: brand.currency.clone(),
        status: OrderStatus::Paid,
        delivered_at: None,
        items: None,
    }
}

/// The code of a made-up coupon.
pub const CODE: &str = "SAMPLE-1234";

/// What a step would give on a day.
pub fn gift(rule: &GiftRule, today: NaiveDate) -> Gift {
    rule.give(today, CODE.to_owned())
}
