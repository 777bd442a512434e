//! The contracts of audiences, and of what is expected of members, on PostgreSQL with its embedded queue.

use crate::audience_contract::audience_contract;
use crate::lifetime_contract::lifetime_contract;
use crate::support::shop::Size;
use crate::support::{Database, tidied};

audience_contract!(on_postgres);
lifetime_contract!(on_postgres);

async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    let database = Database::create().await;
    tidied(test(Size { store: database.url.clone(), ..Size::default() }), database.remove()).await;
}
