//! What customers will do, from what they did: whether they come back and how often (BG/NBD). Time is in weeks.

mod bg_nbd;
#[cfg(test)]
mod dice;
mod gamma;
mod simplex;

pub use bg_nbd::{BgNbd, LEAST_CUSTOMERS, LEAST_REPEAT_CUSTOMERS, PurchaseSample, Unfit};

const DAYS_A_WEEK: f64 = 7.0;

/// A model that was fitted, and how well it explains the sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit<M> {
    pub model: M,
    pub log_likelihood: f64,
}

/// The newest model, and which histories there are: (visits, days between first and last).
#[derive(Debug, Clone, PartialEq)]
pub struct Lifetimes {
    pub model: BgNbd,
    pub histories: Vec<(i64, i64)>,
}
