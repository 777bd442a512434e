//! The contracts of audiences, and of what is expected of members, on SQLite.

use crate::audience_contract::audience_contract;
use crate::lifetime_contract::lifetime_contract;
use crate::support::shop::Size;

audience_contract!(embedded);
lifetime_contract!(embedded);

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}
