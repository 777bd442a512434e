//! What audiences in depth must do on every size: SQL and memory give one answer, a plan says what
//! a run then sends, and a filter is judged at the right instant. `audience_contract!` makes the
//! tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rekindle::domain::audience::Audience;
use rekindle::import::Kind;
use rekindle::store::audience_facts::AudienceFacts;
use rekindle::store::{audience_sql, members, models, rfm};

use crate::lifetime_contract::cdnow;
use crate::support::contract::contract;
use crate::support::shop::{Dice, PLAIN, Shop, Size, assert_same, at};

contract! {
    audience_contract:
    sql_and_memory_give_the_same_audience
    plan_and_run_agree_on_audiences_in_depth
    what_was_received_is_judged_in_turn
    a_purchase_after_the_due_instant_is_not_seen_by_a_scan
    rfm_scores_come_from_the_cut_points_of_all
    segments_are_applied_with_the_campaigns
    what_a_filter_names_is_found_in_the_form_in_which_it_is_stored
}

const BRAND: &str = "{ name: Shop, timezone: Asia/Tehran, calendar: persian, locale: en, currency: USD, \
    base_url: \"https://shop.example\", quiet_hours: \"21:00-08:00\" }";

const NOW: &str = "2024-05-10T10:00:00Z";

/// Members, orders and suppressions as the dice fall.
struct Files {
    members: String,
    purchases: String,
    suppressions: String,
}

fn files(dice: &mut Dice, count: u64) -> Files {
    let mut members = "external_id,email,phone,first_name,birth_date,joined_at,timezone,calendar,email_consent,\
        sms_consent,tier,points,attributes.size,attributes.renewal,attributes.vip\n"
        .to_owned();
    let opened = at(NOW) - chrono::Duration::days(400);
    let moment = |dice: &mut Dice| {
        let minutes = i64::try_from(dice.below(420 * 24 * 60)).unwrap();
        // Some on the edge of a span or a day.
        let at = opened + chrono::Duration::minutes(minutes);
        if dice.once_in(4) { at - chrono::Duration::minutes(minutes % (24 * 60)) } else { at }.to_rfc3339()
    };
    for n in 0..count {
        let email = dice.pick(&["", "m{n}@example.com", "M{n}@example.com"]).replace("{n}", &(n % 50).to_string());
        let phone = if dice.once_in(3) { String::new() } else { format!("+98912{:07}", 1_000_000 + n % 60) };
        let name = dice.pick(&["", "سارا", "Zoe", "anna"]);
        let birth = dice.pick(&["", "--03-01", "1990-05-21", "1369/02/31", "2024-05-10"]);
        let joined = if dice.once_in(6) { String::new() } else { moment(dice) };
        let zone = dice.pick(&["", "Asia/Tehran", "Europe/Berlin"]);
        let calendar = dice.pick(&["", "persian", "gregorian"]);
        let (mail, sms) = (dice.once_in(2), dice.once_in(2));
        let tier = dice.pick(&["", "gold", "silver", "Ä"]);
        let points = dice.pick(&["", "0", "90", "-5"]);
        let size = dice.pick(&["", "M", "12", "12.5", "1e1", "x"]);
        let renewal = dice.pick(&["", "2024-05-10", "1403/02/21", "2024-01-01", "soon"]);
        let vip = dice.pick(&["", "true", "false", "maybe"]);
        writeln!(
            members,
            "m{n},{email},{phone},{name},{birth},{joined},{zone},{calendar},{mail},{sms},{tier},{points},{size},{renewal},{vip}"
        )
        .unwrap();
    }
    let mut purchases = "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned();
    for n in 0..count * 3 {
        let member = dice.below(count * 3 / 4);
        let amount = format!("{}.{}", dice.below(40), dice.pick(&["00", "50", "33"]));
        let currency = dice.pick(&["", "USD", "USD", "EUR"]);
        let status = dice.pick(&["paid", "paid", "paid", "cancelled", "refunded"]);
        writeln!(purchases, "o{n},m{member},{},{amount},{currency},{status}", moment(dice)).unwrap();
    }
    let mut suppressions = "address,purpose\n".to_owned();
    for n in 0..20 {
        let purpose = dice.pick(&["", "marketing", "service"]);
        writeln!(suppressions, "m{}@example.com,{purpose}\n+98912{:07},{purpose}", n * 2, 1_000_000 + n * 3).unwrap();
    }
    Files { members, purchases, suppressions }
}

/// A filter of some depth.
fn filter(dice: &mut Dice, depth: u64) -> String {
    if depth > 0 && dice.once_in(2) {
        let count = dice.below(4);
        let items: Vec<String> = (0..count).map(|_| filter(dice, depth - 1)).collect();
        return match dice.below(3) {
            0 => format!("{{ all: [{}] }}", items.join(", ")),
            1 => format!("{{ any: [{}] }}", items.join(", ")),
            _ => format!("{{ not: {} }}", filter(dice, depth - 1)),
        };
    }
    const DATES: &[&str] = &["2024-05-10", "1403/02/21", "2023-06-01", "1990-05-21", "2024-03-20"];
    const LENGTHS: &[&str] = &["0d", "12h", "7d", "90d", "1w", "51w"];
    let order = |dice: &mut Dice| *dice.pick(&["eq", "ne", "gt", "gte", "lt", "lte"]);
    let span = |dice: &mut Dice| match dice.below(5) {
        0 => format!(", within: {}", dice.pick(LENGTHS)),
        1 => format!(", since: {}", dice.pick(DATES)),
        2 => format!(", until: {}", dice.pick(DATES)),
        3 => ", since: 2023-12-01T10:00:00Z, until: 1403/02/21".to_owned(),
        _ => String::new(),
    };
    let date = |dice: &mut Dice, field: &str, span: &str| match dice.below(4) {
        0 => {
            format!("{{ field: {field}{span}, {}: {} }}", dice.pick(&["older_than", "newer_than"]), dice.pick(LENGTHS))
        }
        1 => format!("{{ field: {field}{span}, exists: {} }}", dice.once_in(2)),
        2 => format!(
            "{{ field: {field}{span}, {}: [{}, {}] }}",
            dice.pick(&["in", "not_in"]),
            dice.pick(DATES),
            dice.pick(DATES)
        ),
        _ => format!("{{ field: {field}{span}, {}: {} }}", order(dice), dice.pick(DATES)),
    };
    match dice.below(18) {
        0 => format!("{{ field: tier, {}: {} }}", order(dice), dice.pick(&["gold", "silver", "Ä", "a", "''"])),
        1 => format!(
            "{{ field: {}, {}: [gold, سارا, anna] }}",
            dice.pick(&["tier", "first_name"]),
            dice.pick(&["in", "not_in"])
        ),
        2 => format!(
            "{{ field: {}, exists: {} }}",
            dice.pick(&["email", "points", "calendar", "attributes.size", "attributes.none"]),
            dice.once_in(2)
        ),
        3 => format!("{{ field: points, {}: {} }}", order(dice), dice.pick(&["0", "89.5", "90", "-5"])),
        4 => {
            format!("{{ field: {}, {}: true }}", dice.pick(&["email_consent", "sms_consent"]), dice.pick(&["eq", "ne"]))
        }
        5 => {
            let field = *dice.pick(&["joined_at", "birth_date", "attributes.renewal"]);
            date(dice, field, "")
        }
        6 => format!(
            "{{ field: attributes.size, {}: {} }}",
            order(dice),
            dice.pick(&["12", "12.5", "10", "M", "\"12\""])
        ),
        7 => format!("{{ field: attributes.vip, {}: {} }}", dice.pick(&["eq", "ne"]), dice.once_in(2)),
        8 => format!("{{ field: purchase_count{}, {}: {} }}", span(dice), order(dice), dice.below(4)),
        9 => format!(
            "{{ field: purchase_sum{}, {}: {} }}",
            span(dice),
            order(dice),
            dice.pick(&["0", "20", "33.33", "12.5"])
        ),
        10 => format!(
            "{{ field: purchase_average{}, {}: {} }}",
            span(dice),
            order(dice),
            dice.pick(&["0", "20.5", "33.33", "12.5"])
        ),
        11 => {
            let span = span(dice);
            let field = *dice.pick(&["first_purchase_at", "last_purchase_at"]);
            date(dice, field, &span)
        }
        12 => format!("{{ reachable: {} }}", dice.pick(&["email", "sms", "any"])),
        13 => {
            let within = dice.pick(&["", ", within: 30d", ", within: 1d", ", within: 300d"]);
            format!("{{ received: {{ campaign: hello{within} }} }}")
        }
        14 => format!(
            "{{ field: rfm.{}, {}: {} }}",
            dice.pick(&["recency", "frequency", "monetary"]),
            order(dice),
            1 + dice.below(5)
        ),
        15 => {
            format!("{{ field: alive_probability, {}: {} }}", order(dice), dice.pick(&["0", "0.2", "0.5", "0.8", "1"]))
        }
        16 => match dice.below(3) {
            0 => format!(
                "{{ field: {}, exists: {} }}",
                dice.pick(&["alive_probability", "expected_revenue"]),
                dice.once_in(2)
            ),
            1 => format!("{{ field: alive_probability, {}: [1, 0.5] }}", dice.pick(&["in", "not_in"])),
            _ => {
                format!("{{ field: expected_revenue, {}: {} }}", order(dice), dice.pick(&["0", "5", "20", "60", "1e3"]))
            }
        },
        _ => format!("{{ field: rfm.recency, {}: [1, 5] }}", dice.pick(&["in", "not_in"])),
    }
}

pub async fn sql_and_memory_give_the_same_audience(size: Size) {
    const MEMBERS: u64 = 150;
    let mut dice = Dice(5);
    let shop = Shop::new(&size, BRAND);
    let files = files(&mut dice, MEMBERS);
    shop.campaign("hello", "trigger: { kind: welcome }\nlimits: { late: always }");
    shop.import(Kind::Members, &files.members).await;
    shop.import(Kind::Purchases, &files.purchases).await;
    shop.once_between("2024-01-01T00:00:00Z", "2024-05-12T00:00:00Z").await;
    shop.import(Kind::Suppressions, &files.suppressions).await;
    let settings = shop.settings();
    let brand = &settings.brand;
    let store = shop.store().await;
    let (mut neither_all_nor_none, mut asked) = (0, 0);
    for round in 0..400 {
        if round == 100 {
            // Until then there are no scores.
            assert!(rfm::fit(store, at("2024-04-01T00:00:00Z"), &brand.currency).await.unwrap().is_some());
        }
        if round == 150 {
            // Until then nothing is expected of anybody.
            shop.write_store(async |tx| models::insert(tx, &cdnow("USD")).await.unwrap()).await;
        }
        let text = filter(&mut dice, 3);
        let audience = Audience::parse_segment("x.yaml", &format!("audience: {text}"), brand.timezone);
        let audience = audience.unwrap_or_else(|problems| panic!("{text}: {problems}"));
        let now: &str =
            dice.pick::<&str>(&[NOW, "2024-05-09T20:30:00Z", "2024-02-01T00:00:00Z", "2023-08-01T12:00:00Z"]);
        let now = at(now);
        let mut tx = store.read().await.unwrap();
        let filter = audience_sql::compile(&mut tx, &audience, brand, now).await.unwrap();
        let sampled = audience_sql::sample(&mut tx, &filter, 10_000).await.unwrap();
        let count = audience_sql::count(&mut tx, &filter).await.unwrap();
        let by_sql: BTreeSet<String> = sampled.into_iter().map(|member| member.external_id).collect();
        let everybody = members::after(&mut tx, -1, 10_000).await.unwrap();
        let known =
            AudienceFacts::load(&mut tx, everybody.iter().map(|member| (&audience, member)), true).await.unwrap();
        tx.commit().await.unwrap();
        let inside = |member: &&rekindle::domain::member::Member| {
            audience.verdict(&known.view(member, brand, now, None)).unwrap()
        };
        let in_memory: BTreeSet<String> =
            everybody.iter().filter(inside).map(|member| member.external_id.clone()).collect();
        let differs: Vec<&String> = by_sql.symmetric_difference(&in_memory).take(5).collect();
        assert!(differs.is_empty(), "{text} at {now}: SQL {}, memory {}: {differs:?}", by_sql.len(), in_memory.len());
        assert_eq!(count, by_sql.len() as i64, "{text}");
        asked += 1;
        neither_all_nor_none += i32::from(!by_sql.is_empty() && (by_sql.len() as u64) < MEMBERS);
    }
    assert!(neither_all_nor_none * 2 > asked, "filters that take some: {neither_all_nor_none} of {asked}");
    shop.close().await;
}

pub async fn plan_and_run_agree_on_audiences_in_depth(size: Size) {
    const FROM: &str = "2024-05-01T00:00:00Z";
    const TO: &str = "2024-05-11T00:00:00Z";
    let mut dice = Dice(8);
    let shop = Shop::new(&size, BRAND);
    let files = files(&mut dice, 400);
    shop.import(Kind::Members, &files.members).await;
    shop.import(Kind::Purchases, &files.purchases).await;
    shop.import(Kind::Suppressions, &files.suppressions).await;
    let store = shop.store().await;
    rfm::fit(store, at("2024-04-01T00:00:00Z"), "USD").await.unwrap();
    shop.write_store(async |tx| models::insert(tx, &cdnow("USD")).await.unwrap()).await;
    shop.write("segments/buyers.yaml", "audience: { field: purchase_count, within: 200d, gte: 1 }");
    let triggers = [
        "{ kind: post_purchase, delay: 2h }",
        "{ kind: at_risk, after: 20d }",
        "{ kind: welcome, delay: 1h }",
        "{ kind: broadcast, at: 2024-05-06T21:30 }",
        "{ kind: post_purchase, delay: 1d }\nschedule: { send_at: \"20:59\" }",
    ];
    shop.campaign("hello", "trigger: { kind: post_purchase }");
    for (n, trigger) in triggers.iter().cycle().take(20).enumerate() {
        let mut rules = filter(&mut dice, 2);
        if n % 3 == 0 {
            rules = format!(
                "{{ any: [{rules}, {{ all: [{{ segment: buyers }}, {{ not: {{ received: {{ campaign: c{}, within: 2d }} }} }}] }}] }}",
                (n + 7) % 20
            );
        }
        shop.campaign(
            &format!("c{n}"),
            &format!("trigger: {trigger}\naudience: {rules}\nlimits: {{ priority: {} }}", n % 4),
        );
    }
    let planned = shop.planned(FROM, TO).await;
    assert!(planned.len() > 200, "{}", planned.len());
    shop.once_between(FROM, TO).await;
    assert_same("what was sent", &shop.sent_between(FROM, TO).await, &planned);
    shop.close().await;
}

const HEAD: &str = "external_id,email,email_consent,joined_at\n";
const ORDERS: &str = "order_id,member_external_id,purchased_at,amount\n";

pub async fn what_was_received_is_judged_in_turn(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    // All at ten o'clock: priority decides who goes first.
    let broadcast = "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]";
    shop.campaign(
        "first",
        &format!("{broadcast}\nlimits: {{ priority: 3 }}\naudience: {{ field: external_id, eq: m1 }}"),
    );
    shop.campaign(
        "after",
        &format!("{broadcast}\nlimits: {{ priority: 2 }}\naudience: {{ received: {{ campaign: first, within: 1h }} }}"),
    );
    shop.campaign(
        "instead",
        &format!("{broadcast}\nlimits: {{ priority: 1 }}\naudience: {{ not: {{ received: {{ campaign: first }} }} }}"),
    );
    shop.campaign(
        "before",
        &format!("{broadcast}\nlimits: {{ priority: 4 }}\naudience: {{ not: {{ received: {{ campaign: first }} }} }}"),
    );
    // Not twice in two days; the message itself is no reason against it.
    shop.campaign(
        "daily",
        "trigger: { kind: welcome }\nchannels: [email]\naudience: { not: { received: { campaign: daily, within: 2d } } }\n\
         steps: [{ id: second, after: 1d, content: note }, { id: third, after: 3d, content: note }]",
    );
    let row = |id: &str| format!("{id},{id}@example.com,true,2024-05-02T09:00:00Z\n");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1") + &row("m2")).await;
    let (from, to) = ("2024-05-01T00:00:00Z", "2024-05-08T00:00:00Z");
    let planned = shop.planned(from, to).await;
    shop.once_between(from, to).await;
    let sent = shop.sent_between(from, to).await;
    assert_same("what was sent", &sent, &planned);
    let names: Vec<String> =
        sent.into_iter().map(|(member, campaign, step, ..)| format!("{member} {campaign} {step}")).collect();
    assert_eq!(
        names,
        [
            "m1 after main",
            "m1 before main",
            "m1 daily main",
            "m1 daily third",
            "m1 first main",
            "m2 before main",
            "m2 daily main",
            "m2 daily third",
            "m2 instead main",
        ]
    );
    shop.close().await;
}

pub async fn a_purchase_after_the_due_instant_is_not_seen_by_a_scan(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign(
        "new",
        "trigger: { kind: welcome }\nchannels: [email]\naudience: { field: purchase_count, eq: 0 }\nlimits: { late: { send_within: 2d } }",
    );
    let row = |id: &str| format!("{id},{id}@example.com,true,2024-05-02T10:00:00Z\n");
    shop.import(Kind::Members, HEAD.to_owned() + &row("before") + &row("at") + &row("later") + &row("never")).await;
    shop.import(
        Kind::Purchases,
        format!(
            "{ORDERS}o1,before,2024-05-02T09:00:00Z,5\no2,at,2024-05-02T10:00:00Z,5\no3,later,2024-05-02T10:00:01Z,5\n"
        ),
    )
    .await;
    shop.once("2024-05-02T10:00:00Z").await;
    assert_eq!(
        shop.states().await,
        [
            "at new main skipped outside_audience",
            "before new main skipped outside_audience",
            "later new main sent -",
            "never new main sent -",
        ]
    );
    // The order was a mistake: the member changed, and is inside again.
    shop.import(
        Kind::Purchases,
        "order_id,member_external_id,purchased_at,amount,status\no1,before,2024-05-02T09:00:00Z,5,cancelled\n",
    )
    .await;
    shop.once("2024-05-03T10:00:00Z").await;
    assert!(shop.states().await.contains(&"before new main sent -".to_owned()));
    shop.close().await;
}

pub async fn rfm_scores_come_from_the_cut_points_of_all(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let mut rows = HEAD.to_owned();
    let mut orders = ORDERS.to_owned();
    for n in 1..=5 {
        writeln!(rows, "m{n},m{n}@example.com,true,2024-01-01T00:00:00Z").unwrap();
        // The n-th bought n times, n days before May, for 10 n in all.
        for order in 0..n {
            writeln!(orders, "o{n}-{order},m{n},2024-04-{}T00:00:00Z,10", 30 - n).unwrap();
        }
    }
    writeln!(rows, "never,n@example.com,true,2024-01-01T00:00:00Z").unwrap();
    shop.import(Kind::Members, &rows).await;
    shop.import(Kind::Purchases, &orders).await;
    let store = shop.store().await;
    let current = async || {
        let mut tx = store.read().await.unwrap();
        let current = rfm::current(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        current
    };
    assert_eq!(current().await, None);
    assert_eq!(rfm::fit(store, at("2024-01-01T00:00:00Z"), "USD").await.unwrap(), None, "nobody had bought");
    let fitted = rfm::fit(store, at("2024-05-01T00:00:00Z"), "USD").await.unwrap().unwrap();
    assert_eq!(current().await, Some(fitted.clone()));
    assert_eq!(fitted.members, 5);
    assert_eq!(fitted.cuts.frequency, [1, 2, 3, 4]);
    assert_eq!(fitted.cuts.monetary, [1_000, 2_000, 3_000, 4_000]);
    assert_eq!(fitted.cuts.recency, [6, 5, 4, 3].map(|days| days * 86_400_000));
    let settings = shop.settings();
    let mut found = Vec::new();
    for (field, score) in [("recency", 5), ("recency", 1), ("frequency", 5), ("frequency", 2), ("monetary", 4)] {
        let text = format!("audience: {{ field: rfm.{field}, eq: {score} }}");
        let audience = Audience::parse_segment("x.yaml", &text, settings.brand.timezone).unwrap();
        let mut tx = store.read().await.unwrap();
        let filter =
            audience_sql::compile(&mut tx, &audience, &settings.brand, at("2024-05-01T00:00:00Z")).await.unwrap();
        found.extend(audience_sql::sample(&mut tx, &filter, 10).await.unwrap().into_iter().map(|one| one.external_id));
        tx.commit().await.unwrap();
    }
    assert_eq!(found, ["m1", "m5", "m5", "m2", "m4"]);
    shop.close().await;
}

pub async fn segments_are_applied_with_the_campaigns(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.write("segments/gold.yaml", "audience: { all: [{ segment: reachable }, { field: external_id, eq: m1 }] }");
    shop.write("segments/reachable.yaml", "audience: { reachable: any }");
    shop.campaign("hello", "trigger: { kind: welcome }\naudience: { segment: gold }");
    let row = |id: &str| format!("{id},{id}@example.com,true,2024-05-02T09:00:00Z\n");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1") + &row("m2")).await;
    shop.once("2024-05-02T09:00:00Z").await;
    assert_eq!(shop.states().await, ["m1 hello main sent -", "m2 hello main skipped outside_audience"]);
    shop.close().await;
}

pub async fn what_a_filter_names_is_found_in_the_form_in_which_it_is_stored(size: Size) {
    let shop = Shop::new(&size, BRAND);
    let members = "external_id,email,locale,timezone,calendar,tier,attributes.Shoe_Size,attributes.شهر,attributes.e1,attributes.a-b\n\
        ۱۲,Sara@Example.COM,fa_IR,asia/tehran,Persian,Gold,۴۲,علي,x,\"1,500\"\n\
        m2,tom@example.com,EN-gb,Europe/London,gregorian,GOLD,42.5,Leeds,,12\n";
    shop.import(Kind::Members, members).await;
    let zone = shop.settings().brand.timezone;
    for (filter, expected) in [
        ("{ field: locale, eq: FA_ir }", "12"),
        ("{ field: locale, in: [en_GB, de] }", "m2"),
        ("{ field: timezone, eq: asia/tehran }", "12"),
        ("{ field: calendar, ne: PERSIAN }", "m2"),
        ("{ field: tier, eq: gold }", "12 m2"),
        ("{ field: tier, not_in: [GOLD, silver] }", ""),
        ("{ field: tier, gt: GOLC }", "12 m2"),
        ("{ field: external_id, eq: \"۱۲\" }", "12"),
        ("{ field: email, eq: Sara@EXAMPLE.com }", "12"),
        ("{ field: attributes.shoe_size, gt: 41 }", "12 m2"),
        ("{ field: attributes.SHOE_SIZE, eq: 42 }", "12"),
        ("{ field: attributes.شهر, eq: علي }", "12"),
        ("{ field: attributes.e1, exists: true }", "12"),
        ("{ field: attributes.a-b, gt: 1 }", "m2"),
    ] {
        let audience = Audience::parse_segment("x.yaml", &format!("audience: {filter}"), zone).unwrap();
        let mut tx = shop.store().await.read().await.unwrap();
        let brand = shop.settings().brand.clone();
        let compiled = audience_sql::compile(&mut tx, &audience, &brand, at(NOW)).await.unwrap();
        let found = audience_sql::sample(&mut tx, &compiled, 10).await.unwrap();
        let mut by_sql: Vec<String> = found.into_iter().map(|member| member.external_id).collect();
        by_sql.sort();
        assert_eq!(by_sql.join(" "), expected, "{filter}");
        let facts = AudienceFacts::default();
        let everybody = members::after(&mut tx, 0, 10).await.unwrap();
        let mut in_memory: Vec<&str> = everybody
            .iter()
            .filter(|member| audience.verdict(&facts.view(member, &brand, at(NOW), None)) == Some(true))
            .map(|member| member.external_id.as_str())
            .collect();
        in_memory.sort_unstable();
        assert_eq!(in_memory.join(" "), expected, "{filter}");
    }
    for name in ["$x", "a.b", "a'b", "[0]", "0"] {
        let text = format!("audience: {{ field: \"attributes.{name}\", eq: 1 }}");
        let refused = Audience::parse_segment("x.yaml", &text, zone).unwrap_err().to_string();
        assert!(
            refused.contains("x.yaml:1:20: ") && refused.contains("cannot be the name of an attribute"),
            "{refused}"
        );
    }
    shop.close().await;
}
