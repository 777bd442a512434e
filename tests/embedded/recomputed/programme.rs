//! What became of messages, from lists of them and of what was heard and bought.

use super::*;

/// One thing that is true of a message, with all by which messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fact<'a> {
    /// On the shop's clock, since 1970.
    day: i64,
    campaign: &'a str,
    step: &'a str,
    arm: &'a str,
    channel: &'a str,
    locale: &'a str,
    domain: &'a str,
    what: &'static str,
    reason: &'a str,
}

/// As what mail to an address counts. Whether a domain that comes up here is a large receiver has to be said.
fn receiver(address: &str) -> &'static str {
    match address.rsplit_once('@').unwrap().1 {
        "example.com" => "other",
        unknown => panic!("is {unknown} a large receiver?"),
    }
}

/// What an event says of its message.
fn heard(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "delivered" => "delivered",
        "bounced" | "soft_bounced" | "undelivered" | "no_mail" | "blocked" => "bounced",
        "complained" => "complained",
        "opened" => "opened",
        "prefetched" => "prefetched",
        "clicked" => "clicked",
        "unsubscribed" | "opted_out" => "unsubscribed",
        "opted_in" | "replied" => return None,
        unknown => panic!("what is {unknown}?"),
    })
}

/// What is true of all messages, each with the money that goes with it.
fn facts(lists: &Lists) -> Vec<(Fact<'_>, f64)> {
    let orders = lists.orders.values().flatten().filter(|order| order.currency == BRAND);
    let credited = orders.filter_map(|order| Some((lists.by_code(order).or_else(|| lists.by_click(order))?, order)));
    let credited = grouped(credited, |(message, _)| *message);
    let of = |message| of_message(lists, message, credited.get(&message.id).map_or(&[], Vec::as_slice));
    lists.messages.iter().flat_map(of).collect()
}

fn of_message<'a>(lists: &'a Lists, message: &'a Message, orders: &[(Uuid, &Order)]) -> Vec<(Fact<'a>, f64)> {
    let text = |field: &'a Option<String>| field.as_deref().unwrap_or_default();
    let own = text(&message.channel);
    let fact = |channel: &'a str, what, reason| Fact {
        day: (message.due_at + TEHRAN).div_euclid(DAY),
        campaign: &message.campaign,
        step: &message.step,
        arm: text(&message.arm),
        channel,
        locale: text(&message.locale),
        domain: if channel == "email" { lists.address(message, channel).map_or("", receiver) } else { "" },
        what,
        reason,
    };
    let mut all = vec![match message.state.as_str() {
        "planned" | "queued" => (Fact { arm: "", locale: "", ..fact("", "waiting", "") }, 0.0),
        "uncertain" => (fact(own, "uncertain", ""), 0.0),
        "sent" | "delivered" | "bounced" | "complained" => (fact(own, "sent", ""), lists.cost(message)),
        _ => (fact(own, "not_sent", text(&message.reason)), 0.0),
    }];
    let events = lists.events(message).iter();
    let once: BTreeSet<_> = events.filter_map(|event| Some((event.channel.as_str(), heard(&event.kind)?))).collect();
    all.extend(once.into_iter().map(|(channel, what)| (fact(channel, what, ""), 0.0)));
    let taken = lists.attempts(message).iter().filter(|attempt| attempt.outcome == "sent");
    let left: BTreeSet<&str> =
        taken.map(|attempt| attempt.channel.as_str()).filter(|channel| *channel != own).collect();
    all.extend(left.into_iter().map(|channel| (fact(channel, "fell_back", ""), 0.0)));
    for (_, order) in orders {
        all.push((fact(own, "credited_orders", ""), order.amount as f64 / UNIT));
        let gift = lists.gifts.iter().find(|gift| gift.code.is_some() && gift.code == order.coupon_code);
        if let Some(gift) = gift.filter(|gift| gift.came_with(message)) {
            all.push((fact(own, "codes_used", ""), gift.cost.unwrap_or(0) as f64 / UNIT));
        }
    }
    all
}

impl Gift {
    fn came_with(&self, message: &Message) -> bool {
        let of_gift = (self.member_id, &self.campaign, &self.occasion, &self.step);
        of_gift == (message.member_id, &message.campaign, &message.occasion, &message.step)
    }
}

impl Lists {
    /// The message that told the code of an order, whoever made the order.
    fn by_code(&self, order: &Order) -> Option<Uuid> {
        let code = order.coupon_code.as_ref()?;
        let gift = self.gifts.iter().find(|gift| gift.code.as_ref() == Some(code))?;
        let told = self.messages.iter().filter(|message| gift.came_with(message));
        let sent = told.filter_map(|message| Some((message.sent_at?, message.id)));
        sent.filter(|(at, _)| *at <= order.purchased_at).max().map(|(_, message)| message)
    }

    /// The message that was clicked last before an order, not too long before. No campaign asks for a least amount.
    fn by_click(&self, order: &Order) -> Option<Uuid> {
        let own = self.messages.iter().filter(|message| message.member_id == order.member_id);
        let events = own.flat_map(|message| self.events(message).iter().map(|event| (event, message.id)));
        let clicks = events.filter(|(event, _)| event.kind == "clicked").map(|(event, message)| (event.at, message));
        let in_time = |at: i64| at <= order.purchased_at && order.purchased_at <= at + WITHIN;
        clicks.filter(|(at, _)| in_time(*at)).max().map(|(_, message)| message)
    }
}

/// How many of which facts, and what they came to.
fn funnel<'a>(part: &str, facts: impl IntoIterator<Item = &'a (Fact<'a>, f64)>) -> Value {
    const COUNTS: &str = "due waiting not_sent uncertain sent fell_back delivered bounced complained opened prefetched \
                          clicked unsubscribed credited_orders codes_used";
    let mut counts: BTreeMap<&str, i64> = COUNTS.split(' ').map(|name| (name, 0)).collect();
    let mut sums = BTreeMap::from([("credited_revenue", 0.0), ("gift_cost", 0.0), ("message_cost", 0.0)]);
    let mut because: BTreeMap<&str, i64> = BTreeMap::new();
    for (fact, amount) in facts {
        *counts.get_mut(fact.what).unwrap() += 1;
        if matches!(fact.what, "waiting" | "not_sent" | "uncertain" | "sent") {
            *counts.get_mut("due").unwrap() += 1;
        }
        match fact.what {
            "not_sent" => *because.entry(fact.reason).or_default() += 1,
            "sent" => *sums.get_mut("message_cost").unwrap() += amount,
            "credited_orders" => *sums.get_mut("credited_revenue").unwrap() += amount,
            "codes_used" => *sums.get_mut("gift_cost").unwrap() += amount,
            _ => {}
        }
    }
    let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
    let sums = sums.into_iter().map(|(name, sum)| (name.to_owned(), json!(sum)));
    let rest = [("part".to_owned(), json!(part)), ("because".to_owned(), json!(because))];
    Value::Object(counts.chain(sums).chain(rest).collect::<Map<_, _>>())
}

/// A report of messages: of which, and by what they are told apart.
struct Told<'a> {
    arguments: &'a [&'a str],
    by: &'a str,
    campaign: Option<&'a str>,
    channel: Option<&'a str>,
}

impl Told<'_> {
    fn part(&self, fact: &Fact<'_>) -> String {
        let date = || DateTime::from_timestamp_millis(fact.day * DAY).unwrap().date_naive().to_string();
        match self.by {
            "campaign" => fact.campaign.to_owned(),
            "step" => fact.step.to_owned(),
            "arm" => fact.arm.to_owned(),
            "channel" => fact.channel.to_owned(),
            "locale" => fact.locale.to_owned(),
            "domain" => fact.domain.to_owned(),
            "month" => MONTHS.into_iter().rfind(|first| *first <= date().as_str()).unwrap().to_owned(),
            other => panic!("{other}"),
        }
    }

    /// Holds the report of a time against the facts; gives it.
    fn holds(&self, lists: &Lists, facts: &[(Fact<'_>, f64)], (from, to): (&str, &str)) -> Value {
        let days = [from, to].map(|date| (midnight(date) + TEHRAN).div_euclid(DAY));
        let is_within = |day: i64, campaign: &str, channel: &str| {
            (days[0]..days[1]).contains(&day)
                && self.campaign.is_none_or(|own| own == campaign)
                && self.channel.is_none_or(|own| own == channel)
        };
        let within = facts.iter().filter(|(fact, _)| is_within(fact.day, fact.campaign, fact.channel));
        let within: Vec<&(Fact<'_>, f64)> = within.collect();
        let mut parts: BTreeMap<String, Vec<_>> = BTreeMap::new();
        if self.by == "month" {
            parts.extend(months((from, to)).into_iter().map(|(first, _)| (first.to_owned(), Vec::new())));
        }
        for fact in &within {
            parts.entry(self.part(&fact.0)).or_default().push(*fact);
        }
        let mut parts: Vec<Value> = parts.into_iter().map(|(part, facts)| funnel(&part, facts)).collect();
        let by = if self.by == "month" { "period" } else { self.by };
        if self.by != "month" {
            parts.sort_by_key(|part| Reverse(part["due"].as_i64()));
        }
        let counted = lists.counted.iter().filter(|row| is_within(row.day, &row.campaign, &row.channel));
        // Each count stands for messages of which the same is true; some may have been added up before.
        let (counts, nothing): (Vec<&Counted>, Vec<&Counted>) = counted.partition(|row| row.n != 0);
        let different: BTreeSet<&Fact<'_>> = within.iter().map(|(fact, _)| fact).collect();
        assert_eq!(different.len(), counts.len());
        let total = funnel("", within);
        let arguments = [self.arguments, &["--by", self.by, "--from", from, "--to", to]].concat();
        let found = report(&arguments);
        let read = found["counts_read"].as_u64().unwrap() as usize;
        assert!(read > 0 && read <= counts.len() + nothing.len(), "{read} of {}", counts.len());
        let expected = json!({
            "from": from, "to": to, "by": by, "currency": BRAND, "parts": parts, "total": total, "counts_read": read,
        });
        agree(&found, &expected, EXACT, &arguments.join(" "));
        adds_up(&found);
        found
    }
}

/// The parts are together the total.
fn adds_up(found: &Value) {
    let parts = found["parts"].as_array().unwrap();
    let total = found["total"].as_object().unwrap().iter();
    for (name, whole) in total.filter(|(_, whole)| whole.is_number()) {
        let sum: f64 = parts.iter().map(|part| part[name].as_f64().unwrap()).sum();
        let whole = whole.as_f64().unwrap();
        assert!((sum - whole).abs() <= EXACT * whole, "{name}: {sum} is not {whole}");
    }
}

/// The rates that only the table has, as judged by what receivers allow.
fn rates_hold(found: &Value, (from, to): (&str, &str)) {
    let text = printed("csv", &["deliverability", "--from", from, "--to", to]);
    let rows: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(name, rest)| (name, rest.split(',').collect()))
        .collect();
    let parts = found["parts"].as_array().unwrap().iter().map(|part| (part["part"].as_str().unwrap(), part));
    let sent = |part: &Value| part["sent"].as_i64().unwrap() + part["fell_back"].as_i64().unwrap();
    let all = parts.filter(|(_, part)| sent(part) > 0).chain([("all", &found["total"])]);
    let all: BTreeMap<&str, &Value> = all.collect();
    assert_eq!(rows.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
    for (name, part) in all {
        let row = &rows[name];
        let rate = |of: &str| part[of].as_f64().unwrap() / sent(part) as f64;
        assert_eq!(row[0], sent(part).to_string());
        for (place, of) in [(1, "bounced"), (3, "complained"), (5, "unsubscribed")] {
            assert_eq!(row[place], part[of].to_string(), "{name} {of}");
            assert!((row[place + 1].parse::<f64>().unwrap() - rate(of)).abs() <= EXACT * rate(of), "{name} {of}");
        }
        let verdict = match (rate("complained"), rate("bounced")) {
            _ if sent(part) < 100 => "too few",
            (complained, bounced) if complained >= 0.003 || bounced >= 0.1 => "too high",
            (complained, bounced) if complained >= 0.001 || bounced >= 0.05 => "high",
            _ => "fine",
        };
        assert_eq!(row[7], verdict, "{name}");
    }
}

#[test]
fn every_number_of_the_programme_is_what_its_lists_say() {
    let lists = lists();
    let facts = facts(lists);
    for window in [ALL, SOME] {
        for by in ["campaign", "arm", "channel", "locale", "domain", "month"] {
            let told = Told { arguments: &["campaigns"], by, campaign: None, channel: None };
            told.holds(lists, &facts, window);
        }
        for name in ["at-risk", "birthday", "post-purchase"] {
            let told = Told { arguments: &["campaign", name], by: "step", campaign: Some(name), channel: None };
            told.holds(lists, &facts, window);
        }
        let told = Told { arguments: &["deliverability"], by: "domain", campaign: None, channel: Some("email") };
        rates_hold(&told.holds(lists, &facts, window), window);
    }
    let told = Told { arguments: &["campaigns"], by: "campaign", campaign: None, channel: None };
    let found = told.holds(lists, &facts, ALL);
    // What never happens in the demo says nothing here.
    let total = found["total"].as_object().unwrap().iter();
    let never: Vec<&str> = total.filter(|(_, sum)| sum.as_f64() == Some(0.0)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(never, ["complained", "fell_back", "uncertain", "waiting"]);
    assert_eq!(found["total"]["due"], lists.messages.len());
    for metric in ["sent", "because", "credited_revenue", "gift_cost"] {
        let arguments = ["campaigns", "--from", ALL.0, "--to", ALL.1];
        explained(&arguments, metric, &found, &[found["counts_read"].as_i64().unwrap()]);
    }
}
