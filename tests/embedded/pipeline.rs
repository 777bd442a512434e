//! The pipeline contract on SQLite, the embedded queue and capture.

use crate::pipeline_contract::pipeline_contract;
use crate::support::shop::Size;

pipeline_contract!(embedded);

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}
