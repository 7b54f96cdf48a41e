//! Small memories of fixed size: what happened in the last sixty units of time, and the last few
//! measurements.

use std::cell::Cell;

/// Units of time that are remembered.
const CELLS: usize = 60;

/// How many happened in each of the last sixty seconds or minutes, and how many of those failed.
/// Units are counted from the program's start; `slot` is the unit's rest by sixty.
#[derive(Debug)]
pub struct Strip {
    cells: [Cell<[u32; 2]>; CELLS],
    /// The unit that was last written.
    newest: Cell<u32>,
}

impl Default for Strip {
    fn default() -> Strip {
        Strip { cells: [const { Cell::new([0; 2]) }; CELLS], newest: Cell::new(0) }
    }
}

impl Strip {
    /// Counts one.
    pub fn add(&self, unit: u32, slot: u8, failed: bool) {
        if unit != self.newest.get() {
            self.advance(unit);
        }
        let cell = &self.cells[usize::from(slot)];
        let [all, failures] = cell.get();
        cell.set([all.wrapping_add(1), failures.wrapping_add(u32::from(failed))]);
    }

    /// Forgets what the units up to `unit` take the place of.
    #[cold]
    fn advance(&self, unit: u32) {
        let passed = unit.saturating_sub(self.newest.get()).min(CELLS as u32);
        for past in 0..passed {
            self.cells[(unit - past) as usize % CELLS].set([0; 2]);
        }
        self.newest.set(unit);
    }

    /// The cells from the oldest to that of `unit`.
    pub fn cells(&self, unit: u32) -> Vec<[u32; 2]> {
        self.advance(unit);
        let oldest = unit as usize + 1;
        (oldest..oldest + CELLS).map(|unit| self.cells[unit % CELLS].get()).collect()
    }

    /// All that happened, and all that failed.
    pub fn sum(&self, unit: u32) -> [u64; 2] {
        let add = |[all, failed]: [u64; 2], cell: [u32; 2]| {
            [all + u64::from(cell[0]), failed + u64::from(cell[1])]
        };
        self.cells(unit).into_iter().fold([0; 2], add)
    }
}

/// The last `N` measurements.
#[derive(Debug)]
pub struct Samples<const N: usize> {
    values: [Cell<u32>; N],
    /// Measurements so far.
    count: Cell<usize>,
}

impl<const N: usize> Default for Samples<N> {
    fn default() -> Samples<N> {
        Samples { values: [const { Cell::new(0) }; N], count: Cell::new(0) }
    }
}

impl<const N: usize> Samples<N> {
    /// Takes note of one.
    pub fn push(&self, value: u32) {
        let count = self.count.get();
        self.values[count % N].set(value);
        self.count.set(count + 1);
    }

    /// The smallest measurement that at least `percent` of them do not exceed; `None` without any.
    pub fn percentile(&self, percent: usize) -> Option<u32> {
        let values = &self.values[..self.count.get().min(N)];
        let rank = (values.len() * percent).div_ceil(100).max(1);
        let up_to = |limit| values.iter().filter(|value| value.get() <= limit).count();
        // There are few of them: no need to sort.
        values.iter().map(Cell::get).filter(|value| up_to(*value) >= rank).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_shows_the_last_sixty_units_and_forgets_older_ones() {
        let strip = Strip::default();
        assert_eq!(strip.cells(0), [[0, 0]; CELLS]);
        for (unit, failed) in [(0, false), (0, true), (1, false), (59, true)] {
            strip.add(unit, (unit % 60) as u8, failed);
        }
        let cells = strip.cells(59);
        assert_eq!((cells[0], cells[1], cells[2], cells[59]), ([2, 1], [1, 0], [0, 0], [1, 1]));
        assert_eq!(strip.sum(59), [4, 2]);
        // A unit later the oldest one is gone.
        assert_eq!(strip.sum(60), [2, 1]);
        assert_eq!(strip.cells(60)[58], [1, 1]);
        assert_eq!(strip.sum(118), [1, 1]);
        assert_eq!(strip.sum(119), [0, 0]);
        strip.add(1_000_000, 40, false);
        assert_eq!(strip.cells(1_000_000)[59], [1, 0]);
        assert_eq!(strip.sum(1_000_000), [1, 0]);
    }

    #[test]
    fn percentiles_are_those_of_the_last_measurements() {
        let samples = Samples::<4>::default();
        assert_eq!(samples.percentile(50), None);
        samples.push(7);
        assert_eq!((samples.percentile(50), samples.percentile(95)), (Some(7), Some(7)));
        for value in [1, 2, 3, 4] {
            samples.push(value);
        }
        // The 7 was overwritten.
        let all = [0, 25, 26, 50, 95, 100].map(|percent| samples.percentile(percent));
        assert_eq!(all, [1, 1, 2, 2, 4, 4].map(Some));
    }
}
