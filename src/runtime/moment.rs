//! Where in the run of the program a moment lies, for what is counted by seconds and minutes.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds and minutes are counted from the program's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Whole seconds so far.
    pub second: u32,
    /// Whole minutes so far.
    pub minute: u32,
    /// Seconds of this minute, below 60.
    pub in_minute: u8,
    /// Minutes of this hour, below 60.
    pub in_hour: u8,
}

impl Moment {
    /// The moment after so many seconds.
    pub fn after(second: u32) -> Moment {
        let minute = second / 60;
        Moment { second, minute, in_minute: (second % 60) as u8, in_hour: (minute % 60) as u8 }
    }
}

/// The last moment that was asked for: mostly it is still the same second.
pub(super) struct Moments {
    began: Instant,
    last: Cell<Moment>,
    /// When it ends.
    until: Cell<Instant>,
}

impl Moments {
    pub(super) fn new(began: Instant) -> Moments {
        let until = Cell::new(began + Duration::from_secs(1));
        Moments { began, last: Cell::default(), until }
    }

    pub(super) fn at(&self, now: Instant) -> Moment {
        if now >= self.until.get() {
            self.move_on(now);
        }
        self.last.get()
    }

    #[cold]
    fn move_on(&self, now: Instant) {
        let second = (now - self.began).as_secs() as u32;
        self.last.set(Moment::after(second));
        self.until.set(self.began + Duration::from_secs(u64::from(second) + 1));
    }
}

/// The machine's date, in seconds since 1970.
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_the_time() {
        let began = Instant::now();
        let moments = Moments::new(began);
        for (milliseconds, second, minute, in_minute, in_hour) in [
            (0, 0, 0, 0, 0),
            (999, 0, 0, 0, 0),
            (1000, 1, 0, 1, 0),
            (1999, 1, 0, 1, 0),
            (60_000, 60, 1, 0, 1),
            (3_725_500, 3725, 62, 5, 2),
        ] {
            let moment = moments.at(began + Duration::from_millis(milliseconds));
            assert_eq!(moment, Moment { second, minute, in_minute, in_hour }, "{milliseconds}");
        }
    }
}
