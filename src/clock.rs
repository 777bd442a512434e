//! Business time. The only file that reads the system's clock; everything else is given a
//! [`Clock`], so that a test or `--at` can stand at any instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use uuid::{NoContext, Timestamp, Uuid};

use crate::domain::{Instant, instant};

/// Tells the business time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's time.
    System,
    /// Stands where it was set, until it is set again.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn simulated(at: Instant) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(at.timestamp_millis())))
    }

    /// Now, in whole milliseconds.
    pub fn now(&self) -> Instant {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place")]
            Self::System => instant(chrono::Utc::now().timestamp_millis()),
            Self::Simulated(millis) => instant(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a simulated clock; the system's stays as it is.
    pub fn set(&self, at: Instant) {
        if let Self::Simulated(millis) = self {
            millis.store(at.timestamp_millis(), Ordering::SeqCst);
        }
    }

    /// Whether the time is not the machine's.
    pub const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// A new id that sorts by business time.
    pub fn new_id(&self) -> Uuid {
        let millis = self.now().timestamp_millis().max(0) as u64;
        Uuid::new_v7(Timestamp::from_unix(NoContext, millis / 1000, (millis % 1000) as u32 * 1_000_000))
    }
}
