//! Pace: how many messages may go in a span of time, and the meter that holds to it. Times are
//! those of a monotonic clock, counted from any beginning.

use std::collections::VecDeque;
use std::time::Duration;

/// The most messages in a span of time; without a number as many as come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// In any second, of one process.
    pub per_second: Option<u32>,
    /// In any minute, of one process.
    pub per_minute: Option<u32>,
    /// On a day (UTC), of all processes together.
    pub per_day: Option<u32>,
}

/// Counts what went in the last second and minute. A day is counted in the store.
#[derive(Debug, Clone)]
pub struct Meter {
    spans: Vec<Span>,
    /// Where the next message that has to wait finds its place behind those that wait already.
    queue_end: Duration,
}

#[derive(Debug, Clone)]
struct Span {
    length: Duration,
    most: usize,
    went: VecDeque<Duration>,
}

impl Meter {
    pub fn new(rate: Rate) -> Self {
        let span = |length: u64, most: Option<u32>| {
            let most = most? as usize;
            Some(Span { length: Duration::from_secs(length), most, went: VecDeque::new() })
        };
        let spans = [span(1, rate.per_second), span(60, rate.per_minute)].into_iter().flatten().collect();
        Self { spans, queue_end: Duration::ZERO }
    }

    /// Takes a place now, or says how long to wait before asking again: each who is told so a
    /// little longer, so that they come back at the rate at which they can go.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let mut free_at = now;
        for span in &mut self.spans {
            while span.went.front().is_some_and(|at| *at + span.length <= now) {
                span.went.pop_front();
            }
            if span.went.len() >= span.most
                && let Some(first) = span.went.front()
            {
                free_at = free_at.max(*first + span.length);
            }
        }
        if free_at > now {
            let at = free_at.max(self.queue_end);
            let between = self.spans.iter().map(|span| span.length / u32::try_from(span.most).unwrap_or(u32::MAX));
            self.queue_end = at + between.max().unwrap_or_default();
            return Err(at - now);
        }
        for span in &mut self.spans {
            span.went.push_back(now);
        }
        Ok(())
    }

    /// Gives the place back that was taken last: nothing goes there.
    pub fn give_back(&mut self) {
        for span in &mut self.spans {
            span.went.pop_back();
        }
    }

    /// Whether nothing it remembers matters any more.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.queue_end <= now
            && self.spans.iter().all(|span| span.went.back().is_none_or(|at| *at + span.length <= now))
    }
}

/// A pause that grows each time it comes again without a success in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrowingPause {
    times: u32,
    until: Duration,
}

impl GrowingPause {
    /// Begins, or goes on for longer: `first`, then twice as long each time, at most `longest`. One
    /// that is under way is not made longer by those who were on their way already.
    pub fn begin(&mut self, now: Duration, first: Duration, longest: Duration) {
        if self.left(now).is_none() {
            let length =
                first.saturating_mul(1_u32.checked_shl(self.times).unwrap_or(u32::MAX)).min(longest.max(first));
            self.times = (self.times + 1).min(30);
            self.until = now + length;
        }
    }

    /// How long it still lasts.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        self.until.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// All is well again.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether there was none since all was well.
    pub fn is_new(&self) -> bool {
        self.times == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn rate(per_second: Option<u32>, per_minute: Option<u32>) -> Rate {
        Rate { per_second, per_minute, per_day: None }
    }

    #[test]
    fn those_who_wait_are_told_places_behind_each_other() {
        let mut meter = Meter::new(rate(Some(2), None));
        let answers: Vec<_> = [0, 100, 200, 200, 200, 1000, 1050].iter().map(|at| meter.take(ms(*at))).collect();
        let wait = |millis| Err(ms(millis));
        // The second's two places are free again at 1000 and 1100.
        assert_eq!(answers, [Ok(()), Ok(()), wait(800), wait(1300), wait(1800), Ok(()), wait(1450)]);
        assert_eq!(Meter::new(rate(None, None)).take(ms(0)), Ok(()));
    }

    #[test]
    fn the_narrower_limit_decides() {
        let mut meter = Meter::new(rate(Some(10), Some(3)));
        for _ in 0..3 {
            assert_eq!(meter.take(ms(5_000)), Ok(()));
        }
        assert_eq!(meter.take(ms(6_000)), Err(ms(59_000)));
        assert!(!meter.is_idle(ms(7_000)));
        assert!(meter.is_idle(ms(90_000)));
    }

    #[test]
    fn a_place_that_is_given_back_is_free_again() {
        let mut meter = Meter::new(rate(Some(1), Some(2)));
        for at in [0, 10, 20] {
            assert_eq!(meter.take(ms(at)), Ok(()));
            meter.give_back();
        }
        assert_eq!(meter.take(ms(30)), Ok(()));
        assert_eq!(meter.take(ms(40)), Err(ms(990)));
    }

    proptest! {
        #[test]
        fn no_span_ever_holds_more(steps in prop::collection::vec(0_u64..400, 1..300), second in 1_u32..8, minute in 1_u32..60) {
            let mut meter = Meter::new(rate(Some(second), Some(minute)));
            let (mut now, mut went) = (0, Vec::new());
            for step in steps {
                now += step;
                match meter.take(ms(now)) {
                    Ok(()) => went.push(now),
                    Err(wait) => prop_assert!(!wait.is_zero()),
                }
            }
            for (length, most) in [(1_000, second), (60_000, minute)] {
                for at in &went {
                    let count = went.iter().filter(|other| (*at..at + length).contains(other)).count();
                    prop_assert!(count <= most as usize, "{count} from {at} on");
                }
            }
        }
    }

    #[test]
    fn a_pause_grows_until_all_is_well() {
        let (first, longest) = (ms(60_000), ms(200_000));
        let mut pause = GrowingPause::default();
        assert!(pause.is_new() && pause.left(ms(0)).is_none());
        let mut now = ms(0);
        for expected in [60_000, 120_000, 200_000, 200_000] {
            pause.begin(now, first, longest);
            pause.begin(now + ms(1), first, longest);
            assert_eq!(pause.left(now), Some(ms(expected)));
            now += ms(expected);
            assert_eq!(pause.left(now), None);
        }
        pause.end();
        pause.begin(now, first, longest);
        assert_eq!(pause.left(now), Some(first));
    }
}
