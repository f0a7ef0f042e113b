//! The date, so that a line shows where it changes.

use std::time::Duration;

use crate::base::{Now, Tick};
use crate::ui::time_format::TimeFormat;

/// Maximum time between two looks at the date. 1 h: the clock may be set in between.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// The day that the screen shows.
#[derive(Debug, Default)]
pub(super) struct DayWatch {
    day: Option<String>,
    deadline: Option<Tick>,
}

impl DayWatch {
    /// Returns the new day if it is another than at the last call.
    pub(super) fn handle_time(&mut self, now: Now, format: &TimeFormat) -> Option<String> {
        if self.deadline.is_some_and(|deadline| now.tick < deadline) {
            return None;
        }
        let until_midnight = format.until_midnight(now.wall).unwrap_or(LOOK_EVERY);
        self.deadline = Some(now.tick + until_midnight.min(LOOK_EVERY));
        let day = format.day(now.wall);
        let before = self.day.replace(day.clone());
        before.is_some_and(|before| before != day).then_some(day)
    }

    /// Returns when to call [`DayWatch::handle_time`] next.
    pub(super) const fn next_deadline(&self) -> Option<Tick> {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;
    use jiff::tz::TimeZone;

    #[test]
    fn new_day_is_reported_at_midnight_and_once() {
        let format = TimeFormat::new(TimeZone::UTC);
        let evening = 1_719_878_399_000; // 2024-07-01T23:59:59Z
        let second = 1_000_000;
        let mut watch = DayWatch::default();
        let mut look = |tick: u64, wall: u64| {
            let day = watch.handle_time(Now { tick: Tick::from_micros(tick), wall: Wall(wall) }, &format);
            (day, watch.next_deadline().unwrap().as_micros())
        };
        assert_eq!(look(0, evening), (None, second));
        assert_eq!(look(second, evening + 1_000), (Some("2024-07-02".to_owned()), 3_601 * second));
        assert_eq!(look(second + 1, evening + 1_000), (None, 3_601 * second));
    }
}
