//! What became of the messages of a time, from due to bought: by campaign, step, arm, channel, language, receiver or
//! period, and how well mail gets through.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text, ratio};
use crate::domain::experiment::arms;
use crate::domain::message::{Channel, Fact, Reason};
use crate::domain::money::minor_units;
use crate::domain::period::{Periods, Unit};
use crate::domain::receiver;
use crate::domain::words::words;
use crate::store::programme::{self, Counted};
use crate::store::{StoreError, Tx};

words! {
    /// By what messages are put together.
    By {
        Campaign = "campaign",
        Step = "step",
        Arm = "arm",
        Channel = "channel",
        Locale = "locale",
        Domain = "domain",
        Period = "period",
    }
}

/// Which messages: of these campaigns, by the date of their due instant on the brand's clock.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub campaigns: Vec<String>,
    pub from: NaiveDate,
    /// Not included.
    pub to: NaiveDate,
    pub by: By,
    /// Of messages that went or were to go by it; absent: of all.
    pub channel: Option<Channel>,
    pub periods: Periods,
    pub currency: &'a str,
}

/// A programme of messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Programme {
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub by: By,
    pub currency: String,
    pub parts: Vec<Funnel>,
    pub total: Funnel,
    /// How many counts were added up.
    pub counts_read: i64,
}

/// What became of messages. Each is in one of the first four numbers, which are `due` together; of the others, in as
/// many as are true of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Funnel {
    /// The campaign, step, … that they are of; of a period, its first day.
    pub part: String,
    pub due: i64,
    pub waiting: i64,
    pub not_sent: i64,
    pub uncertain: i64,
    pub sent: i64,
    /// Went on to the next channel after a server had taken them on this one.
    pub fell_back: i64,
    pub delivered: i64,
    pub bounced: i64,
    pub complained: i64,
    pub opened: i64,
    /// Opened by a machine, whether or not by a person as well.
    pub prefetched: i64,
    pub clicked: i64,
    pub unsubscribed: i64,
    /// Orders after a click, or with the gift's code: last touch, not what was caused.
    pub credited_orders: i64,
    pub credited_revenue: f64,
    pub codes_used: i64,
    pub gift_cost: f64,
    pub message_cost: f64,
    /// Those not sent, by reason.
    pub because: BTreeMap<String, i64>,
}

/// Of a major unit.
const MILLIONTHS: f64 = 1_000_000.0;

impl Funnel {
    fn add(&mut self, counted: &Counted, unit: f64) {
        let Ok(fact) = counted.fact.parse::<Fact>() else { return };
        let n = counted.n;
        let field = match fact {
            Fact::Waiting => &mut self.waiting,
            Fact::Sent => &mut self.sent,
            Fact::Uncertain => &mut self.uncertain,
            Fact::NotSent => &mut self.not_sent,
            Fact::FellBack => &mut self.fell_back,
            Fact::Delivered => &mut self.delivered,
            Fact::Bounced => &mut self.bounced,
            Fact::Complained => &mut self.complained,
            Fact::Opened => &mut self.opened,
            Fact::Prefetched => &mut self.prefetched,
            Fact::Clicked => &mut self.clicked,
            Fact::Unsubscribed => &mut self.unsubscribed,
            Fact::Bought => &mut self.credited_orders,
            Fact::CodeUsed => &mut self.codes_used,
        };
        *field += n;
        match fact {
            Fact::Sent => self.message_cost += counted.amount as f64 / MILLIONTHS,
            Fact::Bought => self.credited_revenue += counted.amount as f64 / unit,
            Fact::CodeUsed => self.gift_cost += counted.amount as f64 / unit,
            Fact::NotSent => *self.because.entry(counted.reason.clone()).or_default() += n,
            _ => {}
        }
        if matches!(fact, Fact::Waiting | Fact::Sent | Fact::Uncertain | Fact::NotSent) {
            self.due += n;
        }
    }

    /// Messages that a server took on the channel, whatever came later.
    const fn went_out(&self) -> i64 {
        self.sent + self.fell_back
    }
}

impl Programme {
    /// Adds up the counts.
    pub async fn read(tx: &mut Tx, asked: &Asked<'_>) -> Result<Self, StoreError> {
        let days = [asked.from, asked.to].map(|date| date.signed_duration_since(NaiveDate::default()).num_days());
        let by = if asked.by == By::Period { "day" } else { asked.by.as_str() };
        let stretches = asked.by != By::Period || !matches!(asked.periods.unit, Unit::Day | Unit::Week);
        let counts = programme::counts(tx, &asked.campaigns, days.into(), (by, stretches), asked.channel).await?;
        let unit = minor_units(asked.currency);
        let (mut parts, mut total, mut counts_read) = (BTreeMap::new(), Funnel::default(), 0);
        if asked.by == By::Period {
            let mut start = asked.periods.start(asked.from);
            while start < asked.to {
                parts.insert(start.to_string(), Funnel::default());
                start = asked.periods.next(start);
            }
        }
        for counted in &counts {
            let part = match asked.by {
                By::Period => {
                    let day = counted.part.parse().unwrap_or_default();
                    asked.periods.start(NaiveDate::default() + Days::new(day)).to_string()
                }
                _ => counted.part.clone(),
            };
            parts.entry(part).or_insert_with(Funnel::default).add(counted, unit);
            total.add(counted, unit);
            counts_read += counted.counts;
        }
        let mut parts: Vec<Funnel> = parts.into_iter().map(|(part, funnel)| Funnel { part, ..funnel }).collect();
        if asked.by != By::Period {
            parts.sort_by_key(|part| std::cmp::Reverse(part.due));
        }
        let (from, to, by, currency) = (asked.from, asked.to, asked.by, asked.currency.to_owned());
        Ok(Self { from, to, by, currency, parts, total, counts_read })
    }

    fn named(&self, part: &Funnel, periods: Periods) -> Cell {
        match self.by {
            By::Period => {
                let period = |start| Cell::Period(periods, start);
                part.part.parse().map_or_else(|_| Cell::Name(part.part.clone()), period)
            }
            _ if part.part.is_empty() => Cell::word("none"),
            By::Arm => arms::named(&part.part).map_or_else(|| Cell::Name(part.part.clone()), Cell::word),
            By::Channel => {
                let channel: Result<Channel, _> = part.part.parse();
                channel.map_or_else(|_| Cell::Name(part.part.clone()), |channel| Cell::word(channel.as_str()))
            }
            By::Locale => Cell::language(&part.part),
            By::Domain if part.part == receiver::OTHER => Cell::word(receiver::OTHER),
            _ => Cell::Name(part.part.clone()),
        }
    }

    /// Of which days it is.
    fn about(&self) -> Text {
        let last = self.to.pred_opt().unwrap_or(self.to);
        if last == self.from {
            let english = "Messages that fell due on {0}, and all that was heard or bought because of them.";
            return Text::new(english, [Cell::Date(last)]);
        }
        Text::new(
            "Messages that fell due from {0} to {1}, and all that was heard or bought because of them.",
            [Cell::Date(self.from), Cell::Date(last)],
        )
    }

    /// The funnel.
    pub fn sheet(&self, title: Text, periods: Periods) -> Sheet {
        let row = |name: Cell, part: &Funnel| {
            let counts =
                [part.due, part.waiting, part.not_sent, part.sent, part.delivered, part.bounced, part.complained];
            let heard = [part.opened, part.clicked, part.unsubscribed, part.codes_used, part.credited_orders];
            let money = [part.credited_revenue, part.gift_cost + part.message_cost].map(Cell::Money);
            [vec![name], counts.map(Cell::Count).to_vec(), heard.map(Cell::Count).to_vec(), money.to_vec()].concat()
        };
        let mut rows: Vec<Vec<Cell>> = self.parts.iter().map(|part| row(self.named(part, periods), part)).collect();
        if rows.len() != 1 {
            rows.push(row(Cell::word("all"), &self.total));
        }
        let columns = vec![
            self.by.as_str(),
            "due",
            "waiting",
            "not sent",
            "sent",
            "delivered",
            "bounced",
            "complained",
            "opened",
            "clicked",
            "unsubscribed",
            "codes used",
            "orders credited",
            "revenue credited",
            "cost",
        ];
        let chart = match self.by {
            By::Period => Chart::Lines { label: 0, values: vec![4, 8, 9] },
            _ => Chart::Bars { label: 0, values: vec![4] },
        };
        let mut notes = vec![Text::from(
            "Credited is what was bought after a click or with a gift's code (last touch); what messages caused is in `report effect`.",
        )];
        if self.total.prefetched > 0 {
            notes.push(Text::new(
                "{0} messages were opened by machines, which is not counted as opened.",
                [Cell::Count(self.total.prefetched)],
            ));
        }
        Sheet {
            title,
            about: vec![self.about()],
            tables: vec![
                Table { name: "what became of them", columns, rows, chart: Some(chart) },
                Table {
                    name: "not sent, and why",
                    columns: vec!["reason", "messages"],
                    rows: self.reasons(),
                    chart: None,
                },
            ],
            notes,
            currency: self.currency.clone(),
        }
    }

    /// Why messages were not sent, the most frequent first.
    fn reasons(&self) -> Vec<Vec<Cell>> {
        let mut reasons: Vec<(&String, &i64)> = self.total.because.iter().filter(|(_, n)| **n != 0).collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let reason = |word: &String| {
            let reason: Result<Reason, _> = word.parse();
            reason.map_or_else(|_| Cell::Name(word.clone()), |reason| Cell::word(reason.as_str()))
        };
        reasons.into_iter().map(|(word, n)| vec![reason(word), Cell::Count(*n)]).collect()
    }

    /// How well mail gets through, against what large receivers allow.
    pub fn deliverability(&self, periods: Periods) -> Sheet {
        let row = |name: Cell, part: &Funnel| {
            let sent = part.went_out();
            let [bounced, complained, unsubscribed] =
                [part.bounced, part.complained, part.unsubscribed].map(|count| ratio(count, sent));
            vec![
                name,
                Cell::Count(sent),
                Cell::Count(part.bounced),
                Cell::share(bounced),
                Cell::Count(part.complained),
                Cell::share(complained),
                Cell::Count(part.unsubscribed),
                Cell::share(unsubscribed),
                Cell::word(Judged::of(sent, part.bounced, part.complained).as_str()),
            ]
        };
        let parts = self.parts.iter().filter(|part| part.went_out() > 0);
        let mut rows: Vec<Vec<Cell>> = parts.map(|part| row(self.named(part, periods), part)).collect();
        rows.push(row(Cell::word("all"), &self.total));
        let columns = vec![
            self.by.as_str(),
            "sent",
            "bounced",
            "bounce rate",
            "complained",
            "complaint rate",
            "unsubscribed",
            "unsubscribe rate",
            "verdict",
        ];
        Sheet {
            title: "How well mail gets through".into(),
            about: vec![self.about()],
            tables: vec![Table {
                name: "by receiver",
                columns,
                rows,
                chart: Some(Chart::Bars { label: 0, values: vec![3, 5] }),
            }],
            notes: vec![
                "Gmail and Yahoo want complaints below 0.1 % and refuse from 0.3 % on; Amazon SES looks into bounces from 5 % on and stops at 10 %."
                    .into(),
            ],
            currency: self.currency.clone(),
        }
    }
}

words! {
    /// What rates of bounces and complaints mean to receivers.
    Judged {
        /// Below `FEWEST` mails nothing can be said.
        TooFew = "too few",
        Fine = "fine",
        /// Above what is wanted.
        High = "high",
        /// Mail is refused, or soon will be.
        TooHigh = "too high",
    }
}

/// Mails from which on a rate is judged.
const FEWEST: i64 = 100;

impl Judged {
    /// By Gmail's and Yahoo's guidelines for senders (complaints: 0.1 %, 0.3 %) and those of Amazon SES (bounces: 5 %,
    /// 10 %).
    pub fn of(sent: i64, bounced: i64, complained: i64) -> Self {
        let reaches = |count: i64, per_thousand: i64| count * 1_000 >= sent * per_thousand;
        match () {
            () if sent < FEWEST => Self::TooFew,
            () if reaches(complained, 3) || reaches(bounced, 100) => Self::TooHigh,
            () if reaches(complained, 1) || reaches(bounced, 50) => Self::High,
            () => Self::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_judged_as_receivers_do() {
        let check = |sent, bounced, complained, expected: Judged| {
            assert_eq!(Judged::of(sent, bounced, complained), expected, "{sent} {bounced} {complained}");
        };
        check(99, 99, 99, Judged::TooFew);
        check(1_000, 49, 0, Judged::Fine);
        check(1_000, 50, 0, Judged::High);
        check(1_000, 100, 0, Judged::TooHigh);
        check(10_000, 0, 9, Judged::Fine);
        check(10_000, 0, 10, Judged::High);
        check(10_000, 0, 30, Judged::TooHigh);
    }
}
