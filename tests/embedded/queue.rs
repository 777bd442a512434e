//! The queue contract on SQLite, and what only the embedded queue promises.

use rekindle::domain::message::Channel;
use rekindle::store::Store;

use crate::queue_contract::{Bench, consume, emails, embedded, ids, messages, publish, queue_contract, set, take};
use crate::support::{Folder, MOMENT, tidied};

queue_contract!(on_sqlite);

async fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
    let folder = Folder::new();
    let store = open(&folder).await;
    tidied(test(embedded(&store)), store.close()).await;
}

async fn open(folder: &Folder) -> Store {
    let store = Store::open(&format!("sqlite://{}", folder.0.join("rekindle.db").display()), 4).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn items_of_a_consumer_that_vanished_come_again_when_their_time_is_up() {
    let folder = Folder::new();
    let store = open(&folder).await;
    let test = async {
        let bench = embedded(&store);
        let sent = emails(3);
        publish(&bench, &sent).await;
        let mut vanished = consume(&bench, Channel::Email, 10).await;
        take(&mut vanished, 3).await;
        drop(vanished);
        let mut next = consume(&bench, Channel::Email, 10).await;
        assert_eq!(next.next(10, MOMENT).await.unwrap(), []);
        let Store::Sqlite(pool) = &store else { unreachable!() };
        let five_minutes_later = "UPDATE queue_items SET taken_until = taken_until - 300000";
        sqlx::query(five_minutes_later).execute(pool).await.unwrap();
        assert_eq!(set(&messages(&take(&mut next, 3).await)), ids(&sent));
    };
    tidied(test, store.close()).await;
}

#[tokio::test]
async fn an_envelope_published_twice_is_there_once() {
    let folder = Folder::new();
    let store = open(&folder).await;
    let test = async {
        let bench = embedded(&store);
        let sent = emails(2);
        assert_eq!(set(&publish(&bench, &sent).await), ids(&sent));
        assert_eq!(set(&publish(&bench, &sent).await), ids(&sent));
        assert_eq!(bench.queue.depth(Channel::Email).await.unwrap(), 2);
    };
    tidied(test, store.close()).await;
}
