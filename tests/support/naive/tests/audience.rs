//! Audiences.

use super::*;

#[test]
fn the_audience_compares_fields_of_the_member() {
    let members = "a,,2023-01-01T00:00:00Z,,,gold,10,a@x,true,,\nb,,2024-01-01T00:00:00Z,,,,,b@x,true,,\n";
    let shop = shop(members, "");
    let who = |audience: &str| {
        let broadcast = "{ kind: broadcast, at: 2024-12-20T10:00 }";
        let one = campaign(broadcast, &format!("audience: {audience}"));
        let lines = sent(&shop, [one]);
        lines.iter().map(|line| &line[..1]).collect::<String>()
    };
    assert_eq!(who("{ field: tier, in: [silver, gold] }"), "a");
    assert_eq!(who("{ field: tier, ne: gold }"), "b");
    assert_eq!(who("{ field: tier, not_in: [silver] }"), "ab");
    assert_eq!(who("{ not: { field: points, gte: 9 } }"), "b");
    assert_eq!(who("{ any: [{ field: points, lt: 9 }, { field: points, exists: false }] }"), "b");
    assert_eq!(who("{ all: [{ field: joined_at, lt: 2024-01-01 }, { field: email_consent, eq: true }] }"), "a");
}

/// Who gets a letter on 20 December 2024, of members whose orders are given.
fn who_of(members: &str, orders: &str, audience: &str) -> String {
    let one = campaign("{ kind: broadcast, at: 2024-12-20T10:00 }", &format!("audience: {audience}"));
    let mut world = world(&shop(members, orders), [one]);
    let segments =
        [("rich", "audience: { field: purchase_sum, gte: 100 }"), ("poor", "audience: { not: { segment: rich } }")];
    world = world.with_segments(segments);
    lines(&world).iter().map(|line| &line[..1]).collect()
}

#[test]
fn aggregates_are_of_the_orders_until_then() {
    let members = ["a", "b", "c"].map(|id| member(id, "", "2024-01-01T00:00:00Z", "", "")).concat();
    let orders = order("1", "a", "2024-10-01T10:00:00Z", "60.50")
        + &order("2", "a", "2024-12-10T10:00:00Z", "40")
        + &order("3", "a", "2024-12-20T10:00:01Z", "1000")
        + "4,b,2024-12-13T10:00:00Z,500,EUR\n5,b,2024-12-13T10:00:01Z,10,USD\n6,b,2024-12-14T10:00:00Z,90,USD,refunded\n";
    for (audience, wanted) in [
        ("{ field: purchase_count, eq: 2 }", "ab"),
        ("{ field: purchase_count, eq: 0 }", "c"),
        ("{ field: purchase_count, within: 7d, gte: 1 }", "b"),
        ("{ field: purchase_count, within: 7d, gte: 2 }", ""),
        ("{ field: purchase_count, since: 2024-10-01, until: 2024-12-10T10:00:00Z, eq: 1 }", "a"),
        ("{ field: purchase_count, since: 1403-09-20, gte: 1 }", "ab"),
        ("{ field: purchase_sum, gte: 100.5 }", "a"),
        ("{ field: purchase_sum, gt: 100.5 }", ""),
        ("{ field: purchase_sum, lt: 10.01 }", "bc"),
        ("{ field: purchase_average, eq: 50.25 }", "a"),
        ("{ field: purchase_average, lte: 10 }", "b"),
        ("{ field: purchase_average, exists: false }", "c"),
        ("{ field: purchase_average, since: 2024-12-13, until: 2024-12-13T10:00:01Z, exists: true }", ""),
        ("{ field: first_purchase_at, lt: 2024-12-01 }", "a"),
        ("{ field: first_purchase_at, within: 20d, gte: 2024-12-10T10:00:00Z }", "ab"),
        ("{ field: last_purchase_at, older_than: 240h }", "a"),
        ("{ field: last_purchase_at, newer_than: 240h }", "b"),
        ("{ field: last_purchase_at, exists: false }", "c"),
        ("{ field: joined_at, newer_than: 400d }", "abc"),
        ("{ segment: rich }", "a"),
        ("{ segment: poor }", "bc"),
    ] {
        assert_eq!(who_of(&members, &orders, audience), wanted, "{audience}");
    }
}

#[test]
fn whoever_can_be_written_to_is_reachable() {
    let members = "a,,,,,,,a@x.y,true,,\nb,,,,,,,b@x.y,,+12025550100,true\nc,,,,,,,,true,+12025550100,\n";
    let who = |audience: &str| {
        let more = format!("purpose: service\naudience: {audience}");
        let letter = campaign("{ kind: broadcast, at: 2024-12-20T10:00 }", &more);
        let lines = sent(&shop(members, ""), [letter]);
        lines.iter().map(|line| &line[..1]).collect::<String>()
    };
    assert_eq!(who("{ reachable: email }"), "a");
    assert_eq!(who("{ reachable: sms }"), "b");
    assert_eq!(who("{ reachable: any }"), "ab");
    assert_eq!(who("{ not: { reachable: any } }"), "c");
}

#[test]
fn what_was_received_is_asked_when_a_message_goes() {
    let shop = shop(&member("a", "", "", "", ""), "");
    let letter = |name: &str, at: &str, audience: &str| {
        named(name, &format!("{{ kind: broadcast, at: {at} }}"), &format!("audience: {audience}"))
    };
    let got = |audience: &str, at: &str| {
        let first = letter("first", "2024-12-01T10:00", "{ all: [] }");
        sent(&shop, [first, letter("second", at, audience)]).len() == 2
    };
    assert!(got("{ received: { campaign: first } }", "2024-12-20T10:00"));
    assert!(got("{ received: { campaign: first, within: 2d } }", "2024-12-03T09:59"));
    assert!(!got("{ received: { campaign: first, within: 2d } }", "2024-12-03T10:00"));
    assert!(!got("{ not: { received: { campaign: first } } }", "2024-12-03T10:00"));
    assert!(!got("{ received: { campaign: first } }", "2024-11-03T10:00"));
    // At one instant the campaign whose name comes first is the first one.
    assert!(got("{ received: { campaign: first } }", "2024-12-01T10:00"));
}

#[test]
fn dates_have_an_age_and_an_order() {
    let members = "a,1990-05-01,,,,,,a@x.y,true,,,1403/09/20\nb,--05-01,,,,,,b@x.y,true,,,soon\n";
    for (audience, wanted) in [
        ("{ field: birth_date, older_than: 365d }", "a"),
        ("{ field: birth_date, newer_than: 365d }", ""),
        // 10 December; ten days before the letter.
        ("{ field: attributes.renewal, older_than: 10d }", "a"),
        ("{ field: attributes.renewal, newer_than: 10d }", ""),
        ("{ field: attributes.renewal, newer_than: 11d }", "a"),
        ("{ field: attributes.renewal, lt: 2024-12-11 }", "a"),
        ("{ field: attributes.renewal, gte: 1403-09-21 }", ""),
        ("{ field: attributes.renewal, eq: soon }", "b"),
    ] {
        assert_eq!(who_of(members, "", audience), wanted, "{audience}");
    }
}

#[test]
#[should_panic(expected = "no segment")]
fn an_unknown_segment_is_refused() {
    who_of("", "", "{ segment: lost }");
}
