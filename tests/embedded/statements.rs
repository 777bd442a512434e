//! Every statement prepares on SQLite.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rekindle::store::{Dialect, Store, all_statements};
use rekindle::triggers;
use sqlx::{AssertSqlSafe, Either, Executor, SqlSafeStr, Statement};

use crate::statements_contract::{TRIGGERS, check, mismatch, statements};
use crate::support::shop::{PLAIN, Shop, Size};

#[tokio::test]
async fn every_statement_prepares_on_sqlite() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let mut refused = Vec::new();
    for statement in statements(Dialect::Sqlite) {
        match pool.prepare(AssertSqlSafe(statement.sql.clone()).into_sql_str()).await {
            Err(error) => refused.push(format!("{}: {error}\n    {}", statement.name, statement.sql)),
            Ok(prepared) => {
                let Some(Either::Right(found)) = prepared.parameters() else { unreachable!() };
                refused.extend(mismatch(&statement, found));
            }
        }
    }
    check(Dialect::Sqlite, &refused);
    shop.close().await;
}

#[tokio::test]
async fn who_is_at_risk_is_found_by_indexes() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let asked = |name: &str| name.contains("HISTORIES") || (name.contains("at_risk") && name.contains("Base"));
    let statements: Vec<_> = statements(Dialect::Sqlite).into_iter().filter(|found| asked(&found.name)).collect();
    assert!(statements.len() > 20);
    for statement in statements {
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.sql));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
        let scan = steps.iter().find(|(.., step)| ["p", "q", "n", "m"].iter().any(|t| step == &format!("SCAN {t}")));
        assert!(scan.is_none(), "{}: {scan:?}", statement.name);
    }
    shop.close().await;
}

#[test]
fn every_store_file_with_statements_is_in_the_list() {
    let listed: BTreeSet<String> = all_statements().into_iter().map(|(file, ..)| file.to_owned()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let of = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = of(folder.clone()).chain(of(folder.join("ledger"))).collect();
    let mut with_statements = BTreeSet::new();
    for file in files.into_iter().filter(|file| file.is_file()) {
        // With what stands in a folder of its own.
        let parts = std::fs::read_dir(file.with_extension("")).into_iter().flatten().map(|part| part.unwrap().path());
        let text: String =
            std::iter::once(file.clone()).chain(parts).map(|part| std::fs::read_to_string(part).unwrap()).collect();
        let name = file.strip_prefix(&folder).unwrap().with_extension("").to_string_lossy().into_owned();
        let name = name.trim_start_matches("ledger/mod").to_owned();
        if !name.is_empty() && name != "mod" && text.contains("statements! {") {
            with_statements.insert(name.clone());
        }
        // A text that stands in the call itself is in no list. mod.rs asks the migrator's own table.
        let code: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let calls = code.match_indices("query!(").chain(code.match_indices("execute!("));
        let literal = calls.map(|(start, _)| &code[start..]).find(|call| {
            let end = call.find(';').unwrap_or(call.len());
            call[..end].contains(", \"SELECT")
                || call[..end].contains(", \"UPDATE")
                || call[..end].contains(", \"DELETE")
        });
        assert!(name == "mod" || literal.is_none(), "{name}.rs has a statement outside `statements!`: {literal:?}");
    }
    assert_eq!(listed, with_statements, "store::all_statements lists the files with `statements!`");
}

#[test]
fn every_trigger_is_in_the_list() {
    for kind in triggers::ALL {
        let word = format!("kind: {}", kind.name);
        assert!(TRIGGERS.iter().any(|trigger| trigger.contains(&word)), "no SQL of `{}` is prepared", kind.name);
    }
}
