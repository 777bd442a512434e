//! The audience contract on SQLite.

use crate::audience_contract::audience_contract;
use crate::support::shop::Size;

audience_contract!(embedded);

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}
