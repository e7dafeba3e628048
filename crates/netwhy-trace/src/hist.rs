//! Histograms in the form of BCC's tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use netwhy_bpf::record::Value;

const STARS: usize = 40;

/// A table's value with buckets as text: powers of two from 0 on, with the unit above.
pub(crate) fn draw(buckets: &Value, unit: &str) -> String {
    let mut out = String::new();
    let Value::Parts(all) = buckets else { return out };
    let number = |bucket: &Value, name| bucket.get(name).and_then(Value::number);
    // 0 and 1 share the first line.
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for (_, bucket) in all {
        let count = number(bucket, "count").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let from = number(bucket, "from").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        *counts.entry(from.max(1).ilog2()).or_default() += count;
    }
    let (Some((&last, _)), Some(&most)) = (counts.last_key_value(), counts.values().max()) else {
        return out;
    };
    let _ = writeln!(out, "     {unit:<19} : count     distribution");
    for power in 0..=last {
        let count = counts.get(&power).copied().unwrap_or(0);
        let low = if power == 0 { 0 } else { 1_u64 << power };
        let high = (2_u128 << power) - 1;
        let stars = (u128::from(count) * STARS as u128 / u128::from(most.max(1))) as usize;
        let _ = writeln!(out, "{low:>10} -> {high:<10} : {count:<8} |{:<STARS$}|", "*".repeat(stars));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_between_are_filled_in() {
        let bucket = |from: i64, count: u64| {
            let parts = vec![("from".to_owned(), Value::Int(from)), ("count".to_owned(), Value::Uint(count))];
            (String::new(), Value::Parts(parts))
        };
        let text = draw(&Value::Parts(vec![bucket(0, 1), bucket(1, 1), bucket(8, 4)]), "usecs");
        assert_eq!(
            text,
            "     usecs               : count     distribution
         0 -> 1          : 2        |********************                    |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 0        |                                        |
         8 -> 15         : 4        |****************************************|
"
        );
        assert_eq!(draw(&Value::Parts(Vec::new()), "usecs"), "");
    }
}
