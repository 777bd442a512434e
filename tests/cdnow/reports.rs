//! What real customers did, by the reports and by a loop over the file.

use std::collections::BTreeMap;

use rekindle::domain::Instant;
use rekindle::domain::audience::Audience;
use rekindle::domain::calendar::Calendar;
use rekindle::domain::period::{Periods, Unit, week_begins};
use rekindle::reports::cohorts::Cohorts;
use rekindle::reports::loyalty::{By, Loyalty};
use rekindle::reports::rfm::Rfm;
use rekindle::store::loyalty::Parts;
use rekindle::store::{audience_sql, rfm};

use crate::support::customers::{Order, assert_same, by_member, looked_over};
use crate::support::shop::{Size, at};
use crate::{Campaigns, data};

/// Who has which scores, who moved, and what they spent, by a loop over the orders.
fn check_scores(found: &Rfm, own: &BTreeMap<usize, Vec<Order>>, (before, end): (Instant, Instant)) {
    let of = |orders: &[Order], instant: Instant| {
        let by_then = orders.iter().take_while(|order| order.at <= instant).count();
        let Some(last) = by_then.checked_sub(1).map(|last| orders[last].at) else { return (0, 0) };
        let age = (instant - last).num_milliseconds();
        let recency = 1 + found.cuts.recency.iter().filter(|cut| age < **cut).count() as i64;
        let frequency = 1 + found.cuts.frequency.iter().filter(|cut| by_then as i64 > **cut).count() as i64;
        (recency, frequency)
    };
    let (mut grid, mut moves) = (BTreeMap::new(), BTreeMap::new());
    for orders in own.values() {
        let (then, now) = (of(orders, before), of(orders, end));
        if now != (0, 0) {
            let spent: i64 = orders.iter().filter(|order| order.at <= end).map(|order| order.cents).sum();
            let square: &mut (i64, i64) = grid.entry(now).or_default();
            *square = (square.0 + 1, square.1 + spent);
        }
        if then != now {
            *moves.entry((then, now)).or_insert(0) += 1;
        }
    }
    for square in &found.grid {
        let (members, cents) = grid.get(&(square.recency, square.frequency)).copied().unwrap_or_default();
        assert_eq!(square.members, members, "{square:?}");
        assert!((square.revenue - cents as f64 / 100.0).abs() < 1e-6, "{square:?} {cents}");
    }
    let moved = found.moves.iter();
    let moved =
        moved.map(|one| (((one.recency_before, one.frequency_before), (one.recency, one.frequency)), one.members));
    assert_eq!(moved.collect::<BTreeMap<_, _>>(), moves);
    println!("scores: {} members in {} squares, {} ways moved", own.len(), grid.len(), moves.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn loyalty_cohorts_and_scores_are_what_the_file_says() {
    let members: BTreeMap<String, (usize, String, i64)> = csv::Reader::from_reader(data("members.csv").as_bytes())
        .deserialize()
        .enumerate()
        .map(|(place, row)| {
            let row: BTreeMap<String, String> = row.unwrap();
            (row["external_id"].clone(), (place, row["tier"].clone(), row["points"].parse().unwrap_or(0)))
        })
        .collect();
    let purchases = data("purchases.csv");
    let orders = csv::Reader::from_reader(purchases.as_bytes()).into_deserialize().map(|row| {
        let row: BTreeMap<String, String> = row.unwrap();
        let cents = (row["amount"].parse::<f64>().unwrap() * 100.0).round() as i64;
        let member = members[&row["member_external_id"]].0;
        Order { member, at: at(&row["purchased_at"]), cents, currency: "USD", paid: true }
    });
    let own = by_member(orders.collect());
    let shop = Campaigns::samples().imported(&Size::default()).await;
    let (settings, everybody) = (shop.settings(), Audience::everybody());
    let active = settings.reports.active_within;
    let span = (at("1997-06-30T20:30:00Z"), at("1998-06-30T20:30:00Z"));
    rfm::fit(shop.store().await, span.1, "USD").await.unwrap().unwrap();
    let mut tx = shop.store().await.read().await.unwrap();
    let filter = audience_sql::compile(&mut tx, &everybody, &settings.brand, span.1).await.unwrap();
    let by = (&By::Parts(Parts::Tier), "tier");
    let found = Loyalty::read(&mut tx, &filter, by, span, &settings.brand, active).await.unwrap();
    assert_eq!(found.parts.iter().map(|kept| kept.members).sum::<i64>(), members.len() as i64);
    for kept in &found.parts {
        let of = members.values().filter(|(_, tier, _)| *tier == kept.part);
        let points = of.clone().map(|(.., points)| points).sum();
        let of: Vec<usize> = of.map(|(place, ..)| *place).collect();
        assert_same(kept, &looked_over(&own, &of, span, (&kept.part, points), active));
        println!(
            "{:>7}: {} buyers, repeat rate {:.4}, retention {:.4}, {:.2} $ an order, {:.2} days between orders",
            kept.part,
            kept.buyers,
            kept.repeat_rate.unwrap(),
            kept.retention.unwrap(),
            kept.average_order.unwrap(),
            kept.days_between_orders.unwrap()
        );
    }
    // Quarters of the Persian calendar on the brand's clock, which is half an hour past UTC's three.
    let quarters = Periods { unit: Unit::Quarter, calendar: Calendar::Persian, week_begins: week_begins("fa") };
    let span = (at("1996-12-20T20:30:00Z"), at("1998-06-21T19:30:00Z"));
    let found = Cohorts::read(&mut tx, &filter, &quarters, span, &settings.brand).await.unwrap();
    let scores = (at("1998-03-31T00:00:00Z"), at("1998-06-30T20:30:00Z"));
    let squares = Rfm::read(&mut tx, &filter, scores, &settings.brand).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    check_scores(&squares, &own, scores);
    // The first days of Dey and Farvardin, Tir and Mehr, as the calendar has them; summer time is half past nineteen.
    let starts = [
        "1996-12-20T20:30:00Z",
        "1997-03-20T20:30:00Z",
        "1997-06-21T19:30:00Z",
        "1997-09-22T20:30:00Z",
        "1997-12-21T20:30:00Z",
        "1998-03-20T20:30:00Z",
        "1998-06-21T19:30:00Z",
    ];
    assert_eq!(found.cohorts.len(), starts.len() - 1);
    for (place, cohort) in found.cohorts.iter().enumerate() {
        let within = |order: &Order, place: usize| order.at >= at(starts[place]) && order.at < at(starts[place + 1]);
        let members = own.values().filter(|own| within(&own[0], place));
        for (after, period) in cohort.periods.iter().enumerate() {
            let here = |order: &&Order| within(order, place + after);
            let back = members.clone().filter(|own| own.iter().any(|order| here(&order))).count();
            let cents: i64 = members.clone().flatten().filter(here).map(|order| order.cents).sum();
            assert_eq!(period.members, back as i64, "{} {after}", cohort.start);
            assert!((period.revenue - cents as f64 / 100.0).abs() < 1e-6, "{} {after}", cohort.start);
        }
        println!(
            "{} {:>6} {:?}",
            cohort.start,
            cohort.members,
            cohort.periods.iter().map(|one| one.members).collect::<Vec<_>>()
        );
    }
    shop.close().await;
}
