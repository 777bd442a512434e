//! The circuit breaker of a server: closed while it works, open for a while after failures, then
//! half-open: one message tries, and its fate decides.

use std::time::Duration;

use super::pace::GrowingPause;
use super::words::words;

/// So many failures in a row open it, where one alone does not.
const FAILURES: u32 = 3;

/// It is never open for longer, unless the failure itself asks for it.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// A message that tries is waited for at most this long; then another one may.
const PROBE: Duration = Duration::from_secs(30);

words! {
    /// Whether a server can be used.
    BreakerState {
        Closed = "closed",
        Open = "open",
        HalfOpen = "half_open",
    }
}

/// The breaker of one server in one process.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    pause: GrowingPause,
    probe_until: Duration,
}

impl Breaker {
    pub fn state(&self, now: Duration) -> BreakerState {
        match self.pause.left(now) {
            Some(_) => BreakerState::Open,
            None if self.pause.is_new() => BreakerState::Closed,
            None => BreakerState::HalfOpen,
        }
    }

    /// How long no message may go; `None`: one may.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let probing = self.probe_until.checked_sub(now).filter(|left| !left.is_zero());
        self.pause.left(now).or(if self.pause.is_new() { None } else { probing })
    }

    /// Lets a message go, as the one that tries where it is half-open. False: it may not.
    pub fn enter(&mut self, now: Duration) -> bool {
        let free = self.left(now).is_none();
        if free && !self.pause.is_new() {
            self.probe_until = now + PROBE;
        }
        free
    }

    /// The server answered. While it is open this is about what was on its way before.
    pub fn succeeded(&mut self, now: Duration) {
        if self.pause.left(now).is_none() {
            *self = Self::default();
        }
    }

    /// The server could not be used: a pause is due, `at_once` or after some failures in a row.
    pub fn failed(&mut self, now: Duration, pause: Duration, at_once: bool) {
        self.failures += 1;
        self.probe_until = Duration::ZERO;
        if self.failures >= FAILURES || at_once || !self.pause.is_new() {
            self.pause.begin(now, pause, LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_open_it_and_one_probe_decides() {
        let mut breaker = Breaker::default();
        for at in 0..2 {
            assert!(breaker.enter(s(at)));
            breaker.failed(s(at), s(30), false);
            assert_eq!(breaker.state(s(at)), BreakerState::Closed);
        }
        breaker.failed(s(2), s(30), false);
        assert_eq!((breaker.state(s(2)), breaker.left(s(2))), (BreakerState::Open, Some(s(30))));
        assert!(!breaker.enter(s(31)));
        breaker.succeeded(s(31));
        assert!(!breaker.enter(s(31)), "a late success says nothing");
        assert_eq!(breaker.state(s(32)), BreakerState::HalfOpen);
        assert!(breaker.enter(s(32)), "one tries");
        assert!(!breaker.enter(s(32)), "the others wait");
        breaker.failed(s(33), s(30), false);
        assert_eq!(breaker.left(s(33)), Some(s(60)), "twice as long");
        assert!(breaker.enter(s(93)));
        breaker.succeeded(s(93));
        assert_eq!(breaker.state(s(93)), BreakerState::Closed);
        assert!(breaker.enter(s(93)) && breaker.enter(s(93)));
    }

    #[test]
    fn a_success_in_between_keeps_it_closed_and_settings_open_it_at_once() {
        let mut breaker = Breaker::default();
        for at in 0..10 {
            breaker.failed(s(at), s(30), false);
            breaker.failed(s(at), s(30), false);
            breaker.succeeded(s(at));
        }
        assert_eq!(breaker.state(s(10)), BreakerState::Closed);
        breaker.failed(s(10), s(300), true);
        assert_eq!(breaker.left(s(10)), Some(s(300)));
    }

    #[test]
    fn a_probe_that_never_ends_is_followed_by_another() {
        let mut breaker = Breaker::default();
        breaker.failed(s(0), s(300), true);
        assert!(breaker.enter(s(300)));
        assert!(!breaker.enter(s(329)));
        assert!(breaker.enter(s(330)));
    }
}
