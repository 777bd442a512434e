//! What comes back: bounces and complaints.

pub mod bounces;
