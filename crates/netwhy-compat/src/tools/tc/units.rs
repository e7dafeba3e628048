//! Rates, sizes, times and handles as `tc` writes and reads them (tc(8), "PARAMETERS").

use crate::iproute::words::wrong;
use crate::session::ToolError;

/// Kernel ticks in a microsecond, times 64 (`/proc/net/psched`: 1000 and 64 on every kernel since 2.6.31).
const TICKS: (u64, u64) = (1000, 64);

/// `10Mbit`, with `-iec` `97656Kibit`: as large a unit as leaves no rest, or more than a thousand.
pub(super) fn rate(bytes: u64, iec: bool) -> String {
    let base = if iec { 1024 } else { 1000 };
    let mut bits = bytes.saturating_mul(8);
    let mut unit = String::new();
    for next in ["K", "M", "G", "T"] {
        if bits < base || (!bits.is_multiple_of(base) && bits < 1000 * base) {
            break;
        }
        bits /= base;
        unit = if iec { format!("{next}i") } else { next.to_owned() };
    }
    format!("{bits}{unit}bit")
}

/// `32Kb`, `1600b`.
pub(super) fn size(bytes: u64) -> String {
    const MEGA: u64 = 1024 * 1024;
    let near = |unit: u64, slack: u64| {
        let whole = (bytes + unit / 2) / unit;
        (bytes >= unit && (whole * unit).abs_diff(bytes) < slack).then_some(whole)
    };
    if let Some(whole) = near(MEGA, 1024) {
        return format!("{whole}Mb");
    }
    match near(1024, 16) {
        Some(whole) => format!("{whole}Kb"),
        None => format!("{bytes}b"),
    }
}

/// `50ms`, `81.9ms`, `3us`.
pub(super) fn time(microseconds: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = microseconds as f64;
    let short = |value: f64| {
        let digits = if value >= 100.0 {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        };
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    if microseconds >= 1_000_000 {
        format!("{}s", short(value / 1e6))
    } else if microseconds >= 1000 {
        format!("{}ms", short(value / 1e3))
    } else {
        format!("{microseconds}us")
    }
}

/// Ticks of the packet scheduler in microseconds.
pub(super) const fn ticks_to_time(ticks: u32) -> u64 {
    ticks as u64 * TICKS.1 / TICKS.0
}

/// Microseconds in ticks.
pub(super) fn time_to_ticks(microseconds: u64) -> u32 {
    u32::try_from(microseconds.saturating_mul(TICKS.0) / TICKS.1).unwrap_or(u32::MAX)
}

/// How many bytes pass in that many ticks.
pub(super) const fn bytes_in(rate: u64, ticks: u32) -> u64 {
    let product = rate as u128 * ticks_to_time(ticks) as u128 / 1_000_000;
    if product > u64::MAX as u128 { u64::MAX } else { product as u64 }
}

/// How many ticks that many bytes take.
pub(super) fn ticks_for(rate: u64, bytes: u64) -> u32 {
    if rate == 0 {
        return 0;
    }
    // Whole microseconds first, as tc counts them.
    let microseconds = u128::from(bytes) * 1_000_000 / u128::from(rate);
    time_to_ticks(u64::try_from(microseconds).unwrap_or(u64::MAX))
}

/// `1:`, `1:10`.
pub(super) fn handle(number: u32) -> String {
    let (major, minor) = (number >> 16, number & 0xffff);
    match (major, minor) {
        _ if number == u32::MAX => "root".to_owned(),
        (0, 0) => "none".to_owned(),
        (major, 0) => format!("{major:x}:"),
        (0, minor) => format!(":{minor:x}"),
        (major, minor) => format!("{major:x}:{minor:x}"),
    }
}

/// A handle of a qdisc: `1:` or `1`.
pub(super) fn read_qdisc(word: &str) -> Result<u32, ToolError> {
    let text = word.strip_suffix(':').unwrap_or(word);
    let number = u32::from_str_radix(text, 16).ok().filter(|number| *number <= 0xffff);
    number.map(|number| number << 16).ok_or_else(|| wrong(word, "invalid qdisc ID"))
}

/// The id of a class: `1:10`, `1:`, `root`.
pub(super) fn read_class(word: &str) -> Result<u32, ToolError> {
    match word {
        "root" => return Ok(u32::MAX),
        "none" => return Ok(0),
        _ => {}
    }
    let bad = || wrong(word, "invalid class ID");
    let (major, minor) = word.split_once(':').unwrap_or(("", word));
    let part = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            u32::from_str_radix(text, 16).ok().filter(|number| *number <= 0xffff)
        }
    };
    Ok((part(major).ok_or_else(bad)? << 16) | part(minor).ok_or_else(bad)?)
}

fn split(word: &str) -> Option<(f64, String)> {
    let at = word.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    Some((number.parse().ok()?, unit.to_lowercase()))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range")]
fn whole(value: f64) -> Option<u64> {
    (value.is_finite() && (0.0..1.8e19).contains(&value)).then_some(value as u64)
}

/// A rate in bytes a second.
pub(super) fn read_rate(word: &str) -> Result<u64, ToolError> {
    let bad = || wrong(word, "illegal \"rate\"");
    let (number, unit) = split(word).ok_or_else(bad)?;
    let (unit, bytes) = match unit.strip_suffix("bps") {
        Some(rest) => (rest.to_owned(), true),
        None => (unit.strip_suffix("bit").unwrap_or(&unit).to_owned(), false),
    };
    let scale = match unit.as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(bad()),
    };
    whole(number * scale / if bytes { 1.0 } else { 8.0 }).ok_or_else(bad)
}

/// A size in bytes.
pub(super) fn read_size(word: &str) -> Result<u32, ToolError> {
    let bad = || wrong(word, "illegal size");
    let (number, unit) = split(word).ok_or_else(bad)?;
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1024.0,
        "m" | "mb" => 1024.0 * 1024.0,
        "g" | "gb" => 1024.0 * 1024.0 * 1024.0,
        "kbit" => 1024.0 / 8.0,
        "mbit" => 1024.0 * 1024.0 / 8.0,
        _ => return Err(bad()),
    };
    whole(number * scale).and_then(|value| u32::try_from(value).ok()).ok_or_else(bad)
}

/// A time in microseconds.
pub(super) fn read_time(word: &str) -> Result<u64, ToolError> {
    let bad = || wrong(word, "illegal time");
    let (number, unit) = split(word).ok_or_else(bad)?;
    let scale = match unit.as_str() {
        "s" | "sec" | "secs" => 1e6,
        "ms" | "msec" | "msecs" => 1e3,
        "" | "us" | "usec" | "usecs" => 1.0,
        _ => return Err(bad()),
    };
    whole(number * scale).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_the_manual_shows_them() {
        assert_eq!(rate(1_250_000, false), "10Mbit");
        assert_eq!(rate(12_500_000, true), "97656Kibit");
        assert_eq!(rate(125_000, true), "1000000bit");
        assert_eq!(
            (size(32_767), size(15_337), size(20_480)),
            ("32Kb".into(), "15337b".into(), "20Kb".into())
        );
        assert_eq!((time(50_000), time(81_920), time(7)), ("50ms".into(), "81.9ms".into(), "7us".into()));
        assert_eq!(
            (handle(0x1_0010), handle(0x1_0000), handle(0xffff_fff1)),
            ("1:10".into(), "1:".into(), "ffff:fff1".into())
        );
    }

    #[test]
    fn figures_are_read_as_the_manual_says() {
        assert_eq!(read_rate("10mbit").unwrap(), 1_250_000);
        assert_eq!(read_rate("8kbps").unwrap(), 8000);
        assert_eq!(read_size("32k").unwrap(), 32_768);
        assert_eq!(read_time("50ms").unwrap(), 50_000);
        assert_eq!(read_class("1:10").unwrap(), 0x1_0010);
        assert!(read_rate("fast").is_err() && read_qdisc("12345").is_err());
        assert_eq!(ticks_for(1_250_000, 32_768), 409_593);
        assert_eq!(bytes_in(1_250_000, 409_600), 32_767);
    }
}
