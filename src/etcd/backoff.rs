//! How long to wait before the next try: longer each time, and not the same for all.

use std::time::Duration;

use crate::random::fraction;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// Exponential, with jitter: half of each step is random, so that clients that failed together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    step: Duration,
    longest: Duration,
}

impl Backoff {
    /// From 10 ms up to a second, for a server that is not there.
    pub(crate) fn new() -> Self {
        Self { step: FIRST, longest: LONGEST }
    }

    /// From `first` up to `longest`, for others that got there first.
    pub(crate) fn between(first: Duration, longest: Duration) -> Self {
        Self { step: first, longest }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(self.longest);
        step.mul_f64(0.5 + 0.5 * fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_bounded() {
        let mut backoff = Backoff::between(Duration::from_millis(8), Duration::from_millis(30));
        for longest in [8, 16, 30, 30] {
            let time = backoff.next();
            let longest = Duration::from_millis(longest);
            assert!(time <= longest && time >= longest / 2, "{time:?} of {longest:?}");
        }
    }
}
