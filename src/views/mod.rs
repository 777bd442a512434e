//! What people look at, computed once for whoever shows it: data without formatting.

pub mod occasions;
pub mod plan;
