//! The contracts of what attackers cannot do, on PostgreSQL and RabbitMQ.

use crate::attackers_contract::attackers_contract;
use crate::support::rabbitmq::Prefix;
use crate::support::shop::Size;
use crate::support::{Database, tidied};

attackers_contract!(on_servers);

async fn on_servers<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    let (database, prefix) = (Database::create().await, Prefix::new());
    let size = Size { store: database.url.clone(), queue: prefix.url(), ..Size::default() };
    let cleaning = async {
        prefix.remove().await;
        database.remove().await;
    };
    tidied(test(size), cleaning).await;
}
