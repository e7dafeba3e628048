//! Time series as bpftrace draws them: a row for each interval, a star where its value lies.

use std::collections::BTreeMap;
use std::fmt::Write;

use netwhy_lang::program::{Series, Value};

use crate::value::{local, u64_at};

/// Values by interval.
pub(crate) type Points = BTreeMap<u64, i128>;

/// Columns between the edges, both included.
const WIDTH: usize = 53;

/// Puts the parts of all CPUs and slots of one key together; only the last `count` intervals before `newest` stay.
pub(crate) fn points<'a>(of: &Value, parts: impl Iterator<Item = &'a [u8]>, newest: u64) -> Points {
    let Value::Tseries { count, kind, signed, .. } = of else { return Points::new() };
    // Value, and how many values it is made of or when it was set.
    let mut found: BTreeMap<u64, (i128, u64)> = BTreeMap::new();
    for part in parts.filter(|part| u64_at(part, 8) != 0) {
        let (word, meta, epoch) = (u64_at(part, 0), u64_at(part, 8), u64_at(part, 16));
        if newest.saturating_sub(epoch) >= u64::from(*count) {
            continue;
        }
        let value = if *signed { i128::from(word as i64) } else { i128::from(word) };
        let slot = found.entry(epoch).or_insert((value, 0));
        *slot = match (slot.1, kind) {
            (0, _) => (value, meta),
            (was, Series::Last) if meta >= was => (value, meta),
            (_, Series::Last) => *slot,
            (was, Series::Avg) => (slot.0 + value, was.saturating_add(meta)),
            (was, Series::Sum) => (slot.0 + value, was),
            (was, Series::Min) => (slot.0.min(value), was),
            (was, Series::Max) => (slot.0.max(value), was),
        };
    }
    let average = *kind == Series::Avg;
    let value = |(value, meta): (i128, u64)| if average { value / i128::from(meta.max(1)) } else { value };
    found.into_iter().map(|(epoch, slot)| (epoch, value(slot))).collect()
}

/// The start of an interval on the clock of the wall, to the nanosecond.
fn time(interval: u64, epoch: u64, format: &str) -> String {
    let ns = u128::from(interval) * u128::from(epoch);
    let seconds = i64::try_from(ns / 1_000_000_000).unwrap_or(0);
    format!("{}.{:09}", local(seconds, format), ns % 1_000_000_000)
}

/// The drawing of one key, its name not included.
pub(crate) fn text(of: &Value, points: &Points, newest: u64) -> String {
    let Value::Tseries { interval, signed, .. } = of else { return String::new() };
    let first = points.keys().next().copied().unwrap_or(newest);
    let (low, high) = (points.values().min().copied(), points.values().max().copied());
    let (least, most) =
        if *signed { (i128::from(i64::MIN), i128::from(i64::MAX)) } else { (0, i128::from(u64::MAX)) };
    let bounds = match (low, high) {
        (Some(low), Some(high)) if low == high => Some(((low - 1).max(least), (high + 1).min(most))),
        (Some(low), Some(high)) => Some((low, high)),
        _ => None,
    };
    let label = time(*interval, newest, "%H:%M:%S").len() + 1;
    let (left, right) = match bounds {
        Some((low, high)) => (low.to_string(), high.to_string()),
        None => ("null".to_owned(), "null".to_owned()),
    };
    let gap = WIDTH.saturating_sub(left.len() + right.len());
    let scale = format!("{:label$}{left}{:gap$}{right}\n", "", "");
    let column = |value: i128| {
        let (low, high) = bounds.unwrap_or((0, 1));
        usize::try_from((value - low) * (WIDTH as i128 - 1) / (high - low).max(1)).unwrap_or(0).min(WIDTH - 1)
    };
    let line = "_".repeat(WIDTH - 2);
    let mut out = format!("{scale}{:<label$}|{line}|\n", "hh:mm:ss.ns");
    for epoch in first..=newest {
        let mut row: Vec<char> = vec![' '; WIDTH];
        for at in [0, WIDTH - 1] {
            if let Some(edge) = row.get_mut(at) {
                *edge = '|';
            }
        }
        if bounds.is_some_and(|(low, high)| low < 0 && high > 0)
            && let Some(zero) = row.get_mut(column(0))
        {
            *zero = '.';
        }
        let value = points.get(&epoch);
        if let Some(star) = value.and_then(|value| row.get_mut(column(*value))) {
            *star = '*';
        }
        let shown = value.map_or_else(|| "-".to_owned(), i128::to_string);
        let row: String = row.into_iter().collect();
        let _ = writeln!(out, "{:<label$}{row} {shown}", time(*interval, epoch, "%H:%M:%S"));
    }
    let _ = write!(out, "{:label$}v{line}v\n{scale}", "");
    out
}

/// The array of intervals that have a value.
pub(crate) fn json(of: &Value, points: &Points) -> String {
    let Value::Tseries { interval, .. } = of else { return "[]".to_owned() };
    let all: Vec<String> = points
        .iter()
        .map(|(epoch, value)| {
            let start = time(*interval, *epoch, "%Y-%m-%d %H:%M:%S");
            format!("{{\"interval_start\":\"{start}\",\"value\":{value}}}")
        })
        .collect();
    format!("[{}]", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(value: i64, meta: u64, epoch: u64) -> Vec<u8> {
        [value as u64, meta, epoch].iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn series(kind: Series) -> Value {
        Value::Tseries { interval: 1_000_000_000, count: 4, kind, signed: true }
    }

    #[test]
    fn parts_of_cpus_are_put_together_as_their_kind_says() {
        let parts = [part(4, 2, 10), part(6, 3, 10), part(-3, 1, 9), part(99, 1, 5), part(0, 0, 10)];
        let of = |kind| points(&series(kind), parts.iter().map(Vec::as_slice), 10);
        assert_eq!(of(Series::Last), Points::from([(9, -3), (10, 6)]));
        assert_eq!(of(Series::Avg), Points::from([(9, -3), (10, 2)]));
        assert_eq!(of(Series::Sum)[&10], 10);
        assert_eq!((of(Series::Min)[&10], of(Series::Max)[&10]), (4, 6));
    }

    #[test]
    fn a_star_stands_where_the_value_lies() {
        let drawn = text(&series(Series::Last), &Points::from([(7, -5), (9, 5)]), 10);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0].trim(), format!("-5{}5", " ".repeat(50)));
        assert!(lines[2].contains(&format!(" *{}.{}| -5", " ".repeat(25), " ".repeat(25))), "{drawn}");
        assert!(lines[3].ends_with("| -"), "{drawn}");
        assert!(lines[4].ends_with("* 5"), "{drawn}");
        assert_eq!(lines.len(), 8);
        assert_eq!(json(&series(Series::Last), &Points::new()), "[]");
    }
}
