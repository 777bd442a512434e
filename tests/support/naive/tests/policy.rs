//! What policy says, and in which order.

use super::triggers::buyers;
use super::*;

#[test]
fn a_purchase_ends_the_later_steps() {
    let steps = "steps: [{ id: s, after: 7d, unless: [goal], content: x }]";
    let first = campaign("{ kind: post_purchase, orders: first }", steps);
    let expected = ["a main 2023-01-02T10:00", "b main 2023-02-02T10:00", "b s 2023-02-09T10:00"];
    assert_eq!(sent(&buyers(), [first]), expected);
}

#[test]
fn the_channel_needs_an_address_and_for_marketing_consent() {
    let members = "a,,,,,,,a@x,true,+12025550100,true\nb,,,,,,,b@x,,+12025550100,true\n\
                   c,,,,,,,c@x,,,true\n";
    let shop = shop(members, "");
    let who = |more: &str| {
        let one = campaign("{ kind: broadcast, at: 2024-12-20T10:00 }", more);
        let all = fates(&world(&shop, [one]), &[years()]).join(", ");
        all.replace(" c main", "").replace(" 2024-12-20T10:00", "")
    };
    assert_eq!(who("reach: first"), "a email, b sms, c no_consent");
    assert_eq!(who("reach: all"), "a email, a sms, b no_consent, b same_address, c no_address, c no_consent");
    assert_eq!(who("purpose: service"), "a email, b email, c email");
    assert_eq!(who("purpose: service\nexperiment: { holdout: 100% }"), "a held_out, b held_out, c held_out");
}

#[test]
fn the_cap_keeps_the_more_important_message() {
    let shop = shop(&member("a", "", "", "", ""), "");
    let capped = || brand("frequency_cap: { messages: 1, per: 7d }");
    let broadcast = |name: &str, at: &str, limits: &str| {
        Campaign::from_yaml(&format!(
            "name: {name}\nstatus: live\nchannels: [email]\ncontent: c\nlimits: {limits}\n\
             trigger: {{ kind: broadcast, at: {at} }}\n\
             steps: [{{ id: of-{name}, after: 7d, content: c }}]\n"
        ))
    };
    let low = || broadcast("low", "2024-01-01T10:00", "{}");
    let high = broadcast("high", "2024-01-01T10:00", "{ priority: 1 }");
    let expected = ["a main 2024-01-01T10:00", "a of-high 2024-01-08T10:00"];
    assert_eq!(sent_by(capped(), &shop, [low(), high]), expected);
    let exempt = broadcast("free", "2024-01-01T09:00", "{ frequency_cap: exempt }");
    assert_eq!(sent_by(capped(), &shop, [low(), exempt]).len(), 4);
}

#[test]
fn quiet_hours_move_marketing_only() {
    let shop = shop(&member("a", "", "", "", ""), "");
    let quiet = || brand("quiet_hours: \"21:00-08:00\"");
    let night = "{ kind: broadcast, at: 2024-01-01T23:00 }";
    let marketing = campaign(night, "");
    let expected = ["a main 2024-01-01T23:00 -> 2024-01-02T08:00"];
    assert_eq!(sent_by(quiet(), &shop, [marketing]), expected);
    let service = campaign(night, "purpose: service");
    assert_eq!(sent_by(quiet(), &shop, [service]), ["a main 2024-01-01T23:00"]);
}

#[test]
fn a_yearly_greeting_is_not_repeated_within_half_a_year() {
    let shop = shop(&member("a", "1990-03-01", "", "", "gregorian"), "");
    let steps = "steps: [{ id: s, after: 200d, content: x }]";
    let expected = ["a main 2023-03-01T00:00", "a s 2023-09-17T00:00", "a s 2024-09-17T00:00"];
    let lines = sent(&shop, [campaign("{ kind: birthday }", steps)]);
    assert_eq!(lines[..2], expected[..2]);
    assert_eq!(lines[2], expected[2]);
}

#[test]
fn the_audience_is_asked_when_it_falls_due_and_when_it_goes() {
    let members = ["a", "b"].map(|id| member(id, "", "2024-01-01T22:00:00Z", "", "")).concat();
    let orders = order("1", "b", "2024-01-02T03:00:00Z", "1");
    let quiet = || brand("quiet_hours: \"21:00-08:00\"");
    let who = |audience: &str| {
        let steps = "steps: [{ id: s, after: 2d, content: x }]";
        let welcome = campaign("{ kind: welcome }", &format!("audience: {audience}\n{steps}"));
        fates(&World { brand: quiet(), ..world(&shop(&members, &orders), [welcome]) }, &[years()])
    };
    let outside = |id: &str| [format!("{id} c main outside_audience"), format!("{id} c s outside_audience")];
    let [a_main, a_second] =
        ["a c main email 2024-01-02T08:00".to_string(), "a c s email 2024-01-04T08:00".to_string()];
    // What b buys at night brings b out of this audience, and too late into that one.
    let [b_main, b_second] = outside("b");
    assert_eq!(who("{ field: purchase_count, eq: 0 }"), [a_main, b_main.clone(), a_second, b_second.clone()]);
    let [a_main, a_second] = outside("a");
    assert_eq!(who("{ field: purchase_count, gte: 1 }"), [a_main, b_main, a_second, b_second]);
}

#[test]
fn a_broadcast_leaves_no_trace_of_who_was_outside() {
    let shop = shop(&member("a", "", "", "", ""), &order("1", "a", "2024-01-02T03:00:00Z", "1"));
    let letter = |audience: &str| {
        let more = format!("audience: {audience}\nsteps: [{{ id: s, after: 2d, content: x }}]");
        fates(&world(&shop, [campaign("{ kind: broadcast, at: 2024-01-01 }", &more)]), &[years()])
    };
    assert!(letter("{ field: purchase_count, gte: 1 }").is_empty());
    assert_eq!(letter("{ field: purchase_count, eq: 0 }"), ["a c main email 2024-01-01T00:00"]);
}

#[test]
fn on_a_rest_day_marketing_waits_or_is_skipped() {
    let shop = shop(&member("a", "", "", "", ""), "");
    // A Saturday.
    let fate = |rest: &str, more: &str| {
        let brand = brand(&format!("quiet_hours: \"21:00-08:00\", rest: {{ weekends: {rest} }}"));
        let letter = campaign("{ kind: broadcast, at: 2024-01-06T10:00 }", more);
        fates(&World { brand, ..world(&shop, [letter]) }, &[years()])[0].replace("a c main ", "")
    };
    assert_eq!(fate("send", ""), "email 2024-01-06T10:00");
    assert_eq!(fate("defer", ""), "email 2024-01-08T08:00");
    assert_eq!(fate("skip", ""), "rest_day");
    assert_eq!(fate("skip", "purpose: service"), "email 2024-01-06T10:00");
    assert_eq!(fate("skip", "experiment: { holdout: 100% }"), "held_out");
    // Due in Friday's night, it could only go on the Saturday.
    let brand = brand("quiet_hours: \"21:00-08:00\", rest: { weekends: skip }");
    let letter = campaign("{ kind: broadcast, at: 2024-01-05T22:00 }", "");
    assert_eq!(fates(&World { brand, ..world(&shop, [letter]) }, &[years()]), ["a c main rest_day"]);
}

#[test]
fn an_address_has_its_share_whoever_lives_there() {
    let members = "a,,J,,,,,Home@x.y,true,+98 912,true\nb,,J,,,,,home@X.y,true,,\nc,,J,,,,,c@x.y,true,,\n";
    let members = members.replace('J', "2024-01-05T09:00:00Z");
    let letters = |cap: usize| {
        let delays = ["first", "second", "third"].into_iter().zip(["1h", "2h", "3h"]);
        let letters = delays.map(|(name, delay)| named(name, &format!("{{ kind: welcome, delay: {delay} }}"), ""));
        let brand = brand(&format!("frequency_cap: {{ messages: {cap}, per: 7d }}"));
        let mut world = world(&shop(&members, ""), letters);
        world.brand = brand;
        let fates = fates(&world, &[years()]);
        let sent = fates.iter().filter(|line| line.contains(" email "));
        sent.map(|line| line.split(" main").next().unwrap().to_string()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(letters(1), "a first, c first");
    assert_eq!(letters(2), "a first, b first, c first, c second");
    assert_eq!(letters(3), "a first, b first, c first, a second, c second, c third");
}

#[test]
fn what_a_pass_finds_late_is_late() {
    let joined = ["2024-01-01T10:00:00Z", "2024-01-02T20:00:00Z", "2024-01-03T22:00:00Z"];
    let members = ["a", "b", "c"].into_iter().zip(joined);
    let members: String = members.map(|(id, joined)| member(id, "", joined, "", "")).collect();
    let passes = |more: &str| {
        let world = world(&shop(&members, ""), [campaign("{ kind: welcome }", more)]);
        let quiet = brand("quiet_hours: \"21:00-08:00\"");
        let at = ["2024-01-01T00:00:00Z", "2024-01-03T12:00:00Z", "2024-01-04T07:00:00Z", "2024-01-04T09:30:00Z"];
        let all = fates(&World { brand: quiet, ..world }, &at.map(|at| Pass::At(instant(at))));
        all.iter().map(|line| line.replace(" c main", "")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(passes(""), "a too_late, b email 2024-01-03T12:00, c email 2024-01-04T09:30");
    assert_eq!(passes("limits: { late: skip }"), "a too_late, b too_late, c too_late");
    assert_eq!(passes("limits: { late: { send_within: 90m } }"), "a too_late, b too_late, c email 2024-01-04T09:30");
    let all = "a email 2024-01-03T12:00, b email 2024-01-03T12:00, c email 2024-01-04T09:30";
    assert_eq!(passes("limits: { late: always }"), all);
}

#[test]
fn a_slice_waits_beyond_its_end() {
    let shop = shop(&member("a", "", "2024-01-01T22:00:00Z", "", ""), "");
    let world =
        || World { brand: brand("quiet_hours: \"21:00-08:00\""), ..world(&shop, [campaign("{ kind: welcome }", "")]) };
    let slice = |from: &str, to: &str| Pass::Between(instant(from), instant(to));
    let day = slice("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z");
    assert_eq!(fates(&world(), &[day]), ["a c main email 2024-01-02T08:00"]);
    let evening = Pass::At(instant("2024-01-01T23:00:00Z"));
    assert_eq!(fates(&world(), &[evening]), ["a c main waiting"]);
    let morning = slice("2024-01-02T00:00:00Z", "2024-01-02T09:00:00Z");
    assert_eq!(fates(&world(), &[evening, morning]), ["a c main email 2024-01-02T08:00"]);
    let later = slice("2024-01-02T08:30:00Z", "2024-01-02T09:00:00Z");
    assert_eq!(fates(&world(), &[evening, later]), ["a c main email 2024-01-02T08:30"]);
}
