//! Every statement prepares on PostgreSQL.

use rekindle::store::{Dialect, Store};
use sqlx::{AssertSqlSafe, Column, Either, Executor, SqlSafeStr, Statement, TypeInfo};

use crate::statements_contract::{check, mismatch, statements};
use crate::support::{Database, tidied};

#[tokio::test]
async fn every_statement_prepares_on_postgres() {
    let database = Database::create().await;
    let store = database.store().await;
    let test = async {
        let Store::Postgres(pool) = &store else { unreachable!() };
        let mut refused = Vec::new();
        for statement in statements(Dialect::Postgres) {
            match pool.prepare(AssertSqlSafe(statement.sql.clone()).into_sql_str()).await {
                Err(error) => refused.push(format!("{}: {error}\n    {}", statement.name, statement.sql)),
                Ok(prepared) => {
                    let Some(Either::Left(found)) = prepared.parameters() else { unreachable!() };
                    refused.extend(mismatch(&statement, found.len()));
                    // Integers are read as 64 bits; SQLite knows no others, PostgreSQL does.
                    let narrow = prepared
                        .columns()
                        .iter()
                        .filter(|column| ["INT2", "INT4", "NUMERIC"].contains(&column.type_info().name()));
                    refused.extend(narrow.map(|c| format!("{}: {} is {}", statement.name, c.name(), c.type_info())));
                }
            }
        }
        check(Dialect::Postgres, &refused);
    };
    tidied(test, async {
        store.close().await;
        database.remove().await;
    })
    .await;
}
