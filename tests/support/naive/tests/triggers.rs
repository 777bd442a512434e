//! Which occasions each trigger finds.

use super::*;

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
