//! The contracts of what attackers cannot do, with nothing installed.

use crate::attackers_contract::attackers_contract;
use crate::support::shop::Size;

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}

attackers_contract!(embedded);
