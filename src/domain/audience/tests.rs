//! Filters as they are read, and what they mean at an instant.

use std::collections::BTreeMap;

use super::*;
use crate::domain::birth_date::BirthDate;
use crate::domain::brand::Brand;
use crate::domain::lifetime::{BgNbd, GammaGamma, Models};
use crate::domain::member::{Member, samples};
use crate::domain::rfm::Cuts;

fn brand() -> Brand {
    Brand { currency: "EUR".to_owned(), ..samples::brand() }
}

fn member() -> Member {
    Member {
        id: 1,
        external_id: "m1".to_owned(),
        email: Some("a@example.com".to_owned()),
        phone: Some("+989121234567".to_owned()),
        title: None,
        first_name: Some("سارا".to_owned()),
        last_name: None,
        birth_date: Some(BirthDate::parse("--03-01").unwrap()),
        // 00:30 on 10 May in Tehran.
        joined_at: Some(utc("2024-05-09T21:00:00Z")),
        locale: None,
        timezone: None,
        calendar: None,
        email_consent: true,
        sms_consent: false,
        tier: Some("gold".to_owned()),
        points: Some(90),
        attributes: BTreeMap::from([
            ("size".to_owned(), "12".to_owned()),
            ("renewal".to_owned(), "1403/02/21".to_owned()),
        ]),
        paused_until: None,
        deleted: false,
    }
}

fn utc(text: &str) -> Instant {
    text.parse().unwrap()
}

fn read(text: &str) -> Audience {
    Audience::parse_segment("x.yaml", &format!("audience: {text}"), brand().timezone)
        .unwrap_or_else(|problems| panic!("{text}: {problems}"))
}

/// The published models of the CDNOW sample.
const CDNOW: Models = Models {
    purchases: BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 },
    spending: Some(GammaGamma { p: 6.25, q: 3.74, v: 1_544.0 }),
};

/// What it comes to at noon of 20 May 2024 for a member who bought three times.
fn verdict(text: &str) -> Option<bool> {
    let order = |at: &str, amount, currency: &str| Paid { at: utc(at), amount, currency: currency.to_owned() };
    let purchases = [
        order("2024-05-15T12:00:00Z", 1_000, "EUR"),
        order("2024-05-10T12:00:00Z", 2_550, "EUR"),
        order("2024-04-01T00:00:00Z", 99_900, "USD"),
        order("2024-05-20T12:00:01Z", 1, "EUR"),
    ];
    let cuts =
        Cuts { recency: [40, 30, 20, 10].map(|n| n * 86_400_000), frequency: [1, 2, 3, 4], monetary: [1, 2, 3, 4] };
    let known = Known {
        purchases: &purchases,
        suppressed: vec![],
        received: Some(vec![("hello", utc("2024-05-19T12:00:00Z")), ("soon", utc("2024-05-20T12:00:01Z"))]),
        cuts: Some(&cuts),
        models: Some(CDNOW),
    };
    let (member, brand) = (member(), brand());
    read(text).verdict(&View { member: &member, brand: &brand, at: utc("2024-05-20T12:00:00Z"), known })
}

#[test]
fn a_filter_looks_at_what_is_known_at_the_instant() {
    for text in [
        "{ field: purchase_count, eq: 3 }",
        "{ field: purchase_sum, eq: 35.5 }",
        "{ field: purchase_average, eq: 17.75 }",
        "{ field: purchase_count, within: 5d, eq: 0 }",
        "{ field: purchase_count, within: 121h, eq: 1 }",
        "{ field: purchase_count, since: 2024-05-10T12:00:00Z, until: 2024-05-15T12:00:00Z, eq: 1 }",
        "{ field: purchase_sum, until: 2024-05-01, eq: 0 }",
        "{ field: purchase_average, until: 2024-05-01, exists: false }",
        "{ field: purchase_count, until: 2030-01-01, eq: 3 }",
        "{ field: last_purchase_at, eq: 2024-05-15 }",
        "{ field: last_purchase_at, older_than: 5d }",
        "{ not: { field: last_purchase_at, newer_than: 5d } }",
        "{ field: last_purchase_at, newer_than: 121h }",
        "{ field: first_purchase_at, lt: 1403/01/14 }",
        "{ field: first_purchase_at, within: 30d, eq: 2024-05-10 }",
        "{ field: joined_at, eq: 2024-05-10 }",
        "{ field: joined_at, gt: 2024-05-09 }",
        "{ field: joined_at, newer_than: 11d }",
        "{ field: joined_at, older_than: 10d }",
        "{ field: attributes.renewal, eq: 2024-05-10 }",
        "{ field: attributes.renewal, older_than: 10d }",
        "{ field: attributes.size, lt: 100 }",
        "{ field: attributes.size, gt: \"100\" }",
        "{ field: attributes.none, ne: 1 }",
        "{ field: birth_date, exists: true }",
        "{ field: birth_date, ne: 1990-05-21 }",
        "{ not: { field: birth_date, gt: 1900-01-01 } }",
        "{ reachable: any }",
        "{ reachable: email }",
        "{ not: { reachable: sms } }",
        "{ received: { campaign: hello } }",
        "{ received: { campaign: hello, within: 25h } }",
        "{ not: { received: { campaign: hello, within: 24h } } }",
        "{ not: { received: { campaign: soon } } }",
        "{ field: rfm.recency, eq: 5 }",
        "{ field: rfm.frequency, in: [2, 3] }",
        "{ field: rfm.monetary, gte: 5 }",
        // Repeats on two days, of 10 and 25.50 EUR; 0.78891 and 90.096 EUR by the formulas.
        "{ field: alive_probability, gt: 0.7889 }",
        "{ field: alive_probability, lte: 0.78892 }",
        "{ field: expected_revenue, gte: 90.09 }",
        "{ field: expected_revenue, lt: 90.10 }",
        "{ all: [] }",
        "{ not: { any: [] } }",
    ] {
        assert_eq!(verdict(text), Some(true), "{text}");
    }
}

#[test]
fn what_is_open_decides_only_where_nothing_else_does() {
    let check = |text: &str, expected| {
        let (member, brand) = (member(), brand());
        let view = View { member: &member, brand: &brand, at: utc("2024-05-20T12:00:00Z"), known: Known::default() };
        assert_eq!(read(text).verdict(&view), expected, "{text}");
    };
    let open = "{ received: { campaign: hello } }";
    check(open, None);
    check(&format!("{{ not: {open} }}"), None);
    check(&format!("{{ all: [{open}, {{ field: tier, eq: gold }}] }}"), None);
    check(&format!("{{ all: [{open}, {{ field: tier, eq: silver }}] }}"), Some(false));
    check(&format!("{{ any: [{open}, {{ field: tier, eq: gold }}] }}"), Some(true));
    check(&format!("{{ any: [{open}, {{ field: tier, eq: silver }}] }}"), None);
}

#[test]
fn numbers_are_shown_with_the_decimals_that_people_read() {
    let (member, brand) = (member(), brand());
    let view = View { member: &member, brand: &brand, at: utc("2024-05-20T12:00:00Z"), known: Known::default() };
    for (number, shown) in [
        (0.0, "0"),
        (0.788_911_163, "0.7889"),
        (17.75, "17.75"),
        (100.0, "100"),
        (-5.0, "-5"),
        (1e15, "1000000000000000"),
    ] {
        assert_eq!(Value::Number(number).shown(&view), shown);
    }
}

#[test]
fn without_a_model_or_an_order_nothing_is_expected() {
    let order = Paid { at: utc("2024-05-20T12:00:00Z"), amount: 1_000, currency: "USD".to_owned() };
    let (models, purchases_alone) = (Some(CDNOW), Some(Models { spending: None, ..CDNOW }));
    let check = |at: &str, models, field: &str, known: bool| {
        let (member, brand) = (member(), brand());
        let known_of = Known { purchases: std::slice::from_ref(&order), models, ..Known::default() };
        let view = View { member: &member, brand: &brand, at: utc(at), known: known_of };
        let holds = |rest: &str| read(&format!("{{ field: {field}, {rest} }}")).verdict(&view).unwrap();
        assert_eq!(holds("exists: true"), known, "{field} at {at}");
        // An absent value is neither above nor below anything.
        assert_eq!((holds("gte: 0.5"), holds("lt: 0.5")), (known, false), "{field} at {at}");
        assert!(holds("ne: 0.5"), "{field} at {at}");
    };
    let (before, then) = ("2024-05-20T11:59:59Z", "2024-05-20T12:00:00Z");
    for field in ["alive_probability", "expected_revenue"] {
        check(before, models, field, false);
        check(then, None, field, false);
        // Who has bought once is still a customer, and an average one: also in another currency.
        check(then, models, field, true);
    }
    check(then, purchases_alone, "alive_probability", true);
    check(then, purchases_alone, "expected_revenue", false);
}

#[test]
fn mistakes_are_named_with_their_place_and_what_to_write() {
    // The filter, where in it the problem is, and what is said.
    let check = |text: &str, place: &str, message: &str| {
        let text = format!("audience: {text}");
        let column = text.find(place).unwrap() + 1;
        let read = Audience::parse_segment("x.yaml", &text, brand().timezone);
        assert_eq!(read.unwrap_err().to_string(), format!("x.yaml:1:{column}: {message}"), "{text}");
    };
    check("{ field: purchase_count, gte: many }", "many", "`purchase_count` is compared with a number, found `many`");
    check(
        "{ field: last_purchase_at, lt: 60d }",
        "60d",
        "`last_purchase_at` is compared with a date like 2026-03-21; for a length of time write older_than or \
         newer_than, found `60d`",
    );
    check(
        "{ field: points, older_than: 60d }",
        "{ field",
        "`points` is not a date; `older_than` is for dates, such as joined_at",
    );
    check(
        "{ field: tier, within: 60d, eq: gold }",
        "60d",
        "`within` belongs to the fields of purchases (purchase_count, purchase_sum, purchase_average, \
         first_purchase_at, last_purchase_at), not to `tier`",
    );
    check(
        "{ field: purchase_count, within: 60d, since: 2024-01-01, eq: 1 }",
        "60d",
        "`within` counts back from the moment it is asked; write it alone, or `since` and `until`",
    );
    check(
        "{ field: purchase_count, since: 2024-01-01, until: 2023-01-01, eq: 1 }",
        "2023",
        "`until` is not after `since`, so no purchase would count",
    );
    check(
        "{ field: rfm.recency, gte: 6 }",
        "6",
        "`rfm.recency` is compared with a score from 1 to 5 (5 is best), found `6`",
    );
    check(
        "{ field: alive_probability, lt: 50 }",
        "50",
        "`alive_probability` is compared with a probability from 0 to 1, such as 0.5, found `50`",
    );
    check(
        "{ field: alive_probability, lt: 50% }",
        "50%",
        "`alive_probability` is compared with a probability from 0 to 1, such as 0.5, found `50%`",
    );
    check(
        "{ field: expected_revenue, gt: much }",
        "much",
        "`expected_revenue` is compared with a number, found `much`",
    );
    check(
        "{ field: expected_revenues, gt: 100 }",
        "expected",
        "unknown field `expected_revenues`; did you mean `expected_revenue`?",
    );
    check(
        "{ reachable: mail }",
        "mail",
        "`mail` is not known here; did you mean `email`? Valid here: `email`, `sms`, `any`",
    );
    check("{ received: { within: 3d } }", "{ within", "`campaign` is missing");
    check(
        "{ reachable: any, segment: vip }",
        "{ reach",
        "only one of `reachable` and `segment` can stand here; put them into one `all` or `any`",
    );
}

#[test]
fn segments_are_filled_in_and_circles_are_named() {
    let compile = |files: &[(&str, &str)], audience: &str| {
        let read = files.iter().map(|(name, text)| {
            let file = format!("{name}.yaml");
            let filter = Audience::parse_segment(&file, text, brand().timezone).unwrap();
            ((*name).to_owned(), (file, filter))
        });
        let mut problems = Vec::new();
        let segments = Segments::new(read.collect(), &mut problems);
        let mut audience = self::read(audience);
        segments.fill(&mut audience, "campaign.yaml", &mut problems);
        (audience, problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let gold = ("gold", "audience: { field: tier, eq: gold }");
    let near = ("near", "audience: { all: [{ segment: gold }, { reachable: any }] }");
    let (audience, problems) = compile(&[near, gold], "{ not: { segment: near } }");
    assert_eq!(problems, [""; 0]);
    assert!(audience.uses().suppressions);
    let (member, brand) = (member(), brand());
    let view = View { member: &member, brand: &brand, at: utc("2024-05-20T12:00:00Z"), known: Known::default() };
    assert_eq!(audience.verdict(&view), Some(false));
    let terms: Vec<String> = audience
        .terms(&view)
        .into_iter()
        .map(|term| format!("{}{} {:?} {:?}", " ".repeat(term.depth), term.text, term.holds.unwrap(), term.value))
        .collect();
    assert_eq!(
        terms,
        [
            "not false None",
            " segment near true None",
            "  all of true None",
            "   segment gold true None",
            "    tier = gold true Some(\"gold\")",
            "   reachable true None",
        ]
    );
    let (_, problems) = compile(&[near, gold], "{ segment: golf }");
    assert_eq!(
        problems,
        ["campaign.yaml:1:22: there is no segment `golf`; did you mean `gold`? Valid here: `gold`, `near`"]
    );
    let circle = [("a", "audience: { segment: b }"), ("b", "audience: { any: [{ segment: a }] }")];
    let (_, problems) = compile(&circle, "{ segment: a }");
    assert_eq!(problems, ["b.yaml:1:30: segments go in a circle: `a` → `b` → `a`; take one out"]);
}
