//! SMS: what a text costs, the lines that a shop sends from and what they ask of a text, and the ways that numbers take.

mod lines;
mod links;
mod routes;
mod segments;

pub use lines::{Line, line_for};
pub use links::find_link;
pub use routes::{Route, Routes, fits};
pub use segments::{Encoding, SmsSize};
