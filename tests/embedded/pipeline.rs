//! The contracts of the pipeline on SQLite, the embedded queue and capture.

use crate::agreement_contract::agreement_contract;
use crate::arrival_contract::arrival_contract;
use crate::at_risk_contract::at_risk_contract;
use crate::bounces_contract::bounces_contract;
use crate::changes_contract::changes_contract;
use crate::configurations_contract::configurations_contract;
use crate::days_contract::days_contract;
use crate::dispatched_contract::dispatched_contract;
use crate::effect_contract::effect_contract;
use crate::fallback_contract::fallback_contract;
use crate::gifts_contract::gifts_contract;
use crate::hearing_contract::hearing_contract;
use crate::known_effects_contract::known_effects_contract;
use crate::launching_contract::launching_contract;
use crate::mistakes_contract::mistakes_contract;
use crate::people_contract::people_contract;
use crate::pipeline_contract::pipeline_contract;
use crate::reasons_contract::reasons_contract;
use crate::recovery_contract::recovery_contract;
use crate::reports_contract::reports_contract;
use crate::support::shop::Size;
use crate::transitions_contract::transitions_contract;
use crate::variants_contract::variants_contract;

agreement_contract!(embedded);
pipeline_contract!(embedded);
launching_contract!(embedded);
hearing_contract!(embedded);
at_risk_contract!(embedded);
days_contract!(embedded);
configurations_contract!(embedded);
dispatched_contract!(embedded);
fallback_contract!(embedded);
gifts_contract!(embedded);
effect_contract!(embedded);
reports_contract!(embedded);
known_effects_contract!(embedded);
variants_contract!(embedded);
mistakes_contract!(embedded);
recovery_contract!(embedded);
transitions_contract!(embedded);
changes_contract!(embedded);
arrival_contract!(embedded);
reasons_contract!(embedded);
bounces_contract!(embedded);
people_contract!(embedded);

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}
