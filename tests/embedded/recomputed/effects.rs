//! What campaigns caused, from lists of messages and orders; the distributions are integrated here.

use super::*;

/// An arm: what it came to, and what each of its members brought, before and after costs.
#[derive(Default)]
struct Arm {
    not_yet: i64,
    buyers: i64,
    orders: i64,
    other_currencies: i64,
    gift_cost: f64,
    message_cost: f64,
    revenue: Vec<f64>,
    net: Vec<f64>,
}

/// The first message of each member that came to the question of its arm by an instant.
fn firsts<'a>(lists: &'a Lists, campaign: &str, run: i64, at: i64) -> BTreeMap<i64, &'a Message> {
    let of_run = |message: &&Message| message.campaign == campaign && message.run == Some(run);
    let mut assigned: Vec<&Message> = lists.messages.iter().filter(of_run).collect();
    assigned.retain(|message| message.arm.is_some() && message.assigned_at.is_some_and(|assigned| assigned <= at));
    assert!(assigned.iter().all(|message| message.unit.is_none()), "the demo divides members");
    assigned.sort_by_key(|message| Reverse((message.due_at, message.id)));
    assigned.into_iter().map(|message| (message.member_id, message)).collect()
}

fn arms<'a>(lists: &'a Lists, campaign: &str, run: i64, at: i64) -> BTreeMap<&'a str, Arm> {
    let mut arms: BTreeMap<&str, Arm> = BTreeMap::new();
    for (member, first) in firsts(lists, campaign, run, at) {
        let arm = arms.entry(first.arm.as_deref().unwrap()).or_default();
        let time = (first.due_at, first.due_at + WITHIN);
        if time.1 > at {
            arm.not_yet += 1;
            continue;
        }
        let (ours, others): (Vec<&Order>, Vec<&Order>) =
            lists.between(member, time).partition(|order| order.currency == BRAND);
        let revenue = ours.iter().map(|order| order.amount as f64 / UNIT).sum();
        // Whoever used it.
        let all = || lists.orders.keys().flat_map(|buyer| lists.between(*buyer, time));
        let is_used =
            |code: &String| all().any(|order| order.currency == BRAND && order.coupon_code.as_ref() == Some(code));
        let gifts = lists.gifts.iter().filter(|gift| gift.member_id == member && gift.campaign == campaign);
        let used = gifts.filter(|gift| gift.code.as_ref().is_some_and(is_used));
        let gift_cost = used.map(|gift| gift.cost.unwrap_or(0) as f64 / UNIT).sum::<f64>();
        let own = lists.messages.iter().filter(|message| message.member_id == member && message.campaign == campaign);
        let sent = own.filter(|message| message.sent_at.is_some_and(|sent| (time.0..=time.1).contains(&sent)));
        let message_cost = sent.map(|message| lists.cost(message)).sum::<f64>();
        arm.buyers += i64::from(!ours.is_empty());
        arm.orders += ours.len() as i64;
        arm.other_currencies += others.len() as i64;
        arm.gift_cost += gift_cost;
        arm.message_cost += message_cost;
        arm.revenue.push(revenue);
        arm.net.push(revenue - gift_cost - message_cost);
    }
    arms
}

/// The part of the area under an even curve that lies beyond a place, both sides together: by Simpson's rule, up to
/// where the curve ends.
fn tails(curve: impl Fn(f64) -> f64, from: f64, end: f64) -> f64 {
    const STEPS: u32 = 10_000;
    let area = |from: f64| {
        let step = (end - from) / f64::from(STEPS);
        let weight = |place| if place == 0 || place == STEPS { 1.0 } else { f64::from(2 + 2 * (place % 2)) };
        (0..=STEPS).map(|place| weight(place) * curve(from + f64::from(place) * step)).sum::<f64>() * step
    };
    area(from.abs()) / area(0.0)
}

fn normal_p(z: f64) -> f64 {
    tails(|x| (-x * x / 2.0).exp(), z, 40.0)
}

/// Student's t is √df · tan of an angle, and the density of that a power of its cosine.
fn student_p(t: f64, df: f64) -> f64 {
    tails(|angle| angle.cos().max(0.0).powf(df - 1.0), (t / df.sqrt()).atan(), FRAC_PI_2)
}

/// Beyond which 5 % lie.
fn student_quantile(df: f64) -> f64 {
    let (mut low, mut high) = (1.0, 20.0);
    while high - low > 1e-11 {
        let middle = f64::midpoint(low, high);
        if student_p(middle, df) > 0.05 { low = middle } else { high = middle }
    }
    low
}

/// How many, their mean, and the variance between them.
fn moments(values: &[f64]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (n, mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// Two arms by their means.
fn means(arm: &[f64], against: &[f64]) -> Value {
    let ((n1, m1, v1), (n2, m2, v2)) = (moments(arm), moments(against));
    let difference = m1 - m2;
    let test = |variance: f64, df: f64| {
        let se = variance.sqrt();
        let half = student_quantile(df) * se;
        json!({ "se": se, "low": difference - half, "high": difference + half, "p": student_p(difference / se, df) })
    };
    let (df, n) = (n1 + n2 - 2.0, n1 + n2);
    let pooled = ((n1 - 1.0) * v1 + (n2 - 1.0) * v2) / df;
    let mut all = test(pooled / n1 + pooled / n2, df);
    let (a, b) = (v1 / n1, v2 / n2);
    all["welch"] = test(a + b, (a + b).powi(2) / (a * a / (n1 - 1.0) + b * b / (n2 - 1.0)));
    // arXiv 2103.06476, equation 9, with ρ as it is best for 5,000 members.
    let (se, alpha) = (all["se"].as_f64().unwrap(), 0.05_f64);
    let scaled = n / 5_000.0 * (-2.0 * alpha.ln() + (1.0 - 2.0 * alpha.ln()).ln());
    let half = se * (2.0 * (scaled + 1.0) / scaled * ((scaled + 1.0).sqrt() / alpha).ln()).sqrt();
    all["always_valid"] = json!({ "low": difference - half, "high": difference + half });
    all["difference"] = json!(difference);
    all["smallest_detectable"] = json!(2.801_585_2 * se);
    // There is no other comparison.
    all["p_holm"] = all["p"].clone();
    all
}

/// Two arms by the shares that bought: Newcombe's interval from Wilson's two, and the pooled z-test.
fn shares(arm: &Arm, against: &Arm) -> Value {
    const Z: f64 = 1.959_963_984_540_054;
    let share = |arm: &Arm| (arm.buyers as f64, arm.revenue.len() as f64);
    let ((x1, n1), (x2, n2)) = (share(arm), share(against));
    let wilson = |x: f64, n: f64| {
        let (p, z) = (x / n, Z * Z);
        let half = Z * (p * (1.0 - p) / n + z / (4.0 * n * n)).sqrt();
        let end = |sign: f64| (p + z / (2.0 * n) + sign * half) / (1.0 + z / n);
        (p - end(-1.0), end(1.0) - p)
    };
    let ((below1, above1), (below2, above2)) = (wilson(x1, n1), wilson(x2, n2));
    let (difference, pooled) = (x1 / n1 - x2 / n2, (x1 + x2) / (n1 + n2));
    let p = normal_p(difference / (pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2)).sqrt());
    json!({
        "difference": difference, "low": difference - below1.hypot(above2), "high": difference + above1.hypot(below2),
        "p": p, "p_holm": p,
    })
}

/// The word, and the numbers that it goes by.
fn verdict(net: &Value, arms: [&Arm; 2]) -> (&'static str, Value) {
    let ends = |of: &Value| [&of["low"], &of["high"]].map(|end| end.as_f64().unwrap());
    let (always, fixed) = (ends(&net["always_valid"]), ends(net));
    let said = |kind, [low, high]: [f64; 2]| (kind, json!({ "kind": kind, "low": low, "high": high }));
    assert!(arms.iter().all(|arm| arm.revenue.len() >= 100 && arm.buyers >= 10), "the demo has enough of each");
    assert!(fixed[1] > 0.0, "no campaign of the demo harms");
    if always[0] > 0.0 {
        return said("works", always);
    }
    if fixed[0] > 0.0 {
        return said("promising", fixed);
    }
    let (kind, mut reason) = said("no_difference", fixed);
    reason["detectable"] = net["smallest_detectable"].clone();
    (kind, reason)
}

/// Whether a tenth of the members were in another experiment as well, in the time in which orders count.
fn overlaps(lists: &Lists, campaign: &str, run: i64, at: i64) -> bool {
    let in_others = |message: &Message| {
        let others = lists.messages.iter().filter(|other| other.campaign != campaign && other.arm.is_some());
        let mut own = others.filter(|other| other.member_id == message.member_id);
        own.any(|other| (other.due_at - message.due_at).abs() <= WITHIN)
    };
    let members = firsts(lists, campaign, run, at);
    let assigned = lists.messages.iter().filter(|message| message.campaign == campaign && message.arm.is_some());
    let both: BTreeSet<i64> = assigned.filter(|message| in_others(message)).map(|message| message.member_id).collect();
    both.len() * 10 >= members.len()
}

#[test]
fn every_number_of_effects_is_what_its_lists_say() {
    let lists = lists();
    for campaign in ["at-risk", "birthday", "post-purchase"] {
        let arguments = ["effect", "--campaign", campaign, "--at", END];
        let (found, at) = (report(&arguments), midnight(END));
        let own = || lists.messages.iter().filter(|message| message.campaign == campaign);
        let run = own().filter_map(|message| message.run).max().unwrap();
        let without = own().filter(|message| message.assigned_at.is_some() && message.arm.is_none());
        let arms = arms(lists, campaign, run, at);
        let shown: Vec<Value> = arms.iter().map(|(name, arm)| arm.shown(name)).collect();
        let [holdout, treated] = ["holdout", "treated"].map(|name| &arms[name]);
        let net = means(&treated.net, &holdout.net);
        let (verdict, reason) = verdict(&net, [treated, holdout]);
        // The demo holds out two in five.
        let sizes = [treated, holdout].map(|arm| arm.revenue.len() as f64 + arm.not_yet as f64);
        let wanted = [0.6, 0.4].map(|share| share * (sizes[0] + sizes[1]));
        let squares: f64 = sizes.iter().zip(wanted).map(|(size, wanted)| (size - wanted).powi(2) / wanted).sum();
        assert!(normal_p(squares.sqrt()) > 0.001, "chance alone");
        let warnings = if overlaps(lists, campaign, run, at) { vec!["overlap"] } else { Vec::new() };
        let expected = json!({
            "campaign": campaign, "from": null, "to": instant(at), "at": instant(at), "within_days": 14.0,
            "currency": BRAND, "run": run, "other_runs": [], "without_experiment": without.count(), "arms": shown,
            "comparisons": [{
                "arm": "treated", "against": "holdout", "revenue_per_member": means(&treated.revenue, &holdout.revenue),
                "net_per_member": net, "buyers_share": shares(treated, holdout), "verdict": verdict, "reason": reason,
                "because": found["comparisons"][0]["because"],
            }],
            "warnings": warnings,
        });
        agree(&found, &expected, NEAR, campaign);
        agree(&found["arms"], &expected["arms"], EXACT, campaign);
        assert!(arms.values().all(|arm| arm.not_yet > 0 && arm.other_currencies > 0), "{campaign}");
        assert!(treated.message_cost > 0.0 && (treated.gift_cost > 0.0) == (campaign == "birthday"), "{campaign}");
        let sum = |of: fn(&Arm) -> i64| arms.values().map(of).sum::<i64>();
        let rows = [sum(|arm| arm.revenue.len() as i64 + arm.not_yet), sum(|arm| arm.orders)];
        for metric in ["members", "revenue", "difference", "always_valid"] {
            explained(&arguments, metric, &found, &rows);
        }
    }
}

impl Arm {
    fn shown(&self, name: &str) -> Value {
        json!({
            "arm": name, "members": self.revenue.len(), "buyers": self.buyers, "orders": self.orders,
            "revenue": self.revenue.iter().sum::<f64>(), "gift_cost": self.gift_cost,
            "message_cost": self.message_cost, "not_yet": self.not_yet, "other_currencies": self.other_currencies,
        })
    }
}
