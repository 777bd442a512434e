//! What customers will do, from what they did: whether they come back and how often (BG/NBD), what they spend then
//! (Gamma-Gamma), and so what they will bring. Time is in weeks.

mod bg_nbd;
mod customer;
#[cfg(test)]
mod dice;
mod gamma;
mod gamma_gamma;
mod simplex;
mod value;

pub use bg_nbd::{BgNbd, LEAST_CUSTOMERS, LEAST_REPEAT_CUSTOMERS, PurchaseSample, Unfit};
pub use customer::Customer;
pub use gamma_gamma::{GammaGamma, LEAST_SPENDERS, SpendingSample};
pub use value::Models;

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
