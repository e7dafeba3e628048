//! A script's maps: read whole, the CPUs' parts put together, sorted, printed.

use std::collections::BTreeMap;

use netwhy_lang::program::{MapSpec, Shape, Value};
use netwhy_sys::bpf::{Map, Update};

use crate::hist::{self, Buckets};
use crate::record;
use crate::tseries;
use crate::value::{Reader, quote, u32_at, u64_at};

/// A value with its CPUs' parts put together.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Plain(Vec<u8>),
    Number(i128),
    /// Total and count; whether all three are shown.
    Average(i128, u64, bool),
}

type Row = (Vec<u8>, Cell);

/// Every key of a map. One that changes meanwhile may start over: the walk is bounded by its room.
fn keys(spec: &MapSpec, map: &Map) -> netwhy_sys::Result<Vec<Vec<u8>>> {
    let mut all = std::collections::BTreeSet::new();
    let mut key: Option<Vec<u8>> = None;
    for _ in 0..spec.max_entries.saturating_add(1) {
        match map.next_key(key.as_deref())? {
            Some(next) => {
                all.insert(next.clone());
                key = Some(next);
            }
            None => break,
        }
    }
    Ok(all.into_iter().collect())
}

fn slots<'a>(spec: &MapSpec, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    bytes.chunks((spec.value_size as usize).next_multiple_of(8).max(8))
}

/// Whether an entry was ever set: scalars live in arrays, which have all their entries from the start.
fn present(spec: &MapSpec, bytes: &[u8]) -> bool {
    spec.present.is_none_or(|at| slots(spec, bytes).any(|slot| u64_at(slot, at as usize) != 0))
}

fn number(bytes: &[u8], signed: bool) -> i128 {
    let word = u64_at(bytes, 0);
    if signed { i128::from(word as i64) } else { i128::from(word) }
}

fn cell(spec: &MapSpec, bytes: Vec<u8>) -> Cell {
    let set = |bytes: &&[u8]| u64_at(bytes, 8) != 0;
    match spec.value.as_ref() {
        Some(Value::Count) => Cell::Number(slots(spec, &bytes).map(|b| number(b, false)).sum()),
        Some(Value::Sum { signed }) => {
            // Wraps around like the sums it is made of.
            let sum = slots(spec, &bytes).fold(0_u64, |sum, b| sum.wrapping_add(u64_at(b, 0)));
            Cell::Number(number(&sum.to_ne_bytes(), *signed))
        }
        Some(Value::Min { signed }) => {
            Cell::Number(slots(spec, &bytes).filter(set).map(|b| number(b, *signed)).min().unwrap_or(0))
        }
        Some(Value::Max { signed }) => {
            Cell::Number(slots(spec, &bytes).filter(set).map(|b| number(b, *signed)).max().unwrap_or(0))
        }
        Some(Value::Avg { signed } | Value::Stats { signed }) => {
            let total = slots(spec, &bytes).fold(0_u64, |sum, b| sum.wrapping_add(u64_at(b, 0)));
            let count = slots(spec, &bytes).map(|b| u64_at(b, 8)).sum();
            let all = matches!(spec.value, Some(Value::Stats { .. }));
            Cell::Average(number(&total.to_ne_bytes(), *signed), count, all)
        }
        _ => Cell::Plain(bytes),
    }
}

fn average(total: i128, count: u64) -> i128 {
    total / i128::from(count.max(1))
}

fn is_hist(spec: &MapSpec) -> bool {
    matches!(spec.value, Some(Value::Hist { .. } | Value::Lhist { .. }))
}

fn is_series(spec: &MapSpec) -> bool {
    matches!(spec.value, Some(Value::Tseries { .. }))
}

/// Time series by key, and the newest interval of all of them.
type AllSeries = (Vec<(Vec<u8>, tseries::Points)>, u64);

fn series(spec: &MapSpec, map: &Map) -> netwhy_sys::Result<AllSeries> {
    let mut all: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let (mut newest, mut there) = (0, false);
    for key in keys(spec, map)? {
        let Some(bytes) = map.lookup(&key)? else { continue };
        there |= slots(spec, &bytes).any(|slot| u64_at(slot, 16) != 0);
        let set = slots(spec, &bytes).filter(|slot| u64_at(slot, 8) != 0);
        newest = set.map(|slot| u64_at(slot, 16)).fold(newest, u64::max);
        let at = if spec.key.is_some() { key.len().saturating_sub(8) } else { 0 };
        all.entry(key.get(..at).unwrap_or_default().to_vec()).or_default().extend(bytes);
    }
    let Some(of) = spec.value.as_ref().filter(|_| there) else { return Ok((Vec::new(), 0)) };
    let points = all.into_iter().map(|(key, bytes)| {
        let points = tseries::points(of, slots(spec, &bytes), newest);
        (key, points)
    });
    Ok((points.collect(), newest))
}

fn print_series(reader: &Reader<'_>, spec: &MapSpec, (all, newest): &AllSeries, how: Print) -> String {
    let Some(of) = spec.value.as_ref() else { return String::new() };
    let between = if how.json { "," } else { ", " };
    let key = |key: &[u8]| spec.key.as_ref().map(|shape| reader.key(shape, key, between));
    if how.json {
        let body = match spec.key {
            _ if all.is_empty() => return String::new(),
            Some(_) => {
                let all = all.iter().map(|(k, points)| {
                    format!("{}: {}", quote(&key(k).unwrap_or_default()), tseries::json(of, points))
                });
                format!("{{{}}}", all.collect::<Vec<_>>().join(", "))
            }
            None => all.first().map_or_else(|| "[]".to_owned(), |(_, points)| tseries::json(of, points)),
        };
        return format!("{{\"type\": \"tseries\", \"data\": {{{}: {body}}}}}\n", quote(&name(spec)));
    }
    let mut out = String::new();
    for (k, points) in all {
        let shown = key(k).map(|key| format!("[{key}]")).unwrap_or_default();
        let drawn =
            if *newest == 0 { "<no data>\n".to_owned() } else { tseries::text(of, points, *newest) + "\n" };
        out.push_str(&format!("{}{shown}:\n{drawn}", name(spec)));
    }
    out
}

/// The rows, in the order they are shown.
fn rows(spec: &MapSpec, map: &Map) -> netwhy_sys::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for key in keys(spec, map)? {
        if let Some(bytes) = map.lookup(&key)?
            && present(spec, &bytes)
        {
            rows.push((key, cell(spec, bytes)));
        }
    }
    let weight = |row: &Row| match (&row.1, spec.value.as_ref()) {
        (Cell::Number(n), _) => Some(*n),
        (Cell::Average(total, count, _), _) => Some(average(*total, *count)),
        (Cell::Plain(bytes), Some(Value::Plain(Shape::Int { signed }))) => Some(number(bytes, *signed)),
        _ => None,
    };
    rows.sort_by(|a, b| weight(a).cmp(&weight(b)).then_with(|| compare(spec.key.as_ref(), &a.0, &b.0)));
    Ok(rows)
}

/// Keys by their parts: numbers as numbers, everything else by bytes.
fn compare(shape: Option<&Shape>, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    match shape {
        Some(Shape::Int { signed }) => number(a, *signed).cmp(&number(b, *signed)),
        Some(Shape::Tuple { parts, .. }) => parts
            .iter()
            .map(|p| {
                let at = p.offset as usize..(p.offset + p.shape.size()) as usize;
                let of = |bytes: &'_ [u8]| bytes.get(at.clone()).unwrap_or_default().to_vec();
                compare(Some(&p.shape), &of(a), &of(b))
            })
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal),
        Some(Shape::Str { .. }) | None => a.cmp(b),
        Some(_) => u64_at(a, 0).cmp(&u64_at(b, 0)),
    }
}

/// Histograms by the key without the bucket, those with the fewest counts first.
fn histograms(spec: &MapSpec, map: &Map) -> netwhy_sys::Result<Vec<(Vec<u8>, Buckets)>> {
    let mut all: BTreeMap<Vec<u8>, Buckets> = BTreeMap::new();
    for key in keys(spec, map)? {
        let Some(bytes) = map.lookup(&key)? else { continue };
        let count = slots(spec, &bytes).fold(0_u64, |sum, b| sum.wrapping_add(u64_at(b, 0)));
        let (prefix, bucket) = if spec.key.is_some() {
            let at = key.len().saturating_sub(8);
            (key.get(..at).unwrap_or_default().to_vec(), u64_at(&key, at))
        } else {
            (Vec::new(), u64::from(u32_at(&key, 0)))
        };
        if count > 0 {
            *all.entry(prefix).or_default().entry(bucket).or_default() += count;
        }
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, buckets)| buckets.values().fold(0_u64, |sum, n| sum.saturating_add(*n)));
    Ok(all)
}

/// A map as values.
pub(crate) fn values(
    reader: &Reader<'_>,
    spec: &MapSpec,
    map: &Map,
    top: u64,
) -> netwhy_sys::Result<Vec<(record::Value, record::Value)>> {
    use record::Value as V;
    let key_of = |key: &[u8]| spec.key.as_ref().map_or(V::Absent, |shape| reader.value(shape, key));
    let number = |n: i128| {
        let wide = || V::Int(i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX }));
        u64::try_from(n).map_or_else(|_| wide(), V::Uint)
    };
    let named = |all: Vec<(&str, V)>| V::Parts(all.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
    let mut out: Vec<_> = if is_hist(spec) {
        let range = |bucket| match spec.value {
            Some(Value::Lhist { min, max, step }) => {
                netwhy_lang::program::lhist_range(bucket, min, max, step)
            }
            Some(Value::Hist { bits }) => netwhy_lang::program::hist_range(bucket, bits),
            _ => (None, None),
        };
        let bound = |at: Option<i64>| at.map_or(V::Absent, V::Int);
        histograms(spec, map)?
            .into_iter()
            .map(|(key, buckets)| {
                let buckets = buckets.into_iter().map(|(bucket, count)| {
                    let (from, to) = range(bucket);
                    let all = vec![("from", bound(from)), ("to", bound(to)), ("count", V::Uint(count))];
                    (String::new(), named(all))
                });
                (key_of(&key), V::Parts(buckets.collect()))
            })
            .collect()
    } else {
        rows(spec, map)?
            .into_iter()
            .map(|(key, cell)| {
                let value = match (cell, spec.value.as_ref()) {
                    (Cell::Number(n), _) => number(n),
                    (Cell::Average(total, count, true), _) => named(vec![
                        ("count", V::Uint(count)),
                        ("average", number(average(total, count))),
                        ("total", number(total)),
                    ]),
                    (Cell::Average(total, count, false), _) => number(average(total, count)),
                    (Cell::Plain(bytes), Some(Value::Plain(shape))) => reader.value(shape, &bytes),
                    (Cell::Plain(_), _) => V::Absent,
                };
                (key_of(&key), value)
            })
            .collect()
    };
    if top > 0 {
        let extra = out.len().saturating_sub(usize::try_from(top).unwrap_or(usize::MAX));
        out.drain(..extra);
    }
    Ok(out)
}

fn cell_text(reader: &Reader<'_>, spec: &MapSpec, cell: &Cell, divisor: u64, json: bool) -> String {
    let divisor = i128::from(divisor.max(1));
    match (cell, spec.value.as_ref()) {
        (Cell::Number(n), _) => (n / divisor).to_string(),
        (Cell::Average(total, count, true), _) if json => format!(
            "{{\"count\": {count}, \"average\": {}, \"total\": {}}}",
            average(*total, *count) / divisor,
            total / divisor
        ),
        (Cell::Average(total, count, true), _) => {
            let average = average(*total, *count) / divisor;
            format!("{{ .count = {count}, .average = {average}, .total = {} }}", total / divisor)
        }
        (Cell::Average(total, count, false), _) => (average(*total, *count) / divisor).to_string(),
        (Cell::Plain(bytes), Some(Value::Plain(Shape::Int { signed }))) => {
            (number(bytes, *signed) / divisor).to_string()
        }
        (Cell::Plain(bytes), Some(Value::Plain(shape))) if json => reader.json(shape, bytes),
        (Cell::Plain(bytes), Some(Value::Plain(shape))) => reader.text(shape, bytes),
        (Cell::Plain(_), _) => String::new(),
    }
}

/// What a whole map is printed with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Print {
    /// Only so many of the largest; 0 for all.
    pub(crate) top: u64,
    /// What numbers are divided by; 0 for nothing.
    pub(crate) divisor: u64,
    pub(crate) json: bool,
}

fn name(spec: &MapSpec) -> String {
    if spec.name.starts_with('@') { spec.name.clone() } else { format!("@{}", spec.name) }
}

/// A map as text, or as a line of JSON.
pub(crate) fn print(
    reader: &Reader<'_>,
    spec: &MapSpec,
    map: &Map,
    how: Print,
) -> netwhy_sys::Result<String> {
    if is_series(spec) {
        return Ok(print_series(reader, spec, &series(spec, map)?, how));
    }
    if is_hist(spec) {
        return Ok(print_histograms(reader, spec, &histograms(spec, map)?, how));
    }
    let mut rows = rows(spec, map)?;
    if how.top > 0 {
        let extra = rows.len().saturating_sub(usize::try_from(how.top).unwrap_or(usize::MAX));
        rows.drain(..extra);
    }
    let between = if how.json { "," } else { ", " };
    let mut out = String::new();
    let shown = rows.iter().map(|(key, cell)| {
        let key = spec.key.as_ref().map(|shape| reader.key(shape, key, between));
        (key, cell_text(reader, spec, cell, how.divisor, how.json))
    });
    if how.json {
        if rows.is_empty() {
            return Ok(String::new());
        }
        let averages = matches!(spec.value, Some(Value::Stats { .. } | Value::Avg { .. }));
        let kind = if averages { "stats" } else { "map" };
        let body = match spec.key {
            Some(_) => {
                let all: Vec<String> = shown
                    .map(|(key, value)| format!("{}: {value}", quote(&key.unwrap_or_default())))
                    .collect();
                format!("{{{}}}", all.join(", "))
            }
            None => shown.map(|(_, value)| value).next().unwrap_or_else(|| "null".to_owned()),
        };
        return Ok(format!("{{\"type\": \"{kind}\", \"data\": {{{}: {body}}}}}\n", quote(&name(spec))));
    }
    for (key, value) in shown {
        out.push_str(&name(spec));
        if let Some(key) = key {
            out.push_str(&format!("[{key}]"));
        }
        out.push_str(&format!(": {value}\n"));
    }
    Ok(out)
}

fn print_histograms(reader: &Reader<'_>, spec: &MapSpec, all: &[(Vec<u8>, Buckets)], how: Print) -> String {
    let Some(of) = spec.value.as_ref() else { return String::new() };
    let skip = if how.top > 0 { all.len().saturating_sub(how.top as usize) } else { 0 };
    let all = all.get(skip..).unwrap_or_default();
    if how.json {
        if all.is_empty() && spec.key.is_some() {
            return String::new();
        }
        let one = |buckets: &Buckets| hist::json(of, buckets, how.divisor);
        let body = match &spec.key {
            Some(shape) => {
                let all: Vec<String> = all
                    .iter()
                    .map(|(key, buckets)| {
                        format!("{}: {}", quote(&reader.key(shape, key, ",")), one(buckets))
                    })
                    .collect();
                format!("{{{}}}", all.join(", "))
            }
            None => all.first().map_or_else(|| "[]".to_owned(), |(_, buckets)| one(buckets)),
        };
        return format!("{{\"type\": \"hist\", \"data\": {{{}: {body}}}}}\n", quote(&name(spec)));
    }
    let mut out = String::new();
    for (key, buckets) in all {
        let key =
            spec.key.as_ref().map(|shape| format!("[{}]", reader.key(shape, key, ", "))).unwrap_or_default();
        out.push_str(&format!("{}{key}:\n{}\n", name(spec), hist::text(of, buckets, how.divisor)));
    }
    out
}

/// One value of a map, with its aggregation.
pub(crate) fn value(
    reader: &Reader<'_>,
    spec: &MapSpec,
    map: &Map,
    key: Option<&[u8]>,
    json: bool,
) -> netwhy_sys::Result<String> {
    let scalar = vec![0; spec.key_size as usize];
    let key = key.and_then(|key| key.get(..spec.key_size as usize)).unwrap_or(&scalar);
    Ok(match map.lookup(key)? {
        Some(bytes) => cell_text(reader, spec, &cell(spec, bytes), 0, json),
        None => "0".to_owned(),
    })
}

/// The histogram at one key.
pub(crate) fn histogram(
    spec: &MapSpec,
    map: &Map,
    key: Option<&[u8]>,
    json: bool,
) -> netwhy_sys::Result<String> {
    let Some(of) = spec.value.as_ref() else { return Ok(String::new()) };
    let all = histograms(spec, map)?;
    let found =
        all.into_iter().find(|(prefix, _)| key.is_none_or(|key| key.get(..prefix.len()) == Some(prefix)));
    let buckets = found.map(|(_, buckets)| buckets).unwrap_or_default();
    Ok(if json { hist::json(of, &buckets, 0) } else { hist::text(of, &buckets, 0) })
}

/// Whether a map's values are histograms.
pub(crate) fn holds_histograms(spec: &MapSpec) -> bool {
    is_hist(spec)
}

/// Removes everything; entries of arrays are set to zero.
pub(crate) fn clear(spec: &MapSpec, map: &Map, zero_only: bool) -> netwhy_sys::Result<()> {
    for key in keys(spec, map)? {
        if zero_only || spec.key.is_none() {
            let mut bytes = vec![0; map.value_size()];
            if let (true, Some(at)) = (zero_only, spec.present) {
                let was = map.lookup(&key)?.unwrap_or_default();
                let stride = (spec.value_size as usize).next_multiple_of(8).max(8);
                for (to, from) in bytes.chunks_mut(stride).zip(was.chunks(stride)) {
                    if let (Some(to), Some(from)) = (to.get_mut(at as usize..), from.get(at as usize..)) {
                        to.copy_from_slice(from);
                    }
                }
            }
            if zero_only && is_series(spec) {
                // Empty, but there: what was cleared is not shown at all.
                for slot in bytes.chunks_mut(24) {
                    if let Some(epoch) = slot.get_mut(16..24) {
                        epoch.copy_from_slice(&1_u64.to_ne_bytes());
                    }
                }
            }
            map.update(&key, &bytes, Update::Any)?;
        } else {
            map.delete(&key)?;
        }
    }
    Ok(())
}

/// Removes the buckets of one key.
pub(crate) fn delete_histogram(spec: &MapSpec, map: &Map, prefix: &[u8]) -> netwhy_sys::Result<()> {
    for key in keys(spec, map)? {
        let at = key.len().saturating_sub(8);
        if key.get(..at).is_some_and(|start| prefix.get(..at) == Some(start)) {
            map.delete(&key)?;
        }
    }
    Ok(())
}
