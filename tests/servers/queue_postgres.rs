//! The queue contract on PostgreSQL, and two processes on one table.

use rekindle::domain::message::Channel;

use crate::queue_contract::{Bench, consume, emails, embedded, ids, messages, publish, queue_contract, set, take};
use crate::support::{Database, tidied};

queue_contract!(on_postgres);

async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
    let database = Database::create().await;
    let store = database.store().await;
    tidied(test(embedded(&store)), async {
        store.close().await;
        database.remove().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_one_database_share_without_overlap() {
    let database = Database::create().await;
    let (here, there) = (database.store().await, database.store().await);
    let test = async {
        let (here, there) = (embedded(&here), embedded(&there));
        let mut first = consume(&here, Channel::Email, 500).await;
        let mut second = consume(&there, Channel::Email, 500).await;
        let sent = emails(600);
        // Nothing wakes the other process: it looks again by itself.
        let (one, other, _) = tokio::join!(take(&mut first, 300), take(&mut second, 300), publish(&here, &sent));
        let mut came = messages(&one);
        came.extend(messages(&other));
        assert_eq!((came.len(), set(&came)), (600, ids(&sent)));
    };
    tidied(test, async {
        here.close().await;
        there.close().await;
        database.remove().await;
    })
    .await;
}
