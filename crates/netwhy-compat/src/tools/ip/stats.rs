//! The counters of a device (`struct rtnl_link_stats64`), in columns as `ip -s link` sets them.

use netwhy_wire::netlink::Table;

use super::link::LINK_ATTRIBUTES;
use crate::iproute::{Look, Page};
use crate::session::ToolError;

const IFLA_STATS: u16 = 7;
const IFLA_STATS64: u16 = 23;
const IFLA_CARRIER_CHANGES: u16 = 35;

/// The counters in the kernel's order: `rx_packets` first.
struct Counters([u64; 25]);

impl Counters {
    fn get(&self, number: usize) -> u64 {
        self.0.get(number).copied().unwrap_or(0)
    }

    fn read(table: &Table<'_, LINK_ATTRIBUTES>) -> Option<(Self, &'static str)> {
        let mut all = [0; 25];
        if let Some(wide) = table.fixed(IFLA_STATS64) {
            for (number, place) in all.iter_mut().enumerate() {
                *place = wide.u64(number * 8).unwrap_or(0);
            }
            return Some((Counters(all), "stats64"));
        }
        let narrow = table.fixed(IFLA_STATS)?;
        for (number, place) in all.iter_mut().enumerate() {
            *place = narrow.u32(number * 4).unwrap_or(0).into();
        }
        Some((Counters(all), "stats"))
    }
}

/// A figure rounded to three digits with `-h`: `2.23G`, with `-iec` `2.08Gi`.
pub(crate) fn figure(look: &Look, value: u64) -> String {
    if !look.options.human {
        return value.to_string();
    }
    let (base, end) = if look.options.iec { (1024.0, "i") } else { (1000.0, "") };
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut rounded = value as f64;
    if rounded < base {
        return value.to_string();
    }
    let mut unit = ' ';
    for next in "kMGTPE".chars() {
        if rounded < base {
            break;
        }
        rounded /= base;
        unit = next;
    }
    let digits = if rounded < 10.0 {
        2
    } else if rounded < 100.0 {
        1
    } else {
        0
    };
    format!("{rounded:.digits$}{unit}{end}")
}

/// One column: its key in JSON, its title, its value. Text shows missed packets where JSON has overruns and the
/// other way round, as the original does.
type Column = (&'static str, &'static str, u64);

/// Both directions; nothing if the kernel sent no counters.
pub(crate) fn link(
    page: &mut Page<'_>,
    look: &Look,
    table: &Table<'_, LINK_ATTRIBUTES>,
) -> Result<(), ToolError> {
    let Some((all, key)) = Counters::read(table) else { return Ok(()) };
    let carrier = u64::from(table.u32(IFLA_CARRIER_CHANGES)?.unwrap_or(0));
    page.open(key);
    let wide = look.options.stats > 1;
    let rx: [Column; 6] = [
        ("bytes", "bytes", all.get(2)),
        ("packets", "packets", all.get(0)),
        ("errors", "errors", all.get(4)),
        ("dropped", "dropped", all.get(6)),
        ("missed_errors", "missed", all.get(15)),
        ("multicast", "mcast", all.get(8)),
    ];
    let rx_more: [Column; 5] = [
        ("length_errors", "length", all.get(10)),
        ("crc_errors", "crc", all.get(12)),
        ("frame_errors", "frame", all.get(13)),
        ("fifo_errors", "fifo", all.get(14)),
        ("over_errors", "overrun", all.get(11)),
    ];
    let tx: [Column; 6] = [
        ("bytes", "bytes", all.get(3)),
        ("packets", "packets", all.get(1)),
        ("errors", "errors", all.get(5)),
        ("dropped", "dropped", all.get(7)),
        ("carrier_errors", "carrier", all.get(17)),
        ("collisions", "collsns", all.get(9)),
    ];
    let tx_more: [Column; 5] = [
        ("aborted_errors", "aborted", all.get(16)),
        ("fifo_errors", "fifo", all.get(18)),
        ("window_errors", "window", all.get(20)),
        ("heartbeat_errors", "heartbt", all.get(19)),
        ("carrier_changes", "transns", carrier),
    ];
    let widths = widths(look, [&rx, &tx], [&rx_more, &tx_more], wide);
    direction(page, look, "RX", &rx, &rx_more, wide, &widths, all.get(21));
    page.line();
    direction(page, look, "TX", &tx, &tx_more, wide, &widths, all.get(22));
    page.close();
    Ok(())
}

/// How wide each column is; further errors stand under packets and what follows.
fn widths(look: &Look, first: [&[Column; 6]; 2], more: [&[Column; 5]; 2], wide: bool) -> [usize; 6] {
    let mut widths = [10, 7, 6, 7, 7, 7];
    let mut grow = |number: usize, value: u64| {
        if let Some(width) = widths.get_mut(number) {
            *width = (*width).max(figure(look, value).len());
        }
    };
    for columns in first {
        columns.iter().enumerate().for_each(|(number, column)| grow(number, column.2));
    }
    for columns in more.into_iter().filter(|_| wide) {
        columns.iter().enumerate().for_each(|(number, column)| grow(number + 1, column.2));
    }
    widths
}

#[allow(clippy::too_many_arguments, reason = "one direction is all of them")]
fn direction(
    page: &mut Page<'_>,
    look: &Look,
    name: &str,
    columns: &[Column; 6],
    all_more: &[Column],
    wide: bool,
    widths: &[usize; 6],
    compressed: u64,
) {
    let more = wide.then_some(all_more);
    let key = name.to_lowercase();
    page.open(&key);
    if page.is_json() {
        let both = |key: &str| {
            columns.iter().chain(all_more).find(|column| column.0 == key).map_or(0, |column| column.2)
        };
        for (key, _, _) in columns.iter().chain(more.unwrap_or_default()) {
            let key = match *key {
                "missed_errors" => "over_errors",
                "over_errors" => "missed_errors",
                other => other,
            };
            page.json(key, both(key));
        }
        page.close();
        return;
    }
    let [w0, rest @ ..] = widths;
    let title = columns.first().map_or("", |column| column.1);
    page.text(format_args!("    {name}:{title:>width$}", width = w0 - 3));
    for ((_, title, _), width) in columns.iter().skip(1).zip(rest) {
        page.text(format_args!(" {title:>width$}"));
    }
    let title = if compressed > 0 { "compressed" } else { "" };
    page.text(format_args!(" {title:>10}"));
    page.line();
    page.say("    ");
    for ((_, _, value), width) in columns.iter().zip(widths) {
        page.text(format_args!("{:>width$} ", figure(look, *value)));
    }
    if compressed > 0 {
        page.text(format_args!("{:>10} ", figure(look, compressed)));
    }
    if let Some(more) = more {
        page.line();
        let label = format!("{name} errors:");
        page.text(format_args!("    {label:<w0$}"));
        for ((_, title, _), width) in more.iter().zip(rest) {
            page.text(format_args!(" {title:>width$}"));
        }
        page.line();
        page.text(format_args!("    {:w0$}", ""));
        for ((_, _, value), width) in more.iter().zip(rest) {
            page.text(format_args!(" {:>width$}", figure(look, *value)));
        }
        page.say(" ");
    }
    page.close();
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;

    use super::*;
    use crate::iproute::{Devices, Options, Tables};

    fn look(human: bool, iec: bool) -> Look {
        Look {
            options: Options { human, iec, ..Options::default() },
            tables: Tables::new(std::path::Path::new("/nonexistent"), false),
            names: crate::names::Names::of(std::path::Path::new("/nonexistent")),
            devices: Devices::default(),
            namespaces: OnceCell::new(),
        }
    }

    #[test]
    fn figures_are_rounded_to_three_digits() {
        let cases = [(999, "999", "999"), (1482, "1.48k", "1.45ki"), (50_601, "50.6k", "49.4ki")];
        for (value, decimal, binary) in cases {
            assert_eq!(figure(&look(true, false), value), decimal);
            assert_eq!(figure(&look(true, true), value), binary);
        }
        assert_eq!(figure(&look(true, false), 2_229_758_171), "2.23G");
        assert_eq!(figure(&look(false, false), 2_229_758_171), "2229758171");
    }
}
