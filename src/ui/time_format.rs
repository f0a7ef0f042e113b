//! Formats times for display next to letters.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::base::Wall;

/// Display of an impossible time.
const ABSURD: &str = "?";
/// Earliest plausible time, 2000-01-01T00:00:00Z: no letter is older, so an earlier clock was never
/// set.
const BELIEVED_MIN_MS: u64 = 946_684_800_000;

/// Formats times for users, in one time zone.
#[derive(Clone, Debug)]
pub struct TimeFormat {
    zone: TimeZone,
}

impl TimeFormat {
    /// Creates a formatter for a time zone; `TimeZone::system()` is the user's.
    pub const fn new(zone: TimeZone) -> TimeFormat {
        TimeFormat { zone }
    }

    /// Formats `at` as `HH:MM:SS`, after its date if that differs from the date of `now`. Returns
    /// `?` before the year 2000 and after the year 9999.
    pub fn format(&self, at: Wall, now: Wall) -> String {
        let Some(time) = timestamp(at).filter(|_| at.0 >= BELIEVED_MIN_MS) else {
            return ABSURD.to_owned();
        };
        let time = time.to_zoned(self.zone.clone());
        let today = timestamp(now).map(|now| now.to_zoned(self.zone.clone()).date());
        let form = if today == Some(time.date()) { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        time.strftime(form).to_string()
    }

    /// Formats `at` as `HH:MM:SS`. Returns `?` for the times of [`TimeFormat::format`].
    pub fn time(&self, at: Wall) -> String {
        self.strftime(at, "%H:%M:%S")
    }

    /// Formats the date of `at` as `YYYY-MM-DD`. Returns `?` for the times of
    /// [`TimeFormat::format`].
    pub fn day(&self, at: Wall) -> String {
        self.strftime(at, "%Y-%m-%d")
    }

    /// Returns day and month of `at`. `None` for the times of [`TimeFormat::format`].
    pub fn day_and_month(&self, at: Wall) -> Option<(i8, i8)> {
        let time = timestamp(at).filter(|_| at.0 >= BELIEVED_MIN_MS)?.to_zoned(self.zone.clone());
        Some((time.day(), time.month()))
    }

    /// Returns the time from `at` to the end of its day. `None` for an impossible time.
    pub fn until_midnight(&self, at: Wall) -> Option<Duration> {
        let time = timestamp(at)?.to_zoned(self.zone.clone());
        let midnight = time.tomorrow().and_then(|day| day.start_of_day()).ok()?;
        Duration::try_from(midnight.timestamp().duration_since(time.timestamp())).ok()
    }

    /// Formats `at` as `YYYY-MM-DD HH:MM`. Returns `?` for the times of [`TimeFormat::format`].
    pub fn minute(&self, at: Wall) -> String {
        self.strftime(at, "%Y-%m-%d %H:%M")
    }

    /// Formats `at` as `YYYY-MM-DD HH:MM:SS`. Returns `?` for the times of [`TimeFormat::format`].
    pub fn date_time(&self, at: Wall) -> String {
        self.strftime(at, "%Y-%m-%d %H:%M:%S")
    }

    fn strftime(&self, at: Wall, form: &str) -> String {
        let time = timestamp(at).filter(|_| at.0 >= BELIEVED_MIN_MS);
        time.map_or(ABSURD.to_owned(), |time| time.to_zoned(self.zone.clone()).strftime(form).to_string())
    }
}

/// Formats `at` as RFC 3339 in UTC with milliseconds, for scripts. Returns `None` for a time that
/// cannot be right: before the year 2000 and after the year 9999.
pub fn rfc3339(at: Wall) -> Option<String> {
    timestamp(at).filter(|_| at.0 >= BELIEVED_MIN_MS).map(|time| format!("{time:.3}"))
}

fn timestamp(at: Wall) -> Option<Timestamp> {
    i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::offset;

    const NOON: Wall = Wall(1_719_835_385_678); // 2024-07-01T12:03:05.678Z
    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn today_shows_time_and_other_days_show_date() {
        let time_format = TimeFormat::new(TimeZone::UTC);
        assert_eq!(time_format.format(NOON, NOON), "12:03:05");
        assert_eq!(time_format.format(NOON, Wall(NOON.0 + DAY_MS)), "2024-07-01 12:03:05");
        let shanghai = TimeFormat::new(TimeZone::fixed(offset(8)));
        assert_eq!(shanghai.format(NOON, NOON), "20:03:05");
        assert_eq!(shanghai.minute(NOON), "2024-07-01 20:03");
        assert_eq!(shanghai.date_time(NOON), "2024-07-01 20:03:05");
    }

    // faults.md: R62
    #[test]
    fn impossible_times_are_question_marks() {
        let time_format = TimeFormat::new(TimeZone::UTC);
        for at in [0, 1, BELIEVED_MIN_MS - 1, 253_402_300_800_000, i64::MAX as u64, u64::MAX] {
            assert_eq!(time_format.format(Wall(at), NOON), "?", "{at}");
            assert_eq!(time_format.minute(Wall(at)), "?", "{at}");
        }
        assert_eq!(time_format.format(NOON, Wall(u64::MAX)), "2024-07-01 12:03:05");
    }

    #[test]
    fn day_and_month_are_those_of_the_zone() {
        let format = TimeFormat::new(TimeZone::UTC);
        assert_eq!(format.day_and_month(NOON), Some((1, 7)));
        let east = TimeFormat::new(TimeZone::fixed(offset(14)));
        assert_eq!(east.day_and_month(NOON), Some((2, 7)));
        assert_eq!(format.day_and_month(Wall(0)), None);
    }

    #[test]
    fn scripts_get_utc_with_milliseconds() {
        assert_eq!(rfc3339(NOON).unwrap(), "2024-07-01T12:03:05.678Z");
        for at in [0, 1, BELIEVED_MIN_MS - 1, 253_402_300_800_000, u64::MAX] {
            assert_eq!(rfc3339(Wall(at)), None, "{at}");
        }
    }
}
