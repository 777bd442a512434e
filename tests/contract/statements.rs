//! Every statement of the store and every trigger's SQL, with its marks expanded, for a target to
//! prepare on its database.

use std::path::Path;

use rekindle::domain::campaign::Campaign;
use rekindle::domain::lifetime::{BgNbd, Lifetimes};
use rekindle::domain::occasion::Rows;
use rekindle::settings::Settings;
use rekindle::store::{Dialect, all_statements, occasions};
use rekindle::triggers;

use crate::support::shop::{PLAIN, at};

/// Each trigger in each form that changes its SQL.
pub const TRIGGERS: &[&str] = &[
    "{ kind: welcome }",
    "{ kind: birthday }",
    "{ kind: birthday, days_before: 10, leap_day: after }",
    "{ kind: anniversary }",
    "{ kind: anniversary, years: [1, 5] }",
    "{ kind: anniversary, of: first_purchase }",
    "{ kind: anniversary, of: attributes.wedding }",
    "{ kind: date, field: attributes.renewal }",
    "{ kind: date, field: attributes.renewal, every: year, days_before: 30 }",
    "{ kind: post_purchase }",
    "{ kind: post_purchase, from: delivered_at, items: [a], categories: [b] }",
    "{ kind: post_purchase }\ncollapse: 1d",
    "{ kind: post_purchase, orders: first, min_amount: 20 }",
    "{ kind: post_purchase, orders: { nth: 3 } }",
    "{ kind: at_risk, after: 60d }",
    "{ kind: at_risk, after: 60d, never_bought: true }",
    "{ kind: at_risk, rhythm: { times: 2.5 } }",
    "{ kind: at_risk, rhythm: { times: 2, floor: 10d, ceiling: 90d }, fallback: 60d }",
    "{ kind: at_risk, probability: { below: 0.5 }, fallback: 60d }",
    "{ kind: at_risk, probability: { below: 0.5 } }",
    "{ kind: broadcast, at: 2026-03-21T10:00:00Z }",
    "{ kind: broadcast, at: 2026-03-21T10:00 }",
    "{ kind: occasion, occasion: nowruz }",
    "{ kind: occasion, occasion: nowruz, days_before: 3 }",
];

/// A statement to prepare: what it is, its text, and how many parameters it is given, where that is
/// known.
pub struct Statement {
    pub name: String,
    pub sql: String,
    pub parameters: Option<usize>,
}

/// All of them, as the database writes SQL.
pub fn statements(dialect: Dialect) -> Vec<Statement> {
    let stored = all_statements().into_iter().map(|(file, name, sql)| Statement {
        name: format!("store/{file}.rs {name}"),
        sql: dialect.expand(&sql),
        parameters: None,
    });
    stored.chain(of_triggers(dialect)).collect()
}

fn of_triggers(dialect: Dialect) -> Vec<Statement> {
    let settings = format!("brand: {PLAIN}\nemail: {{ from: a@shop.example }}");
    let mut settings = Settings::parse(Path::new("rekindle.yaml"), &settings, &|_| None).unwrap();
    let nowruz = "occasions: [{ name: nowruz, every_year: { calendar: persian, date: 01-01 } }]";
    assert!(settings.brand.almanac.read([("days.yaml".to_owned(), nowruz)]).is_empty());
    let day = at("2026-03-21T00:00:00Z");
    let (hour, month) = (chrono::Duration::hours(1), chrono::Duration::days(30));
    let all_rows = [
        Rows::Base { after: day, until: day + hour },
        Rows::Base { after: day, until: day + month },
        // Across the end of the year in one calendar and in the other, and longer than any year.
        Rows::Base { after: day - month * 3, until: day - month * 2 },
        Rows::Base { after: day - month, until: day + month },
        Rows::Base { after: day - month * 24, until: day + month },
        Rows::Changed { after: 0, until: 7 },
        Rows::Member(1),
    ];
    let mut all = Vec::new();
    for trigger in TRIGGERS {
        let text = format!("name: x\nchannels: [email]\ncontent: x\ntrigger: {trigger}");
        let campaign = Campaign::parse("x.yaml", &text, &settings.brand, triggers::ALL);
        let campaign = campaign.unwrap_or_else(|problems| panic!("{trigger}: {problems}"));
        let model = BgNbd { r: 0.24, alpha: 4.4, a: 0.8, b: 2.4 };
        let informed = campaign.trigger.with_lifetimes(Lifetimes { model, histories: vec![(1, 0), (2, 30)] });
        for informed in [Some(campaign.trigger), informed].into_iter().flatten() {
            for rows in all_rows {
                // A broadcast has no candidates before its hour, an occasion none between its dates.
                let Some(query) = informed.query(rows, &settings.brand) else { continue };
                all.push(Statement {
                    name: format!("{trigger} {rows:?}"),
                    sql: dialect.expand(&occasions::page_sql(&query)),
                    parameters: Some(3 + query.binds.len()),
                });
            }
        }
    }
    all
}

/// Fails with the names of all that a database refused.
pub fn check(dialect: Dialect, refused: &[String]) {
    assert!(refused.is_empty(), "{dialect:?} refuses:\n{}", refused.join("\n"));
}

/// What a database found in a prepared statement, held against what the statement is given.
pub fn mismatch(statement: &Statement, found: usize) -> Option<String> {
    let wanted = statement.parameters.filter(|wanted| *wanted != found)?;
    Some(format!("{}: it has {found} parameters and is given {wanted}", statement.name))
}
