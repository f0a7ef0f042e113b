//! Parsers of option values. An error is a phrase, which `usage_error` puts into its sentence.

use std::time::Duration;

use clap::builder::BoolishValueParser;

use crate::app::BindAddr;
use crate::base::{HostPort, HostPortError, Phrase};
use crate::ui::Lang;
use crate::wire::record::GREETING_LEN_MAX;

/// Longest duration: a century, far below what clocks can count.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// Parses the value of a flag's variable: 1, true, yes or on, or 0, false, no or off.
pub(super) fn yes_or_no() -> BoolishValueParser {
    BoolishValueParser::new()
}

/// Parses a language: a code or locale that begins with `en` or `zh`, or the locale `C` or `POSIX`.
pub(super) fn lang(text: &str) -> Result<Lang, Phrase> {
    Lang::parse(text).ok_or_else(|| Phrase::new("cli-why-language"))
}

/// Parses an address to listen on.
pub(super) fn bind_addr(text: &str) -> Result<BindAddr, Phrase> {
    text.parse().map_err(|_| Phrase::new("cli-why-bind"))
}

/// Parses a relay's address.
pub(super) fn address(text: &str) -> Result<HostPort, Phrase> {
    text.parse().map_err(|error: HostPortError| Phrase::new(error.key()).with("address", text))
}

/// Parses a greeting of at most [`GREETING_LEN_MAX`] bytes: that many a member's client skips
/// before the relay's first packet.
pub(super) fn greeting(text: &str) -> Result<String, Phrase> {
    match text.len() <= GREETING_LEN_MAX {
        true => Ok(text.to_owned()),
        false => Err(Phrase::new("cli-why-greeting")),
    }
}

/// Returns a parser of numbers in a range.
pub(super) fn number<T: TryFrom<u64>>(
    min: u64,
    max: u64,
) -> impl Fn(&str) -> Result<T, Phrase> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| (min..=max).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| Phrase::new("cli-why-number").with("min", min).with("max", max))
    }
}

/// Returns a parser of numbers that 32 bits can hold, from `min`.
pub(super) fn number_from(min: u32) -> impl Fn(&str) -> Result<u32, Phrase> + Clone + Send + Sync + 'static {
    number(min.into(), u32::MAX.into())
}

/// Parses a size in bytes, or of powers of 1,024 with the unit `K`, `M` or `G`. It is not zero.
pub(super) fn size(text: &str) -> Result<usize, Phrase> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        _ => None,
    };
    let number = number.parse::<usize>().ok().filter(|number| *number > 0);
    let bytes = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| Phrase::new("cli-why-size"))
}

/// Parses a duration: `10s`, `500ms`, `2m`, `1h`, `30d`. A number without a unit is refused,
/// because users mean seconds, minutes or days by it.
pub(super) fn duration(text: &str) -> Result<Duration, Phrase> {
    let wrong = || Phrase::new("cli-why-duration");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        "" => return Err(Phrase::new("cli-why-unit").with("value", text)),
        _ => return Err(wrong()),
    };
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| Phrase::new("cli-why-duration-max"))
}

/// Parses a duration that must not be zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, Phrase> {
    match duration(text)? {
        Duration::ZERO => Err(Phrase::new("cli-why-duration-positive")),
        duration => Ok(duration),
    }
}

/// Parses a number of seconds, or a duration with a unit.
pub(super) fn seconds(text: &str) -> Result<Duration, Phrase> {
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    if has_unit { duration(text) } else { duration(&format!("{text}s")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<T: std::fmt::Debug>(result: Result<T, Phrase>) -> &'static str {
        result.unwrap_err().key()
    }

    #[test]
    fn durations_are_parsed_with_units_only() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("36500d"), Ok(DURATION_MAX));
        for wrong in ["", "s", "10x", "-1s", "1..2s", "30D", "１０s"] {
            assert_eq!(key(duration(wrong)), "cli-why-duration", "{wrong}");
        }
        for long in ["36501d", "999999999999999999999d"] {
            assert_eq!(key(duration(long)), "cli-why-duration-max", "{long}");
        }
    }

    #[test]
    fn duration_without_unit_or_of_zero_has_own_phrase() {
        assert_eq!(key(duration("30")), "cli-why-unit");
        for zero in ["0s", "0d", "0.0s", "0ms"] {
            assert_eq!(duration(zero), Ok(Duration::ZERO));
            assert_eq!(key(positive_duration(zero)), "cli-why-duration-positive", "{zero}");
        }
        assert_eq!(positive_duration("1ms"), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn sizes_are_parsed_with_units_or_as_bytes() {
        assert_eq!(size("32M"), Ok(32 << 20));
        assert_eq!(size("512K"), Ok(512 << 10));
        assert_eq!(size("17"), Ok(17));
        for wrong in ["", "M", "1.5M", "-1", "32MB", "99999999999G", "0", "0K"] {
            assert_eq!(key(size(wrong)), "cli-why-size", "{wrong}");
        }
    }

    #[test]
    fn number_outside_range_names_range() {
        let parse = number::<u32>(1, 4_096);
        assert_eq!((parse("1"), parse("4096")), (Ok(1), Ok(4_096)));
        for wrong in ["", "0", "4097", "-1", "1.5", "many", "１"] {
            let phrase = parse(wrong).unwrap_err();
            assert_eq!(phrase.to_string(), r#"cli-why-number min="1" max="4096""#, "{wrong}");
        }
        assert!(number_from(0)("4294967296").is_err() && number_from(0)("4294967295").is_ok());
    }

    #[test]
    fn wrong_address_has_phrase_of_its_mistake() {
        assert_eq!(key(address("localhost")), "address-no-port");
        assert_eq!(key(address("http://h:1")), "address-url");
        assert_eq!(key(bind_addr("localhost")), "cli-why-bind");
    }

    #[test]
    fn greeting_may_have_1024_bytes() {
        assert!(greeting(&"x".repeat(GREETING_LEN_MAX)).is_ok());
        assert_eq!(key(greeting(&"x".repeat(GREETING_LEN_MAX + 1))), "cli-why-greeting");
    }
}
