//! How loyal customers are, and what they are expected to bring, from a list of orders.

use super::*;

fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What members did in [from, to).
fn kept(lists: &Lists, part: &str, members: &[&Member], (from, to): (i64, i64)) -> Value {
    let is_customer = |member: &Member, at: i64| lists.between(member.id, (at - 365 * DAY, at)).next().is_some();
    let count = |is: &dyn Fn(&Member) -> bool| members.iter().filter(|member| is(member)).count() as i64;
    let made = |member: &Member| lists.between(member.id, (from - 1, to - 1)).count();
    let at_start = count(&|member| is_customer(member, from));
    let at_end = count(&|member| is_customer(member, to));
    let stayed = count(&|member| is_customer(member, from) && is_customer(member, to));
    let (buyers, repeat_buyers) = (count(&|member| made(member) > 0), count(&|member| made(member) > 1));
    let all: Vec<&Order> = members.iter().flat_map(|member| lists.between(member.id, (from - 1, to - 1))).collect();
    let (ours, others): (Vec<&Order>, Vec<&Order>) = all.iter().partition(|order| order.currency == BRAND);
    let revenue = ours.iter().map(|order| order.amount as f64 / UNIT).sum::<f64>();
    let own = members.iter().filter_map(|member| lists.orders.get(&member.id));
    let pairs = own.flat_map(|orders| orders.windows(2)).filter(|pair| (from..to).contains(&pair[1].purchased_at));
    let mut gaps: Vec<i64> = pairs.map(|pair| pair[1].purchased_at - pair[0].purchased_at).collect();
    gaps.sort_unstable();
    let middle = |place: usize| gaps[place] as f64 / DAY as f64;
    let median = (!gaps.is_empty()).then(|| f64::midpoint(middle((gaps.len() - 1) / 2), middle(gaps.len() / 2)));
    let retention = share(stayed, at_start);
    json!({
        "part": part, "members": members.len(), "points": members.iter().filter_map(|member| member.points).sum::<i64>(),
        "customers_at_start": at_start, "customers_at_end": at_end, "new_customers": at_end - stayed,
        "retention": retention, "churn": retention.map(|kept| 1.0 - kept), "buyers": buyers,
        "repeat_buyers": repeat_buyers, "repeat_rate": share(repeat_buyers, buyers), "orders": all.len(),
        "orders_per_buyer": share(all.len() as i64, buyers), "revenue": revenue,
        "average_order": (!ours.is_empty()).then(|| revenue / ours.len() as f64), "days_between_orders": median,
        "other_currencies": others.len(),
    })
}

#[test]
fn every_number_of_loyalty_is_what_its_lists_say() {
    let lists = lists();
    let everybody: Vec<&Member> = lists.members.iter().collect();
    for window in [ALL, SOME] {
        let span = (midnight(window.0), midnight(window.1));
        for by in ["", "tier", "locale", "month"] {
            let mut parts: Vec<Value> = match by {
                "" => vec![kept(lists, "", &everybody, span)],
                "month" => {
                    months(window).into_iter().map(|(first, span)| kept(lists, first, &everybody, span)).collect()
                }
                _ => {
                    let key = |member: &&Member| if by == "tier" { member.tier.clone() } else { member.locale.clone() };
                    let parts = grouped(everybody.iter().copied(), key).into_iter();
                    parts.map(|(part, members)| kept(lists, &part.unwrap_or_default(), &members, span)).collect()
                }
            };
            if by != "month" {
                parts.sort_by_key(|part| (Reverse(part["members"].as_u64()), part["part"].to_string()));
            }
            let sum = |of: &str| parts.iter().map(|part| part[of].as_i64().unwrap()).sum::<i64>();
            // Every month looks at all members.
            let rows = [if by == "month" { everybody.len() as i64 } else { sum("members") }, sum("orders")];
            let split = ["--by", by];
            let split = if by.is_empty() { &[][..] } else { &split[..] };
            let arguments = [&["loyalty", "--from", window.0, "--to", window.1], split].concat();
            let found = report(&arguments);
            let expected = json!({
                "from": instant(span.0), "to": instant(span.1), "active_within_days": 365.0, "currency": BRAND, "by": by,
                "parts": parts,
            });
            agree(&found, &expected, EXACT, &arguments.join(" "));
            ["retention", "days_between_orders"].iter().for_each(|metric| explained(&arguments, metric, &found, &rows));
        }
        cohorts_hold(lists, window);
        scores_hold(lists, window);
    }
    expectations_hold(lists);
}

/// Members by the month of their first order, and what they bought in it and later.
fn cohorts_hold(lists: &Lists, (from, to): (&str, &str)) {
    let months = months((from, to));
    let is_in = |at: i64, (begin, end): (i64, i64)| (begin..end).contains(&at);
    let cohort = |(place, (first, month)): (usize, &(&str, (i64, i64)))| {
        let began = |own: &&Vec<Order>| is_in(own[0].purchased_at, *month);
        let members: Vec<&Vec<Order>> = lists.orders.values().filter(began).collect();
        let period = |(_, period): &(&str, (i64, i64))| {
            let bought = |own: &&&Vec<Order>| own.iter().any(|order| is_in(order.purchased_at, *period));
            let back = members.iter().filter(bought).count();
            let orders = members.iter().flat_map(|own| own.iter()).filter(|order| is_in(order.purchased_at, *period));
            let ours = orders.filter(|order| order.currency == BRAND).map(|order| order.amount as f64 / UNIT);
            let share = share(back as i64, members.len() as i64);
            json!({ "members": back, "share": share, "revenue": ours.fold(0.0, |sum, amount| sum + amount) })
        };
        let periods: Vec<Value> = months[place..].iter().map(period).collect();
        json!({ "start": first, "members": members.len(), "periods": periods })
    };
    let cohorts: Vec<Value> = months.iter().enumerate().map(cohort).collect();
    let members: i64 = cohorts.iter().map(|cohort| cohort["members"].as_i64().unwrap()).sum();
    let arguments = ["cohorts", "--by", "month", "--from", from, "--to", to];
    let found = report(&arguments);
    let expected = json!({
        "from": instant(midnight(from)), "to": instant(midnight(to)), "currency": BRAND, "cohorts": cohorts,
    });
    agree(&found, &expected, EXACT, &arguments.join(" "));
    ["share", "revenue"].iter().for_each(|metric| explained(&arguments, metric, &found, &[members]));
}

/// When a member bought last by an instant, how often, and for how much; nothing for who had not bought.
fn bought(own: &[Order], at: i64) -> Option<(i64, i64, i64)> {
    let by_then = own.iter().filter(|order| order.purchased_at <= at);
    let last = by_then.clone().map(|order| order.purchased_at).max()?;
    let ours = by_then.clone().filter(|order| order.currency == BRAND).map(|order| order.amount);
    Some((at - last, by_then.count() as i64, ours.sum()))
}

/// The values up to which one to four fifths come, from the worst on.
fn fifths(mut values: Vec<i64>, is_less_better: bool) -> Vec<i64> {
    values.sort_unstable();
    if is_less_better {
        values.reverse();
    }
    (1..5).map(|fifth| values[(fifth * values.len()).div_ceil(5) - 1]).collect()
}

/// Scores by fifths as of the last night, and who moved between the ends of a time.
fn scores_hold(lists: &Lists, (from, to): (&str, &str)) {
    let (before, at, fitted_at) = (midnight(from), midnight(to), midnight(END));
    let all: Vec<(i64, i64, i64)> = lists.orders.values().filter_map(|own| bought(own, fitted_at)).collect();
    let recency = fifths(all.iter().map(|one| one.0).collect(), true);
    let frequency = fifths(all.iter().map(|one| one.1).collect(), false);
    let monetary = fifths(all.iter().map(|one| one.2).collect(), false);
    let scores = |own: &[Order], at: i64| {
        let (age, orders, _) = bought(own, at)?;
        let score = |is_better: &dyn Fn(&&i64) -> bool, cuts: &[i64]| 1 + cuts.iter().filter(is_better).count();
        Some((score(&|cut| age < **cut, &recency), score(&|cut| orders > **cut, &frequency)))
    };
    let squares = (0..25).map(|square| ((1 + square / 5, 1 + square % 5), (0, 0.0)));
    let mut grid: BTreeMap<(usize, usize), (i64, f64)> = squares.collect();
    let mut moves: BTreeMap<[usize; 4], i64> = BTreeMap::new();
    for own in lists.orders.values() {
        let (Some(now), Some((_, _, spent))) = (scores(own, at), bought(own, at)) else { continue };
        let square = grid.get_mut(&now).unwrap();
        *square = (square.0 + 1, square.1 + spent as f64 / UNIT);
        let then = scores(own, before).unwrap_or((0, 0));
        if then != now {
            *moves.entry([then.0, then.1, now.0, now.1]).or_default() += 1;
        }
    }
    let customers: i64 = grid.values().map(|(members, _)| members).sum();
    let square = |((recency, frequency), (members, revenue)): ((usize, usize), (i64, f64))| json!({ "recency": recency, "frequency": frequency, "members": members, "revenue": revenue });
    let moved = |([recency_before, frequency_before, recency, frequency], members): ([usize; 4], i64)| {
        json!({
            "recency_before": recency_before, "frequency_before": frequency_before, "recency": recency,
            "frequency": frequency, "members": members,
        })
    };
    let expected = json!({
        "from": instant(before), "at": instant(at), "fitted_at": instant(fitted_at), "currency": BRAND,
        "cuts": { "recency": recency, "frequency": frequency, "monetary": monetary },
        "grid": grid.into_iter().map(square).collect::<Vec<_>>(),
        "moves": moves.into_iter().map(moved).collect::<Vec<_>>(),
    });
    let arguments = ["rfm", "--from", from, "--to", to];
    let found = report(&arguments);
    agree(&found, &expected, EXACT, &arguments.join(" "));
    explained(&arguments, "revenue", &found, &[customers]);
}

/// What the models ask for about a customer: days with an order after the first one, weeks from the first to the last of
/// them and until now; and of the former those with an order in the brand's currency, and what these came to.
struct Customer {
    repeats: f64,
    recency: f64,
    age: f64,
    priced: f64,
    spent: f64,
}

impl Customer {
    fn at(own: &[Order], at: i64) -> Option<Self> {
        let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for order in own.iter().filter(|order| order.purchased_at <= at) {
            let day = days.entry(order.purchased_at.div_euclid(DAY)).or_default();
            day.extend((order.currency == BRAND).then_some(order.amount));
        }
        let (first, last) = (*days.keys().next()?, *days.keys().next_back()?);
        let weeks = |day: i64| (day - first) as f64 / 7.0;
        let priced = || days.values().skip(1).filter(|amounts| !amounts.is_empty());
        Some(Self {
            repeats: days.len() as f64 - 1.0,
            recency: weeks(last),
            age: weeks(at.div_euclid(DAY)),
            priced: priced().count() as f64,
            spent: priced().flatten().sum::<i64>() as f64 / UNIT,
        })
    }

    /// Fader, Hardie and Lee 2005, equation 7 of the note on P(alive).
    fn alive(&self, model: &Model) -> f64 {
        if self.repeats == 0.0 {
            return 1.0;
        }
        let faded = ((model.alpha + self.age) / (model.alpha + self.recency)).powf(model.r + self.repeats);
        1.0 / (1.0 + model.a / (model.b + self.repeats - 1.0) * faded)
    }

    /// Purchases in so many weeks: equation 10 of the article as it is printed, times what a purchase comes to.
    fn purchases(&self, model: &Model, weeks: f64) -> f64 {
        let (one, two) = (model.r + self.repeats, model.b + self.repeats);
        let three = model.a + model.b + self.repeats - 1.0;
        let z = weeks / (model.alpha + self.age + weeks);
        let (mut term, mut sum, mut k) = (1.0, 1.0, 0.0);
        while term > 1e-17 * sum || k < 100.0 {
            term *= (one + k) * (two + k) / ((three + k) * (k + 1.0)) * z;
            sum += term;
            k += 1.0;
        }
        three / (model.a - 1.0) * (1.0 - (1.0 - z).powf(one) * sum) * self.alive(model)
    }

    /// What 13 months of four weeks bring, each discounted from its end by 10 % a year.
    fn revenue(&self, model: &Model) -> f64 {
        let worth = model.p * (model.v / UNIT + self.spent) / (model.p * self.priced + model.q - 1.0);
        let month = |month: i32| {
            let by = |month: i32| self.purchases(model, 4.0 * f64::from(month));
            (by(month) - by(month - 1)) / 1.1_f64.powf(f64::from(month) / 13.0)
        };
        worth * (1..=13).map(month).sum::<f64>()
    }
}

/// What customers are expected to bring, all and tenth by tenth.
fn expectations_hold(lists: &Lists) {
    let (at, arguments) = (midnight(END), ["cltv", "--at", END]);
    let found = report(&arguments);
    let customers: Vec<Customer> = lists.orders.values().filter_map(|own| Customer::at(own, at)).collect();
    let mut expected: Vec<f64> = customers.iter().map(|customer| customer.revenue(&lists.model)).collect();
    expected.sort_by(|one, other| other.total_cmp(one));
    let total = expected.iter().sum::<f64>();
    let mut best = expected.iter();
    let tenths = found["tenths"].as_array().unwrap().iter().enumerate().map(|(place, tenth)| {
        let size = tenth["customers"].as_u64().unwrap() as usize;
        assert!(size.abs_diff(customers.len() / 10) <= 1, "a tenth: {size} of {}", customers.len());
        let own: Vec<f64> = best.by_ref().take(size).copied().collect();
        let sum = own.iter().sum::<f64>();
        json!({
            "tenth": place + 1, "customers": own.len(), "expected_revenue": sum, "share": sum / total,
            "least": own.last(),
        })
    });
    let tenths: Vec<Value> = tenths.collect();
    assert_eq!((tenths.len(), best.len()), (10, 0));
    let alive = customers.iter().map(|customer| customer.alive(&lists.model)).sum::<f64>();
    let expected = json!({
        "at": instant(at), "currency": BRAND, "discount": 0.1, "customers": customers.len(), "alive": alive,
        "expected_revenue": total, "tenths": tenths,
    });
    agree(&found, &expected, NEAR, "cltv");
    agree(&found["alive"], &expected["alive"], EXACT, "cltv alive");
    ["alive", "least"].iter().for_each(|metric| explained(&arguments, metric, &found, &[customers.len() as i64]));
}
