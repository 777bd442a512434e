//! Which occasions each trigger finds.

use super::*;
use crate::support::naive::Model;
use crate::support::naive::brand::DaysOfYear;
use crate::support::naive::triggers::weeks_until;

#[test]
fn welcome_follows_joining_and_starts_at_bounds_the_first_step() {
    let members = member("a", "", "2023-05-01T10:00:00Z", "", "")
        + &member("b", "", "2023-05-03T10:00:00Z", "", "")
        + &member("c", "", "", "", "");
    let shop = shop(&members, "");
    let steps = "steps: [{ id: again, after: 2d, content: x }]";
    let bounded = format!("starts_at: 2023-05-02T10:00:00Z\nends_at: 2023-05-04T10:00:00Z\n{steps}");
    let all = campaign("{ kind: welcome, delay: 1d }", &bounded);
    assert_eq!(sent(&shop, [all]), ["a main 2023-05-02T10:00", "a again 2023-05-04T10:00"]);
    let timed = campaign("{ kind: welcome }", "schedule: { send_at: \"09:00\" }");
    assert_eq!(sent(&shop, [timed]), ["a main 2023-05-02T09:00", "b main 2023-05-04T09:00"]);
    let later = campaign("{ kind: welcome }", steps);
    let (from, to) = (instant("2023-05-03T00:00:00Z"), instant("2023-05-05T00:00:00Z"));
    let window = evaluate(&world(&shop, [later]), &[Pass::Between(from, to)]);
    let window: Vec<_> = window.iter().map(|m| format!("{} {}", m.member, m.step)).collect();
    assert_eq!(window, ["a again", "b main"]);
}

#[test]
fn birthdays_recur_in_the_calendar_of_the_member() {
    let members = member("a", "2000-02-29", "", "", "gregorian")
        + &member("b", "2021-03-20", "", "Asia/Tehran", "persian") // 30 Esfand 1399
        + &member("c", "--01-01", "", "Asia/Tehran", "persian")
        + &member("d", "1403/01/01", "", "", "gregorian");
    let shop = shop(&members, "");
    let before = campaign("{ kind: birthday }", "");
    let expected = [
        "a main 2023-02-28T00:00",
        "b main 2023-03-19T20:30",
        "c main 2023-03-20T20:30",
        "a main 2024-02-29T00:00",
        "b main 2024-03-18T20:30",
        "c main 2024-03-19T20:30",
        "a main 2025-02-28T00:00",
        "b main 2025-03-19T20:30",
        "d main 2025-03-20T00:00",
        "c main 2025-03-20T20:30",
    ];
    assert_eq!(sent(&shop, [before]), expected);
    let after = campaign("{ kind: birthday, leap_day: after, days_before: 1 }", "");
    let of_a = sent(&shop, [after]).into_iter().filter(|line| line.starts_with('a'));
    let expected = ["a main 2023-02-28T00:00", "a main 2024-02-28T00:00", "a main 2025-02-28T00:00"];
    assert!(of_a.eq(expected));
}

#[test]
fn anniversaries_return_on_the_local_date_of_joining() {
    let members = member("a", "", "2022-06-01T23:30:00Z", "Europe/Berlin", "gregorian")
        + &member("b", "", "2024-02-29T12:00:00Z", "", "");
    let shop = shop(&members, "");
    let all = campaign("{ kind: anniversary, leap_day: after }", "");
    let expected =
        ["a main 2023-06-01T22:00", "a main 2024-06-01T22:00", "b main 2025-03-01T00:00", "a main 2025-06-01T22:00"];
    assert_eq!(sent(&shop, [all]), expected);
    let some = campaign("{ kind: anniversary, years: [2, 5] }", "");
    assert_eq!(sent(&shop, [some]), ["a main 2024-06-01T22:00"]);
}

const PURCHASES: &str = "\
    1,a,2023-01-01T10:00:00Z,10,USD,cancelled\n\
    3,a,2023-01-02T10:00:00Z,20,USD,paid\n\
    2,a,2023-01-02T10:00:00Z,30.5,USD,\n\
    4,a,2023-01-09T10:00:00Z,99,EUR,paid\n\
    5,b,2023-02-01T10:00:00Z,5,USD,paid\n\
    5,b,2023-02-02T10:00:00Z,5,USD,paid\n";

pub fn buyers() -> Shop {
    let joined = "2023-01-01T00:00:00Z";
    let members = ["a", "b", "c"].map(|id| member(id, "", joined, "", "")).concat();
    shop(&members, PURCHASES)
}

#[test]
fn post_purchase_chooses_the_order_and_then_looks_at_its_amount() {
    let due = |trigger: &str| sent(&buyers(), [campaign(trigger, "")]);
    let first_of_a = "a main 2023-01-02T10:00";
    let of_b = "b main 2023-02-02T10:00";
    let every = [first_of_a, first_of_a, "a main 2023-01-09T10:00", of_b];
    assert_eq!(due("{ kind: post_purchase }"), every);
    assert_eq!(due("{ kind: post_purchase, orders: first }"), [first_of_a, of_b]);
    assert_eq!(due("{ kind: post_purchase, orders: { nth: 2 } }"), [first_of_a]);
    assert_eq!(due("{ kind: post_purchase, orders: first, min_amount: 30.5 }"), [first_of_a]);
    assert!(due("{ kind: post_purchase, orders: { nth: 2 }, min_amount: 30 }").is_empty());
    assert!(due("{ kind: post_purchase, orders: { nth: 3 }, min_amount: 1 }").is_empty());
}

#[test]
fn at_risk_counts_from_the_last_purchase() {
    let due = |trigger: &str, more: &str| sent(&buyers(), [campaign(trigger, more)]);
    let of_b = "b main 2023-02-08T10:00";
    let lapses = ["a main 2023-01-08T10:00", "a main 2023-01-15T10:00", of_b];
    assert_eq!(due("{ kind: at_risk, after: 6d }", ""), lapses);
    let weekly = ["a main 2023-01-16T10:00", "b main 2023-02-09T10:00"];
    assert_eq!(due("{ kind: at_risk, after: 7d }", ""), weekly);
    let noon = due("{ kind: at_risk, after: 6d, delay: 1d }", "");
    assert_eq!(noon, weekly);
    let steps = "steps: [{ id: s, after: 12h, content: x }, { id: t, after: 12h, content: x }]";
    let of_a = due("{ kind: at_risk, after: 6d }", steps);
    let of_a: Vec<_> = of_a.iter().filter(|line| line.starts_with('a')).collect();
    assert_eq!(of_a[..2], ["a main 2023-01-08T10:00", "a s 2023-01-08T22:00"]);
    assert_eq!(of_a.len(), 5);
    let never = due("{ kind: at_risk, after: 10d, never_bought: true }", "");
    assert_eq!(never, ["b main 2023-01-11T00:00", "c main 2023-01-11T00:00"]);
    let late = due("{ kind: at_risk, after: 10d, delay: 30d, never_bought: true }", "");
    assert_eq!(late, ["c main 2023-02-10T00:00"]);
}

#[test]
fn broadcasts_go_out_at_an_instant_or_at_a_local_time() {
    let members = member("a", "", "", "", "") + &member("b", "", "", "Asia/Kolkata", "");
    let shop = shop(&members, "");
    let local = campaign("{ kind: broadcast, at: 2024-12-20T10:00 }", "");
    let expected = ["b main 2024-12-20T04:30", "a main 2024-12-20T10:00"];
    assert_eq!(sent(&shop, [local]), expected);
    let on_a_day = campaign("{ kind: broadcast, at: 2024-12-20 }", "");
    assert_eq!(sent(&shop, [on_a_day]), ["a main 2024-12-20T00:00", "b main 2024-12-20T00:00"]);
    let instant = campaign("{ kind: broadcast, at: \"2024-12-20 10:00:00+01:00\" }", "");
    let expected = ["a main 2024-12-20T09:00", "b main 2024-12-20T09:00"];
    assert_eq!(sent(&shop, [instant]), expected);
    let paused = "name: c\nstatus: paused\nchannels: [email]\ncontent: c\n\
                  trigger: { kind: broadcast, at: 2024-12-20T10:00 }\n";
    assert!(sent(&shop, [Campaign::from_yaml(paused)]).is_empty());
}

#[test]
#[should_panic(expected = "unknown")]
fn an_unknown_key_of_a_trigger_is_refused() {
    campaign("{ kind: welcome, after: 3d }", "");
}

#[test]
fn anniversaries_count_from_the_first_purchase_or_an_attribute() {
    let members = "a,,2020-01-01T00:00:00Z,Asia/Tehran,gregorian,,,a@x.y,true,,,1402/12/29\n\
                   b,,,,persian,,,b@x.y,true,,,soon\n\
                   c,,,,gregorian,,,c@x.y,true,,,2020-02-29\n";
    let purchases = order("2", "a", "2024-06-01T21:00:00Z", "5") + &order("1", "a", "2022-05-31T21:00:00Z", "5");
    let shop = shop(members, &purchases);
    // 21:00 UTC is past midnight in Tehran.
    let first = campaign("{ kind: anniversary, of: first_purchase }", "");
    let expected = ["a main 2023-05-31T20:30", "a main 2024-05-31T20:30", "a main 2025-05-31T20:30"];
    assert_eq!(sent(&shop, [first]), expected);
    // 29 Esfand 1402 was 19 March 2024.
    let renewal = campaign("{ kind: anniversary, of: attributes.renewal, leap_day: after }", "");
    let expected =
        ["c main 2023-03-01T00:00", "c main 2024-02-29T00:00", "c main 2025-03-01T00:00", "a main 2025-03-18T20:30"];
    assert_eq!(sent(&shop, [renewal]), expected);
}

#[test]
fn a_date_comes_once_or_every_year() {
    let members = "a,,,,gregorian,,,a@x.y,true,,,2024-02-29\n\
                   b,,,,persian,,,b@x.y,true,,,1403/12/30\n\
                   c,,,,persian,,,c@x.y,true,,,\n\
                   d,,,,gregorian,,,d@x.y,true,,,soon\n";
    let shop = shop(members, "");
    let due = |more: &str| sent(&shop, [campaign(&format!("{{ kind: date, field: attributes.renewal{more} }}"), "")]);
    assert_eq!(due(""), ["a main 2024-02-29T00:00", "b main 2025-03-20T00:00"]);
    assert_eq!(due(", days_before: 29"), ["a main 2024-01-31T00:00", "b main 2025-02-19T00:00"]);
    let yearly = ["a main 2024-02-29T00:00", "a main 2025-02-28T00:00", "b main 2025-03-20T00:00"];
    assert_eq!(due(", every: year"), yearly);
    let after = ["a main 2024-02-28T00:00", "a main 2025-02-28T00:00", "b main 2025-03-19T00:00"];
    assert_eq!(due(", every: year, leap_day: after, days_before: 1"), after);
}

#[test]
fn an_occasion_comes_to_everybody_on_their_own_clock() {
    let shop = shop(&(member("a", "", "", "Asia/Tehran", "") + &member("b", "", "", "", "gregorian")), "");
    let file = "occasions:\n  - { name: nowruz, every_year: { calendar: persian, date: \"01-01\" } }\n\
                \x20 - { name: leap, every_year: { calendar: gregorian, date: \"02-29\", leap_day: after } }\n";
    let due = |trigger: &str, more: &str| {
        let mut world = world(&shop, [campaign(trigger, &format!("{more}\nends_at: 2025-01-01"))]);
        world.occasions = DaysOfYear::from_yaml([file]);
        lines(&world)
    };
    let three_days = "{ kind: occasion, occasion: nowruz, days_before: 3 }";
    let expected =
        ["a main 2023-03-17T20:30", "b main 2023-03-18T00:00", "a main 2024-03-16T20:30", "b main 2024-03-17T00:00"];
    assert_eq!(due(three_days, ""), expected);
    assert_eq!(
        due(three_days, "audience: { field: external_id, eq: b }"),
        ["b main 2023-03-18T00:00", "b main 2024-03-17T00:00"]
    );
    let only_b = "audience: { field: external_id, eq: b }";
    let leap = |more: &str| due(&format!("{{ kind: occasion, occasion: leap{more} }}"), only_b);
    assert_eq!(leap(""), ["b main 2023-03-01T00:00", "b main 2024-02-29T00:00"]);
    assert_eq!(leap(", leap_day: before"), ["b main 2023-02-28T00:00", "b main 2024-02-29T00:00"]);
}

#[test]
fn post_purchase_looks_at_delivery_and_items() {
    let purchases = "1,a,2023-01-02T10:00:00Z,20,,,2023-01-05T08:00:00Z,Tea/T-1; A-1 x2\n\
                     2,a,2023-01-03T10:00:00Z,20,,,,cups/C 7 x10;t-1\n\
                     3,a,2023-01-04T10:00:00Z,20,,,2023-01-04T10:00:00Z,A-1x2\n";
    let shop = shop(&member("a", "", "", "", ""), purchases);
    let due = |more: &str| -> Vec<String> {
        let all = sent(&shop, [campaign(&format!("{{ kind: post_purchase, {more} }}"), "")]);
        all.into_iter().map(|line| line.replace("a main 2023-01-", "")).collect()
    };
    assert_eq!(due("from: delivered_at, delay: 1h"), ["04T11:00", "05T09:00"]);
    assert_eq!(due("from: delivered_at, orders: first"), ["05T08:00"]);
    assert!(due("from: delivered_at, orders: { nth: 2 }").is_empty());
    assert_eq!(due("items: [a-1, x]"), ["02T10:00"]);
    assert_eq!(due("items: [\"C 7\", a-1x2]"), ["03T10:00", "04T10:00"]);
    assert_eq!(due("categories: [TEA]"), ["02T10:00"]);
    assert_eq!(due("categories: [tea, cups], items: [t-1]"), ["02T10:00", "03T10:00"]);
    assert!(due("orders: first, items: [c 7]").is_empty());
}

#[test]
fn orders_that_follow_one_another_closely_are_one_occasion() {
    let at = ["02T10:00", "03T09:00", "04T08:59", "05T08:59", "05T09:00"];
    let amounts = ["1", "50", "50", "60", "60"];
    let rows = at.iter().zip(amounts).enumerate();
    let rows: Vec<String> =
        rows.map(|(n, (at, amount))| order(&n.to_string(), "a", &format!("2023-01-{at}:00Z"), amount)).collect();
    let shop = shop(&member("a", "", "", "", ""), &rows.concat());
    let due = |trigger: &str| sent(&shop, [campaign(trigger, "collapse: 1d")]);
    // The fourth is exactly a day after the third.
    assert_eq!(due("{ kind: post_purchase }"), ["a main 2023-01-02T10:00", "a main 2023-01-05T08:59"]);
    assert_eq!(due("{ kind: post_purchase, min_amount: 50 }"), ["a main 2023-01-05T08:59"]);
}

#[test]
fn a_rhythm_is_the_median_gap_between_visits() {
    // Visits on 1, 11 and 13 January and 12 February: gaps of 10, 2 and 30 days.
    let visits = ["2023-01-01T10:00", "2023-01-01T22:00", "2023-01-11T10:00", "2023-01-13T10:00", "2023-02-12T10:00"];
    let rows: Vec<String> =
        visits.iter().enumerate().map(|(n, at)| order(&n.to_string(), "a", &format!("{at}:00Z"), "1")).collect();
    let shop = shop(&member("a", "", "", "", ""), &rows.concat());
    let due = |rest: &str| -> Vec<String> {
        let all = sent(&shop, [campaign(&format!("{{ kind: at_risk, {rest} }}"), "")]);
        all.into_iter().map(|line| line.replace("a main ", "")).collect()
    };
    // After the third visit the gaps are 10 and 2, after the fourth 10, 2 and 30.
    let times = "rhythm: { times: 1.5, floor: 1d, ceiling: 365d }";
    assert_eq!(due(times), ["2023-01-22T10:00", "2023-02-27T10:00"]);
    // The first two visits have no rhythm yet. The order at 22:00 is of the same visit as the first.
    let with_fallback = ["2023-01-09T22:00", "2023-01-22T10:00", "2023-02-27T10:00"];
    assert_eq!(due(&format!("{times}, fallback: 8d")), with_fallback);
    assert_eq!(due("rhythm: { times: 1.5 }"), ["2023-01-27T10:00", "2023-02-27T10:00"]);
    assert_eq!(due("rhythm: { times: 1.5, floor: 1d, ceiling: 12d }"), ["2023-01-22T10:00", "2023-02-24T10:00"]);
}

#[test]
fn the_probability_of_being_a_customer_falls_with_time() {
    // The parameters that Fader, Hardie and Lee print for the CDNOW sample.
    let model = Model { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };
    let alive = |x: f64, tx: f64, t: f64| {
        let Model { r, alpha, a, b } = model;
        1.0 / (1.0 + a / (b + x - 1.0) * ((alpha + t) / (alpha + tx)).powf(r + x))
    };
    for (x, tx, below) in [(1.0, 10.0, 0.5), (2.0, 30.43, 0.3), (7.0, 29.43, 0.7)] {
        let weeks = weeks_until(model, below, x, tx);
        assert!((alive(x, tx, tx + weeks) - below).abs() < 1e-9, "{x} {tx} {below}");
    }
    // One repeat visit after a week, even odds: (4.414 + 1) * ((2.426 / 0.793)^(1/1.243) - 1) weeks.
    let weeks = weeks_until(model, 0.5, 1.0, 1.0);
    assert!((weeks - 7.8967).abs() < 1e-3, "{weeks}");

    let orders = order("1", "a", "2023-01-01T10:00:00Z", "1") + &order("2", "a", "2023-01-08T20:00:00Z", "1");
    let shop = shop(&member("a", "", "", "", ""), &orders);
    let due = |rest: &str, model: Option<Model>| {
        lines(&World { model, ..world(&shop, [campaign(&format!("{{ kind: at_risk, {rest} }}"), "")]) })
    };
    let half = "probability: { below: 0.5 }";
    // 7.8967 weeks are 55 days and six hours and a half.
    assert_eq!(due(half, Some(model)), ["a main 2023-03-05T02:38"]);
    assert_eq!(due("probability: { below: 0.5, ceiling: 30d }", Some(model)), ["a main 2023-02-07T20:00"]);
    assert_eq!(due("probability: { below: 0.99 }", Some(model)), ["a main 2023-01-09T20:00"]);
    assert!(due(half, None).is_empty());
    assert_eq!(
        due("probability: { below: 0.5 }, fallback: 5d", None),
        ["a main 2023-01-06T10:00", "a main 2023-01-13T20:00"]
    );
    assert_eq!(due("probability: { below: 0.5 }, fallback: 5d", Some(model))[0], "a main 2023-01-06T10:00");
}

#[test]
fn a_spread_is_everyones_own() {
    let shop = shop(&["a", "b", "c", "d"].map(|id| member(id, "", "", "", "")).concat(), "");
    let trigger = "{ kind: broadcast, at: 2024-12-20T10:00 }";
    let steps = "steps: [{ id: s, after: 1d, content: x }]";
    let due = sent(&shop, [campaign(trigger, &format!("spread: 4h\n{steps}"))]);
    // Four hours times the first eight bytes of SHA-256("spread\0c\0a"), and so on.
    let firsts: Vec<&String> = due.iter().filter(|line| line.contains("main")).collect();
    assert_eq!(
        firsts,
        ["d main 2024-12-20T11:37", "c main 2024-12-20T12:28", "a main 2024-12-20T12:40", "b main 2024-12-20T13:34"]
    );
    let second = |line: &String| line.replace("main", "s").replace("-20T", "-21T");
    let mains: Vec<String> = due.iter().filter(|line| line.contains("main")).map(second).collect();
    assert_eq!(due.iter().filter(|line| line.contains(" s ")).cloned().collect::<Vec<_>>(), mains);
}

#[test]
fn a_backfill_takes_the_latest_first() {
    let joined = ["2023-05-01", "2023-05-03", "2023-05-02", "2023-05-03", "2022-01-01", "2023-05-20"];
    let members = ["a", "b", "c", "d", "e", "f"].into_iter().zip(joined);
    let members: String = members.map(|(id, joined)| member(id, "", &format!("{joined}T12:00:00Z"), "", "")).collect();
    let starts = "starts_at: 2023-05-10T00:00:00Z";
    // That c bought since then is no reason: a purchase ends a lapse only.
    let shop = shop(&members, &order("1", "c", "2023-05-04T00:00:00Z", "1"));
    let due = |more: &str| sent(&shop, [campaign("{ kind: welcome }", &format!("{starts}\n{more}"))]);
    let of_f = "f main 2023-05-20T12:00";
    assert_eq!(due(""), [of_f]);
    let backfill = "backfill: { up_to: 100d, per_day: 2 }";
    let expected = [
        "b main 2023-05-10T00:00",
        "d main 2023-05-10T00:00",
        "a main 2023-05-11T00:00",
        "c main 2023-05-11T00:00",
        of_f,
    ];
    assert_eq!(due(backfill), expected);
    let timed = due(&format!("{backfill}\nschedule: {{ send_at: \"09:00\" }}"));
    assert_eq!(timed[..3], ["b main 2023-05-10T09:00", "d main 2023-05-10T09:00", "a main 2023-05-11T09:00"]);
}

#[test]
fn a_backfilled_lapse_is_one_that_still_holds() {
    let orders = order("1", "a", "2023-01-01T00:00:00Z", "1")
        + &order("2", "a", "2023-03-01T00:00:00Z", "1")
        + &order("3", "b", "2023-01-01T00:00:00Z", "1")
        + &order("4", "b", "2023-05-01T00:00:00Z", "1");
    let members = ["a", "b"].map(|id| member(id, "", "", "", "")).concat();
    let risk =
        campaign("{ kind: at_risk, after: 30d }", "starts_at: 2023-05-10\nbackfill: { up_to: 365d, per_day: 1 }");
    assert_eq!(sent(&shop(&members, &orders), [risk]), ["a main 2023-05-10T00:00", "b main 2023-05-31T00:00"]);
}
