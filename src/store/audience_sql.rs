//! Filters as SQL: the same answer as in memory, for all members at once. Every value is bound.

use sqlx::AssertSqlSafe;

use super::{Database, Ids, Result, Texts, Tx, models, query, rfm, statements};
use crate::domain::Instant;
use crate::domain::audience::{
    Aggregate, Audience, Comparison, Field, Operand, Operator, Prediction, Received, Span, attribute, day,
};
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::domain::experiment::sums::Sums;
use crate::domain::lifetime::Models;
use crate::domain::message::Channel;
use crate::domain::money::minor_units;
use crate::domain::rfm::{Cuts, Measure};

mod pages;

use pages::Predicted;

statements! {
    ATTRIBUTE_VALUES = "SELECT DISTINCT m.attributes ->> CAST($1 AS TEXT) FROM members m \
        WHERE m.attributes ->> CAST($1 AS TEXT) IS NOT NULL";
}

/// A condition on a member `m`, with the values of its placeholders from `$1` on. It is true or
/// false, never null.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    sql: String,
    binds: Vec<Bind>,
    predicted: Vec<Predicted<'a>>,
    brand: &'a Brand,
    at: Instant,
}

#[derive(Debug, Clone)]
pub(super) enum Bind {
    Integer(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Ids(Vec<i64>),
}

/// A member in an audience.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sampled {
    pub external_id: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// The condition under which a member is in the audience at an instant.
pub async fn compile<'a>(tx: &mut Tx, audience: &'a Audience, brand: &'a Brand, at: Instant) -> Result<Filter<'a>> {
    let uses = audience.uses();
    let cuts = if uses.rfm { rfm::current(tx).await?.map(|fitted| fitted.cuts) } else { None };
    let models = if uses.predictions { models::newest(tx).await? } else { None };
    let models = models.map(|fitted| fitted.models(&brand.currency));
    let mut compiler = Compiler { brand, at, cuts, models, binds: Vec::new(), predicted: Vec::new() };
    let sql = compiler.audience(tx, audience).await?;
    Ok(Filter { sql, binds: compiler.binds, predicted: compiler.predicted, brand, at })
}

/// How many members it holds for.
pub async fn count(tx: &mut Tx, filter: &Filter<'_>) -> Result<i64> {
    let (mut all, mut after) = (0, Some(0));
    while let Some(page) = filter.page(tx, &mut after).await? {
        let sql = format!("SELECT COUNT(*) FROM members m WHERE m.deleted_at IS NULL AND {}", page.sql);
        let rows: Vec<(i64,)> = fetch(tx, sql, page.binds).await?;
        all += rows.first().map_or(0, |(count,)| *count);
    }
    Ok(all)
}

/// What the members that it holds for spent from one instant, not included, up to another, by valid orders of at least an
/// amount: buyers, and the sums by member in minor units of the currency.
pub async fn spending(
    tx: &mut Tx,
    filter: &Filter<'_>,
    (after, until): (Instant, Instant),
    (least, currency): (i64, &str),
) -> Result<(i64, Sums)> {
    let (mut all_buyers, mut all, mut page_after) = (0, Sums::default(), Some(0));
    while let Some(mut page) = filter.page(tx, &mut page_after).await? {
        let binds = [after, until].map(|at| Bind::Integer(at.timestamp_millis()));
        let binds = binds.into_iter().chain([Bind::Integer(least), Bind::Text(currency.to_owned())]);
        let first = page.binds.len() + 1;
        let [after, until, least, currency] = [0, 1, 2, 3].map(|offset| format!("${}", first + offset));
        page.binds.extend(binds);
        let sql = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN s.orders > 0 THEN 1 ELSE 0 END), 0) AS BIGINT), \
             CAST(COALESCE(SUM(s.spent), 0) AS BIGINT), \
             COALESCE(SUM(CAST(s.spent AS DOUBLE PRECISION) * CAST(s.spent AS DOUBLE PRECISION)), 0.0) \
             FROM (SELECT m.id, COUNT(p.id) AS orders, CAST(COALESCE(SUM(p.amount), 0) AS BIGINT) AS spent FROM members m \
             LEFT JOIN purchases p ON p.member_id = m.id AND p.status = 'paid' AND p.purchased_at > {after} \
             AND p.purchased_at <= {until} AND p.amount >= {least} AND p.currency = {currency} \
             WHERE m.deleted_at IS NULL AND {} GROUP BY m.id) s",
            page.sql
        );
        let rows: Vec<(i64, i64, i64, f64)> = fetch(tx, sql, page.binds).await?;
        let (members, buyers, sum, squares) = rows.first().copied().unwrap_or_default();
        all_buyers += buyers;
        all.merge(&Sums { n: members.unsigned_abs(), sum: i128::from(sum), squares: squares as i128 });
    }
    Ok((all_buyers, all))
}

/// The first `limit` members that it holds for.
pub async fn sample(tx: &mut Tx, filter: &Filter<'_>, limit: i64) -> Result<Vec<Sampled>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(mut page) = filter.page(tx, &mut after).await? {
        page.binds.push(Bind::Integer(limit - all.len() as i64));
        let sql = format!(
            "SELECT m.external_id, m.first_name, m.last_name FROM members m WHERE m.id > 0 AND m.deleted_at IS NULL AND {} \
             ORDER BY m.id LIMIT ${}",
            page.sql,
            page.binds.len()
        );
        all.extend(fetch::<Sampled>(tx, sql, page.binds).await?);
        if all.len() as i64 >= limit {
            break;
        }
    }
    Ok(all)
}

/// The rows of a statement that was built for a filter.
pub(super) async fn fetch<T>(tx: &mut Tx, sql: String, binds: Vec<Bind>) -> Result<Vec<T>>
where
    T: Send
        + Unpin
        + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
        + for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
{
    let sql = AssertSqlSafe(tx.dialect().expand(&sql));
    macro_rules! run {
        ($connection:expr) => {{
            let mut bound = sqlx::query_as::<_, T>(sql);
            for bind in binds {
                bound = match bind {
                    Bind::Integer(value) => bound.bind(value),
                    Bind::Number(value) => bound.bind(value),
                    Bind::Flag(value) => bound.bind(value),
                    Bind::Text(value) => bound.bind(value),
                    Bind::Texts(values) => bound.bind(Texts(values)),
                    Bind::Ids(values) => bound.bind(Ids(values)),
                };
            }
            bound.fetch_all(&mut **$connection).await?
        }};
    }
    Ok(match &mut tx.database {
        Database::Postgres(connection) => run!(connection),
        Database::Sqlite(connection) => run!(connection),
    })
}

/// How a field's SQL is compared.
enum Kind {
    Text,
    /// Text whose case makes no difference.
    Word,
    Number,
    Flag,
    /// Epoch milliseconds.
    Instant,
    /// ISO text.
    Date,
}

struct Compiler<'a> {
    brand: &'a Brand,
    at: Instant,
    cuts: Option<Cuts>,
    models: Option<Models>,
    binds: Vec<Bind>,
    predicted: Vec<Predicted<'a>>,
}

impl<'a> Compiler<'a> {
    /// A placeholder for a value.
    fn bind(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    fn instant(&mut self, at: Instant) -> String {
        self.bind(Bind::Integer(at.timestamp_millis()))
    }

    async fn audience(&mut self, tx: &mut Tx, audience: &'a Audience) -> Result<String> {
        Ok(match audience {
            Audience::All(items) => self.joined(tx, items, " AND ", "TRUE").await?,
            Audience::Any(items) => self.joined(tx, items, " OR ", "FALSE").await?,
            Audience::Not(inner) => format!("NOT {}", Box::pin(self.audience(tx, inner)).await?),
            Audience::Compare(comparison) => self.comparison(tx, comparison).await?,
            Audience::Reachable(channel) => {
                let channels = Channel::ALL.iter().filter(|one| channel.is_none_or(|only| only == **one));
                let terms = channels.map(|channel| reachable(*channel)).collect::<Vec<_>>();
                format!("({})", terms.join(" OR "))
            }
            Audience::Received(asked) => self.received(asked),
            Audience::Segment(segment) => match &segment.filter {
                Some(filter) => Box::pin(self.audience(tx, filter)).await?,
                None => "FALSE".to_owned(),
            },
        })
    }

    async fn joined(&mut self, tx: &mut Tx, items: &'a [Audience], word: &str, empty: &str) -> Result<String> {
        let mut terms = Vec::new();
        for item in items {
            terms.push(Box::pin(self.audience(tx, item)).await?);
        }
        Ok(if terms.is_empty() { empty.to_owned() } else { format!("({})", terms.join(word)) })
    }

    fn received(&mut self, asked: &Received) -> String {
        let (campaign, at) = (self.bind(Bind::Text(asked.campaign.clone())), self.instant(self.at));
        let after = self.instant(asked.after(self.at));
        format!(
            "EXISTS (SELECT 1 FROM messages x WHERE x.member_id = m.id AND x.campaign = {campaign} \
             AND x.state IN ('queued', 'sending', 'sent', 'uncertain', 'delivered', 'bounced', 'complained') \
             AND COALESCE(x.sent_at, x.queued_at) > {after} AND COALESCE(x.sent_at, x.queued_at) <= {at})"
        )
    }

    async fn comparison(&mut self, tx: &mut Tx, comparison: &'a Comparison) -> Result<String> {
        let (value, kind) = match &comparison.field {
            Field::Attribute(name) => return self.attribute(tx, name, comparison).await,
            Field::Prediction(prediction) => return Ok(self.prediction(*prediction, comparison)),
            Field::Column(name) => column(name),
            Field::Purchases(aggregate, span) => (self.aggregate(*aggregate, *span), kind_of(*aggregate)),
            Field::Rfm(measure) => (self.score(*measure), Kind::Number),
        };
        if let Operator::Exists(wanted) = comparison.operator {
            // A birthday without its year is there, though it cannot be compared.
            let value = if let Field::Column(name) = comparison.field { format!("m.{name}") } else { value };
            return Ok(format!("{value} IS {}NULL", if wanted { "NOT " } else { "" }));
        }
        Ok(self.compared(&value, &kind, comparison))
    }

    /// A value held against constants. Null is equal to nothing.
    fn compared(&mut self, value: &str, kind: &Kind, comparison: &Comparison) -> String {
        let operands = &comparison.operands;
        let mut equal = || {
            let terms: Vec<String> = operands.iter().map(|operand| self.test(value, kind, "=", operand)).collect();
            if terms.is_empty() { "FALSE".to_owned() } else { terms.join(" OR ") }
        };
        let condition = match comparison.operator {
            Operator::Eq | Operator::In => equal(),
            Operator::Ne | Operator::NotIn => return format!("NOT COALESCE({}, FALSE)", equal()),
            Operator::Gt | Operator::NewerThan => self.first(value, kind, ">", operands),
            Operator::Gte => self.first(value, kind, ">=", operands),
            Operator::Lt => self.first(value, kind, "<", operands),
            Operator::Lte | Operator::OlderThan => self.first(value, kind, "<=", operands),
            Operator::Exists(_) => "FALSE".to_owned(),
        };
        format!("COALESCE({condition}, FALSE)")
    }

    fn first(&mut self, value: &str, kind: &Kind, sign: &str, operands: &[Operand]) -> String {
        operands.first().map_or_else(|| "FALSE".to_owned(), |operand| self.test(value, kind, sign, operand))
    }

    /// One comparison: `sign` is =, >, >=, < or <=.
    fn test(&mut self, value: &str, kind: &Kind, sign: &str, operand: &Operand) -> String {
        let zone = self.brand.timezone;
        match (kind, operand) {
            (Kind::Text, Operand::Text(text)) => {
                let text = self.bind(Bind::Text(text.clone()));
                format!("{{bytes {value}}} {sign} {text}")
            }
            (Kind::Word, Operand::Text(text)) => {
                let text = self.bind(Bind::Text(text.clone()));
                format!("{{lower {value}}} {sign} {text}")
            }
            (Kind::Number, Operand::Number(number)) => {
                let number = self.bind(Bind::Number(*number));
                format!("{value} {sign} {number}")
            }
            (Kind::Flag, Operand::Flag(flag)) => {
                let flag = self.bind(Bind::Flag(*flag));
                format!("{value} {sign} {flag}")
            }
            (Kind::Date, Operand::Date(date)) => {
                let date = self.bind(Bind::Text(date.to_string()));
                format!("{{bytes {value}}} {sign} {date}")
            }
            (Kind::Date, Operand::Length(length)) => {
                let date = self.bind(Bind::Text(local_date(zone, self.at - *length).to_string()));
                format!("{{bytes {value}}} {sign} {date}")
            }
            (Kind::Instant, Operand::Length(length)) => {
                let at = self.instant(self.at - *length);
                format!("{value} {sign} {at}")
            }
            // A date is a span of instants: what comes after it begins where it ends.
            (Kind::Instant, Operand::Date(date)) => {
                let (start, end) = day(*date, zone);
                match sign {
                    "=" => {
                        let (start, end) = (self.instant(start), self.instant(end));
                        format!("({value} >= {start} AND {value} < {end})")
                    }
                    ">=" => format!("{value} >= {}", self.instant(start)),
                    ">" => format!("{value} >= {}", self.instant(end)),
                    "<" => format!("{value} < {}", self.instant(start)),
                    _ => format!("{value} < {}", self.instant(end)),
                }
            }
            _ => "FALSE".to_owned(),
        }
    }

    /// What an attribute's text means as a number, a date or a flag is decided in memory, for each
    /// text that there is.
    async fn attribute(&mut self, tx: &mut Tx, name: &str, comparison: &Comparison) -> Result<String> {
        let named = self.bind(Bind::Text(name.to_owned()));
        let value = format!("(m.attributes ->> CAST({named} AS TEXT))");
        if let Operator::Exists(wanted) = comparison.operator {
            return Ok(format!("{value} IS {}NULL", if wanted { "NOT " } else { "" }));
        }
        if comparison.operands.iter().all(|operand| matches!(operand, Operand::Text(_))) {
            return Ok(self.compared(&value, &Kind::Text, comparison));
        }
        let (zone, at) = (self.brand.timezone, self.at);
        let holds = |text: Option<&str>| {
            let value = text.and_then(|text| attribute(text, comparison.operands.first()));
            comparison.holds_for(value.as_ref(), zone, at)
        };
        let texts = query!(fetch_all, (String,), tx, ATTRIBUTE_VALUES, name)?;
        let texts = texts.into_iter().map(|(text,)| text).filter(|text| holds(Some(text))).collect();
        let listed = self.bind(Bind::Texts(texts));
        let missing = if holds(None) { "IS NULL OR" } else { "IS NOT NULL AND" };
        Ok(format!("({value} {missing} {value} {{in {listed}}})"))
    }

    /// What is expected of a member is computed in memory, page by page. Without a model nobody has the field.
    fn prediction(&mut self, prediction: Prediction, comparison: &'a Comparison) -> String {
        let without = comparison.holds_for(None, self.brand.timezone, self.at);
        let Some(models) = self.models else { return if without { "TRUE" } else { "FALSE" }.to_owned() };
        self.predicted.push(Predicted { place: self.binds.len(), prediction, comparison, models });
        let listed = self.bind(Bind::Ids(Vec::new()));
        format!("({}m.id {{in {listed}}})", if without { "NOT " } else { "" })
    }

    fn aggregate(&mut self, aggregate: Aggregate, span: Span) -> String {
        let unit = minor_units(&self.brand.currency);
        let value = match aggregate {
            Aggregate::Count => "CAST(COUNT(*) AS DOUBLE PRECISION)".to_owned(),
            Aggregate::Sum => {
                let unit = self.bind(Bind::Number(unit));
                format!("CAST(COALESCE(SUM(p.amount), 0) AS DOUBLE PRECISION) / {unit}")
            }
            Aggregate::Average => {
                let unit = self.bind(Bind::Number(unit));
                format!("CAST(SUM(p.amount) AS DOUBLE PRECISION) / (CAST(COUNT(*) AS DOUBLE PRECISION) * {unit})")
            }
            Aggregate::First => "MIN(p.purchased_at)".to_owned(),
            Aggregate::Last => "MAX(p.purchased_at)".to_owned(),
        };
        let (from, to) = span.bounds(self.at);
        let mut conditions = format!("p.purchased_at < {}", self.instant(to));
        if let Some(from) = from {
            conditions += &format!(" AND p.purchased_at >= {}", self.instant(from));
        }
        if matches!(aggregate, Aggregate::Sum | Aggregate::Average) {
            conditions += &format!(" AND p.currency = {}", self.bind(Bind::Text(self.brand.currency.clone())));
        }
        format!("(SELECT {value} FROM purchases p WHERE p.member_id = m.id AND p.status = 'paid' AND {conditions})")
    }

    fn score(&mut self, measure: Measure) -> String {
        let Some(cuts) = &self.cuts else { return "CAST(NULL AS DOUBLE PRECISION)".to_owned() };
        let cuts = *cuts.of(measure);
        let at = self.instant(self.at);
        let (value, sign) = match measure {
            Measure::Recency => (format!("{at} - MAX(p.purchased_at)"), "<"),
            Measure::Frequency => ("COUNT(*)".to_owned(), ">"),
            Measure::Monetary => {
                let currency = self.bind(Bind::Text(self.brand.currency.clone()));
                (format!("SUM(CASE WHEN p.currency = {currency} THEN p.amount ELSE 0 END)"), ">")
            }
        };
        let mut points = "1".to_owned();
        for cut in cuts {
            points += &format!(" + CASE WHEN {value} {sign} {} THEN 1 ELSE 0 END", self.bind(Bind::Integer(cut)));
        }
        format!(
            "(SELECT CAST(CASE WHEN COUNT(*) > 0 THEN {points} END AS DOUBLE PRECISION) FROM purchases p \
             WHERE p.member_id = m.id AND p.status = 'paid' AND p.purchased_at <= {at})"
        )
    }
}

/// A column's SQL and how it is compared.
fn column(name: &str) -> (String, Kind) {
    match name {
        "points" => ("CAST(m.points AS DOUBLE PRECISION)".to_owned(), Kind::Number),
        "email_consent" | "sms_consent" => (format!("m.{name}"), Kind::Flag),
        "joined_at" => ("m.joined_at".to_owned(), Kind::Instant),
        "tier" => ("m.tier".to_owned(), Kind::Word),
        // Without its year it is neither before nor after any date.
        "birth_date" => ("(CASE WHEN m.birth_date NOT LIKE '--%' THEN m.birth_date END)".to_owned(), Kind::Date),
        _ => (format!("m.{name}"), Kind::Text),
    }
}

const fn kind_of(aggregate: Aggregate) -> Kind {
    match aggregate {
        Aggregate::Count | Aggregate::Sum | Aggregate::Average => Kind::Number,
        Aggregate::First | Aggregate::Last => Kind::Instant,
    }
}

fn reachable(channel: Channel) -> String {
    let (address, consent) = match channel {
        Channel::Email => ("m.email", "m.email_consent"),
        Channel::Sms => ("m.phone", "m.sms_consent"),
    };
    format!(
        "({address} IS NOT NULL AND {consent} AND NOT EXISTS (SELECT 1 FROM suppressions s \
         WHERE s.address = LOWER({address}) AND s.purpose = 'marketing') AND NOT EXISTS (SELECT 1 FROM objections o \
         WHERE o.member_id = m.id AND o.channel = '{channel}' AND o.purpose = 'marketing'))"
    )
}
