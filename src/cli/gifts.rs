//! `gifts pools|import|list|forget`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format, grouped};
use super::{CommandError, Result, Session, import, names, rfc3339};
use crate::app::App;
use crate::document::expected;
use crate::domain::gift::parse_pool;
use crate::domain::instant;
use crate::import::Kind;
use crate::store::gifts::{self, Filter, Listed};

#[derive(Debug, Subcommand)]
pub(super) enum Gifts {
    /// Say how many codes each pool has left, and which campaigns draw on it.
    Pools,
    /// Bring coupon codes in from a CSV file with the column `code` and, if you like, `pool`.
    Import {
        /// A CSV file whose first line names the columns.
        file: PathBuf,
        /// The pool of the rows that name none.
        #[arg(long, value_name = "NAME", value_parser = parse_pool)]
        pool: Option<String>,
        /// Where bad rows go, with line and reason [default: beside FILE, as NAME.rejects.csv].
        #[arg(long, value_name = "FILE")]
        rejects: Option<PathBuf>,
    },
    /// List who was given what, and which codes were used.
    List {
        /// Only this campaign's.
        #[arg(long, value_name = "NAME")]
        campaign: Option<String>,
        /// Only this member's, by external id.
        #[arg(long, value_name = "ID", value_parser = super::member_id)]
        member: Option<String>,
        /// Only codes of this pool.
        #[arg(long, value_name = "NAME")]
        pool: Option<String>,
    },
    /// Take the codes that nobody was given out of a pool.
    Forget {
        /// The pool.
        pool: String,
    },
}

#[derive(Serialize)]
struct Pool {
    pool: String,
    /// Codes that were imported.
    codes: i64,
    left: i64,
    last_seven_days: i64,
    low: bool,
    campaigns: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    member: String,
    campaign: String,
    occasion: String,
    step: String,
    pool: Option<String>,
    code: Option<String>,
    value: Option<String>,
    points: Option<i64>,
    valid_until: Option<String>,
    reserved_at: String,
    given_at: Option<String>,
    order_id: Option<String>,
}

const COLUMNS: &[&str] = &[
    "member",
    "campaign",
    "occasion",
    "step",
    "pool",
    "code",
    "value",
    "points",
    "valid_until",
    "reserved_at",
    "given_at",
    "order_id",
];

impl Gifts {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        match self {
            Self::Pools => show_pools(&app, session.format).await,
            Self::Import { file, pool, rejects } => {
                let rejects = rejects.unwrap_or_else(|| file.with_extension("rejects.csv"));
                let done =
                    import::import(&app, Kind::Coupons { pool: pool.as_deref() }, "codes", &file, &rejects).await?;
                warn_of_unused(&app, pool.as_deref()).await;
                import::report(session.format, "codes", &done, &rejects)
            }
            Self::List { campaign, member, pool } => {
                let mut tx = app.store.read().await?;
                names::known(&app, &mut tx, campaign.as_deref(), member.as_deref()).await?;
                if let Some(pool) = &pool {
                    known(&gifts::totals(&mut tx).await?, pool)?;
                }
                let listed = gifts::list(&mut tx, &Filter { campaign, member, pool }).await?;
                tx.commit().await?;
                let rows: Vec<Row> = listed.into_iter().map(row).collect();
                if session.format != Format::Table {
                    return output::rows(session.format, &rows, COLUMNS, cells);
                }
                let columns = ["given (UTC)", "member", "campaign", "step", "gift", "valid until", "used by order"];
                output::table(&columns, &rows.iter().map(shown).collect::<Vec<_>>())
            }
            Self::Forget { pool } => {
                let mut tx = app.store.begin().await?;
                known(&gifts::totals(&mut tx).await?, &pool)?;
                let forgotten = gifts::forget_free(&mut tx, Some(&pool)).await?;
                tx.commit().await?;
                match session.format {
                    Format::Table => output::say(&format!(
                        "{} codes of {pool} are forgotten; those that were given stay.",
                        grouped(forgotten)
                    )),
                    Format::Json | Format::Csv => output::json(&serde_json::json!({ "forgotten": forgotten })),
                }
            }
        }
    }
}

/// A pool that has codes, or had.
fn known(pools: &BTreeMap<String, i64>, pool: &str) -> Result {
    if pools.contains_key(pool) {
        return Ok(());
    }
    let names: Vec<&str> = pools.keys().map(String::as_str).collect();
    let hint = if names.is_empty() { "none has any codes yet".to_owned() } else { expected(pool, &names) };
    Err(CommandError::Other(format!("there is no pool `{pool}`; {hint}")))
}

/// A typing error in the pool's name would show only when birthdays come without a gift.
async fn warn_of_unused(app: &App, pool: Option<&str>) {
    let (Some(pool), Ok(catalog)) = (pool, app.catalog().await) else { return };
    let drawn: BTreeSet<&str> = catalog.campaigns.values().flat_map(|campaign| campaign.pools()).collect();
    if !drawn.contains(pool) {
        let drawn: Vec<&str> = drawn.into_iter().collect();
        let hint = if drawn.is_empty() { String::new() } else { format!("; {}", expected(pool, &drawn)) };
        output::complain(&format!("Note: no campaign draws on the pool `{pool}`{hint}"));
    }
}

async fn show_pools(app: &App, format: Format) -> Result {
    let mut drawing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for campaign in app.catalog().await?.campaigns.values() {
        for pool in campaign.pools() {
            drawing.entry(pool.to_owned()).or_default().push(campaign.name.clone());
        }
    }
    let mut tx = app.store.read().await?;
    let totals = gifts::totals(&mut tx).await?;
    let mut names: Vec<String> = totals.keys().chain(drawing.keys()).cloned().collect();
    names.sort();
    names.dedup();
    let pools = gifts::pools(&mut tx, names, app.clock.now()).await?;
    tx.commit().await?;
    let rows: Vec<Pool> = pools
        .into_iter()
        .map(|pool| Pool {
            codes: totals.get(&pool.pool).copied().unwrap_or_default(),
            low: pool.is_low(),
            left: pool.left,
            last_seven_days: pool.last_seven_days,
            campaigns: drawing.remove(&pool.pool).unwrap_or_default(),
            pool: pool.pool,
        })
        .collect();
    if rows.is_empty() && format == Format::Table {
        return output::say("No pool has any codes, and no campaign gives a coupon.");
    }
    output::rows(format, &rows, &["pool", "codes", "left", "given in 7 days", "", "campaigns"], |row| {
        vec![
            row.pool.clone(),
            row.codes.to_string(),
            row.left.to_string(),
            row.last_seven_days.to_string(),
            (if row.low { "LOW" } else { "" }).to_owned(),
            row.campaigns.join(", "),
        ]
    })
}

fn row(listed: Listed) -> Row {
    Row {
        member: listed.member,
        campaign: listed.campaign,
        occasion: listed.occasion,
        step: listed.step,
        pool: listed.pool,
        code: listed.code,
        value: listed.value,
        points: listed.points,
        valid_until: listed.valid_until,
        reserved_at: rfc3339(instant(listed.reserved_at)),
        given_at: listed.given_at.map(|at| rfc3339(instant(at))),
        order_id: listed.order_id,
    }
}

fn shown(row: &Row) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let gift = match (&row.code, row.points) {
        (Some(code), _) => format!("{code} ({})", text(&row.value)),
        (None, points) => format!("{} points", grouped(points.unwrap_or_default().unsigned_abs())),
    };
    let given = row.given_at.as_ref().map(|at| at.chars().take(16).collect::<String>().replace('T', " "));
    vec![
        given.unwrap_or_else(|| "on its way".to_owned()),
        row.member.clone(),
        row.campaign.clone(),
        row.step.clone(),
        gift,
        text(&row.valid_until),
        text(&row.order_id),
    ]
}

fn cells(row: &Row) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        row.member.clone(),
        row.campaign.clone(),
        row.occasion.clone(),
        row.step.clone(),
        text(&row.pool),
        text(&row.code),
        text(&row.value),
        row.points.map(|points| points.to_string()).unwrap_or_default(),
        text(&row.valid_until),
        row.reserved_at.clone(),
        text(&row.given_at),
        text(&row.order_id),
    ]
}
