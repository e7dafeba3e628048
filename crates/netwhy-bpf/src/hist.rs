//! Histograms as bpftrace draws them.

use std::collections::BTreeMap;
use std::fmt::Write;

use netwhy_lang::program::{Value, hist_range, lhist_range};

/// Counts by bucket.
pub(crate) type Buckets = BTreeMap<u64, u64>;

const WIDTH: usize = 52;

fn range(of: &Value, bucket: u64) -> (Option<i64>, Option<i64>) {
    match of {
        Value::Hist { bits } => hist_range(bucket, *bits),
        Value::Lhist { min, max, step } => lhist_range(bucket, *min, *max, *step),
        _ => (None, None),
    }
}

/// A power of two or multiple of 1024 with its letter.
fn label(value: i64) -> String {
    if value == 0 {
        return "0".to_owned();
    }
    let mut value = value;
    let mut letters = ["", "K", "M", "G", "T", "P", "E"].into_iter();
    let mut letter = letters.next().unwrap_or_default();
    while value % 1024 == 0 {
        match letters.next() {
            Some(next) => {
                value /= 1024;
                letter = next;
            }
            None => break,
        }
    }
    format!("{value}{letter}")
}

fn header(of: &Value, bucket: u64) -> String {
    match range(of, bucket) {
        (None, Some(high)) => format!("(..., {})", label(high)),
        (Some(low), None) => format!("[{}, ...)", label(low)),
        (Some(low), Some(high)) if matches!(of, Value::Hist { .. }) && high - low == 1 => {
            format!("[{}]", label(low))
        }
        (Some(low), Some(high)) => format!("[{}, {})", label(low), label(high)),
        (None, None) => "(..., ...)".to_owned(),
    }
}

/// From the first to the last bucket that is not empty.
fn span(buckets: &Buckets) -> Option<(u64, u64, u64)> {
    let mut filled = buckets.iter().filter(|(_, count)| **count > 0).map(|(bucket, _)| *bucket);
    let first = filled.next()?;
    let last = filled.next_back().unwrap_or(first);
    Some((first, last, buckets.values().copied().max().unwrap_or(0)))
}

/// The lines.
pub(crate) fn text(of: &Value, buckets: &Buckets, divisor: u64) -> String {
    let mut out = String::new();
    let Some((first, last, most)) = span(buckets) else { return out };
    for bucket in first..=last {
        let count = buckets.get(&bucket).copied().unwrap_or(0);
        let bar = "@".repeat((u128::from(count) * WIDTH as u128 / u128::from(most.max(1))) as usize);
        let shown = count / divisor.max(1);
        let _ = writeln!(out, "{:<16}{shown:>8} |{bar:<WIDTH$}|", header(of, bucket));
    }
    out
}

/// The array of buckets.
pub(crate) fn json(of: &Value, buckets: &Buckets, divisor: u64) -> String {
    let Some((first, last, _)) = span(buckets) else { return "[]".to_owned() };
    let one = |bucket: u64| {
        let count = buckets.get(&bucket).copied().unwrap_or(0) / divisor.max(1);
        let (low, high) = range(of, bucket);
        let low = low.map(|low| format!("\"min\": {low}, ")).unwrap_or_default();
        let high = high.map(|high| format!("\"max\": {}, ", high - 1)).unwrap_or_default();
        format!("{{{low}{high}\"count\": {count}}}")
    };
    let all: Vec<String> = (first..=last).map(one).collect();
    format!("[{}]", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two() {
        let of = Value::Hist { bits: 0 };
        let buckets = Buckets::from([(0, 1), (1, 2), (2, 4), (3, 1), (12, 2)]);
        let drawn = text(&of, &buckets, 1);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], format!("(..., 0)               1 |{:<52}|", "@".repeat(13)));
        assert_eq!(lines[1], format!("[0]                    2 |{:<52}|", "@".repeat(26)));
        assert_eq!(lines[2], format!("[1]                    4 |{}|", "@".repeat(52)));
        assert!(lines[3].starts_with("[2, 4)"));
        assert!(lines[12].starts_with("[1K, 2K)"), "{drawn}");
        assert!(
            json(&of, &buckets, 1)
                .starts_with("[{\"max\": -1, \"count\": 1},{\"min\": 0, \"max\": 0, \"count\": 2}")
        );
    }

    #[test]
    fn lines_of_equal_width() {
        let of = Value::Lhist { min: 0, max: 100, step: 50 };
        let drawn = text(&of, &Buckets::from([(1, 1), (3, 1)]), 1);
        let heads: Vec<&str> = drawn.lines().map(|l| l.split("  ").next().unwrap()).collect();
        assert_eq!(heads, ["[0, 50)", "[50, 100)", "[100, ...)"]);
        assert_eq!(text(&of, &Buckets::new(), 1), "");
    }
}
