//! Bounces, complaints and mails to unsubscribe: read, classified, and believed only as far as they
//! can be verified.

pub mod classify;
pub mod ingest;
pub mod maildir;
pub mod mbox;
