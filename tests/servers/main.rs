//! Tests on real servers. `./scripts/test` starts them and says where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../contract/agreement.rs"]
mod agreement_contract;
#[path = "../contract/at_risk.rs"]
mod at_risk_contract;
#[path = "../contract/audiences.rs"]
mod audience_contract;
#[path = "../contract/days.rs"]
mod days_contract;
#[path = "../contract/hearing.rs"]
mod hearing_contract;
#[path = "../contract/launching.rs"]
mod launching_contract;
#[path = "../contract/pipeline.rs"]
mod pipeline_contract;
#[path = "../contract/queue.rs"]
mod queue_contract;
#[path = "../contract/statements.rs"]
mod statements_contract;
#[path = "../support/mod.rs"]
mod support;

mod audiences;
mod kannel;
mod pipeline;
mod processes;
mod proxy;
mod query_plans;
mod queue_postgres;
mod queue_rabbitmq;
mod queue_rabbitmq_failures;
mod statements;
