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
    assert_eq!(who("reach: all"), "a email, a sms, b no_consent, b sms, c no_address, c no_consent");
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
