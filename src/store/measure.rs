//! How much the store is asked: counted for metrics and for the benchmark, and each statement's time at level trace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use metrics::counter;
use tracing::{Level, debug, enabled, trace};

static STATEMENTS: AtomicU64 = AtomicU64::new(0);
static TRANSACTIONS: AtomicU64 = AtomicU64::new(0);

/// Runs a statement. Its text holds no values: they are parameters.
pub(super) async fn statement<T>(sql: &str, running: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    STATEMENTS.fetch_add(1, Ordering::Relaxed);
    counter!("rekindle_store_statements_total").increment(1);
    if !enabled!(Level::TRACE) {
        return running.await;
    }
    let began = Instant::now();
    let result = running.await;
    trace!(micros = began.elapsed().as_micros() as u64, sql, "statement");
    result
}

/// A transaction was committed.
pub(super) fn transaction() {
    TRANSACTIONS.fetch_add(1, Ordering::Relaxed);
    counter!("rekindle_store_transactions_total").increment(1);
}

/// Says what this process has asked so far. `rows` are those that it wrote, where the database counts them by itself.
pub(super) fn tell(rows: Option<i64>) {
    let (statements, transactions) = (STATEMENTS.load(Ordering::Relaxed), TRANSACTIONS.load(Ordering::Relaxed));
    debug!(statements, transactions, rows, "the store is closed");
}
