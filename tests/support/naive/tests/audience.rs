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
