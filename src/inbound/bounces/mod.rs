//! Bounces, complaints and mails to unsubscribe: read, classified, and believed only as far as they
//! can be verified.

pub mod classify;
pub mod imap;
pub mod ingest;
pub mod mailbox;
pub mod maildir;
pub mod mbox;
