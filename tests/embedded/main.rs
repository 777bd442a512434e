//! Tests of the embedded size: SQLite in a folder of its own, nothing installed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../contract/agreement.rs"]
mod agreement_contract;
#[path = "../contract/arrival.rs"]
mod arrival_contract;
#[path = "../contract/at_risk.rs"]
mod at_risk_contract;
#[path = "../contract/attackers.rs"]
mod attackers_contract;
#[path = "../contract/audiences.rs"]
mod audience_contract;
#[path = "../contract/bounces.rs"]
mod bounces_contract;
#[path = "../contract/changes.rs"]
mod changes_contract;
#[path = "../contract/configurations.rs"]
mod configurations_contract;
#[path = "../contract/days.rs"]
mod days_contract;
#[path = "../contract/dispatched.rs"]
mod dispatched_contract;
#[path = "../contract/effect.rs"]
mod effect_contract;
#[path = "../contract/fallback.rs"]
mod fallback_contract;
#[path = "../contract/gifts.rs"]
mod gifts_contract;
#[path = "../contract/hearing.rs"]
mod hearing_contract;
#[path = "../contract/known_effects.rs"]
mod known_effects_contract;
#[path = "../contract/launching.rs"]
mod launching_contract;
#[path = "../contract/lifetime.rs"]
mod lifetime_contract;
#[path = "../contract/mistakes.rs"]
mod mistakes_contract;
#[path = "../contract/people.rs"]
mod people_contract;
#[path = "../contract/pipeline.rs"]
mod pipeline_contract;
#[path = "../contract/queue.rs"]
mod queue_contract;
#[path = "../contract/reasons.rs"]
mod reasons_contract;
#[path = "../contract/recovery.rs"]
mod recovery_contract;
#[path = "../contract/reports.rs"]
mod reports_contract;
#[path = "../contract/statements.rs"]
mod statements_contract;
#[path = "../support/mod.rs"]
mod support;
#[path = "../contract/transitions.rs"]
mod transitions_contract;
#[path = "../contract/variants.rs"]
mod variants_contract;
#[path = "../contract/web.rs"]
mod web_contract;

mod actions;
mod answers;
mod attackers;
mod audiences;
mod bounces;
mod connections;
mod damaged_files;
mod demo;
mod experiments;
mod faults;
mod gifts;
mod hooks;
mod hostile_mailbox;
mod import;
mod import_faults;
mod imports;
mod launching;
mod layers;
mod lines;
mod nights;
mod output;
mod pipeline;
mod power;
mod private_files;
mod private_logs;
mod queue;
mod reasons;
mod recomputed;
mod replies;
mod sending;
mod signals;
mod statements;
mod templates;
mod versions;
mod web;
