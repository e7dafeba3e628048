//! Options and own statistics of qdiscs and classes, in words (uapi `linux/pkt_sched.h`).

use netwhy_wire::netlink::{Attribute, Fixed};

use super::Options;
use crate::decode::{Decoded, structure};

/// Nanoseconds in a tick of the packet scheduler (PSCHED_SHIFT is 6; `/proc/net/psched` shows it).
const TICK_NS: u64 = 64;

/// One attribute that is a number: its type, its name, what it means.
struct Number(u16, &'static str);

/// Kinds whose options are plain numbers in attributes of their own.
const TABLES: &[(&str, &[Number])] = &[
    (
        "fq_codel",
        &[
            Number(1, "target_us"),
            Number(2, "limit_packets"),
            Number(3, "interval_us"),
            Number(4, "ecn"),
            Number(5, "flows"),
            Number(6, "quantum_bytes"),
            Number(7, "ce_threshold_us"),
            Number(8, "drop_batch"),
            Number(9, "memory_limit_bytes"),
        ],
    ),
    (
        "codel",
        &[
            Number(1, "target_us"),
            Number(2, "limit_packets"),
            Number(3, "interval_us"),
            Number(4, "ecn"),
            Number(5, "ce_threshold_us"),
        ],
    ),
    (
        "fq",
        &[
            Number(1, "limit_packets"),
            Number(2, "flow_limit_packets"),
            Number(3, "quantum_bytes"),
            Number(4, "initial_quantum_bytes"),
            Number(5, "pacing"),
            Number(7, "maxrate_bytes"),
            Number(8, "buckets_log"),
            Number(9, "refill_delay_us"),
            Number(10, "orphan_mask"),
            Number(11, "low_rate_threshold_bytes"),
            Number(12, "ce_threshold_us"),
            Number(13, "timer_slack_ns"),
            Number(14, "horizon_us"),
            Number(15, "horizon_drop"),
        ],
    ),
    (
        "cake",
        &[
            Number(2, "bandwidth_bytes"),
            Number(3, "diffserv_mode"),
            Number(4, "atm"),
            Number(5, "flow_mode"),
            Number(6, "overhead_bytes"),
            Number(7, "rtt_us"),
            Number(8, "target_us"),
            Number(9, "autorate"),
            Number(10, "memory_limit_bytes"),
            Number(11, "nat"),
            Number(13, "wash"),
            Number(14, "mpu_bytes"),
            Number(15, "ingress"),
            Number(16, "ack_filter"),
            Number(17, "split_gso"),
            Number(18, "fwmark_mask"),
        ],
    ),
    ("ets", &[Number(1, "bands"), Number(2, "strict")]),
    // No options, or none that decide anything.
    ("noqueue", &[]),
    ("clsact", &[]),
    ("ingress", &[]),
    ("mq", &[]),
];

/// Reads TCA_OPTIONS of a qdisc or, with `class`, of a class.
pub(super) fn decode(kind: &str, class: bool, data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    match (kind, class) {
        ("tbf", false) => tbf(data, out),
        ("htb", false) => htb_qdisc(data, out),
        ("htb", true) => htb_class(data, out),
        ("netem", false) => netem(data, out),
        ("prio" | "pfifo_fast", false) => prio(data, out),
        ("pfifo" | "pfifo_head_drop", false) => fifo(data, "limit_packets", out),
        ("bfifo", false) => fifo(data, "limit_bytes", out),
        ("red", false) => red(data, out),
        ("sfq", false) => sfq(data, out),
        (_, false) => match TABLES.iter().find(|(name, _)| *name == kind) {
            Some((_, numbers)) => table(data, numbers, out),
            None => {
                put(out, "unknown", kind);
                Ok(())
            }
        },
        (_, true) => Ok(()),
    }
}

fn put(out: &mut Options, name: &str, value: impl ToString) {
    out.insert(name.to_owned(), value.to_string());
}

fn table(data: &Attribute<'_>, numbers: &[Number], out: &mut Options) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        if let Some(Number(_, name)) = numbers.iter().find(|number| number.0 == attribute.kind) {
            put(out, name, attribute.uint()?);
        }
    }
    Ok(())
}

/// `struct tc_ratespec` at an offset: bytes per second, of which newer kernels send all 64 bits separately.
fn rate(fixed: Fixed<'_>, offset: usize) -> u64 {
    fixed.u32(offset + 8).unwrap_or(0).into()
}

/// A burst is stored as the time it takes at the rate.
pub(super) fn burst(rate: u64, ticks: u32) -> u64 {
    let bytes = u128::from(rate) * u128::from(u64::from(ticks) * TICK_NS);
    u64::try_from((bytes + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// `struct tc_tbf_qopt`: two rate specifications of 12 bytes, limit, buffer, mtu.
fn tbf(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    let (mut rate64, mut peak64, mut parms) = (None, None, None);
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => parms = Some(structure(&attribute, 36)?),
            4 => rate64 = Some(attribute.u64()?),
            5 => peak64 = Some(attribute.u64()?),
            _ => {}
        }
    }
    let Some(parms) = parms else { return Ok(()) };
    let bytes = rate64.unwrap_or(rate(parms, 0));
    put(out, "rate_bytes", bytes);
    put(out, "burst_bytes", burst(bytes, parms.u32(28).unwrap_or(0)));
    put(out, "limit_bytes", parms.u32(24).unwrap_or(0));
    let peak = peak64.unwrap_or(rate(parms, 12));
    if peak != 0 {
        put(out, "peakrate_bytes", peak);
    }
    Ok(())
}

/// TCA_HTB_INIT, `struct tc_htb_glob`; TCA_HTB_DIRECT_QLEN.
fn htb_qdisc(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            2 => {
                let glob = structure(&attribute, 20)?;
                put(out, "default", format!("{:#x}", glob.u32(8).unwrap_or(0)));
                put(out, "r2q", glob.u32(4).unwrap_or(0));
                put(out, "stat_direct_packets", glob.u32(16).unwrap_or(0));
            }
            5 => put(out, "direct_qlen_packets", attribute.u32()?),
            _ => {}
        }
    }
    Ok(())
}

/// TCA_HTB_PARMS, `struct tc_htb_opt`: two rate specifications, buffer, cbuffer, quantum, level, prio.
fn htb_class(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    let (mut rate64, mut ceil64, mut parms) = (None, None, None);
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => parms = Some(structure(&attribute, 44)?),
            6 => rate64 = Some(attribute.u64()?),
            7 => ceil64 = Some(attribute.u64()?),
            _ => {}
        }
    }
    let Some(parms) = parms else { return Ok(()) };
    let word = |offset| parms.u32(offset).unwrap_or(0);
    let (bytes, ceil) = (rate64.unwrap_or(rate(parms, 0)), ceil64.unwrap_or(rate(parms, 12)));
    put(out, "rate_bytes", bytes);
    put(out, "ceil_bytes", ceil);
    put(out, "burst_bytes", burst(bytes, word(24)));
    put(out, "cburst_bytes", burst(ceil, word(28)));
    put(out, "quantum_bytes", word(32));
    put(out, "level", word(36));
    put(out, "prio", word(40));
    Ok(())
}

/// `struct tc_netem_qopt` {latency, limit, loss, gap, duplicate, jitter}, then attributes.
fn netem(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    const LENGTH: usize = 24;
    let fixed = structure(data, LENGTH)?;
    let word = |index: usize| fixed.u32(index * 4).unwrap_or(0);
    let mut delay_ns = u64::from(word(0)) * TICK_NS;
    let mut jitter_ns = u64::from(word(5)) * TICK_NS;
    let mut rate = None;
    put(out, "limit_packets", word(1));
    put(out, "loss_percent", percent(word(2)));
    put(out, "duplicate_percent", percent(word(4)));
    put(out, "gap_packets", word(3));
    for attribute in netwhy_wire::netlink::Attributes::after(data.payload, LENGTH) {
        let attribute = attribute?;
        match attribute.kind {
            3 => put(out, "reorder_percent", percent(structure(&attribute, 8)?.u32(0).unwrap_or(0))),
            4 => put(out, "corrupt_percent", percent(structure(&attribute, 8)?.u32(0).unwrap_or(0))),
            // A model of losses in a chain of states: not one percentage.
            5 => put(out, "loss_model", loss_model(&attribute)),
            6 => rate = rate.or(structure(&attribute, 16)?.u32(0).map(u64::from)),
            7 => put(out, "ecn", attribute.u32()?),
            8 => rate = Some(attribute.u64()?),
            10 => delay_ns = attribute.u64()?,
            11 => jitter_ns = attribute.u64()?,
            12 => put(out, "slot", "yes"),
            _ => {}
        }
    }
    put(out, "delay_us", delay_ns / 1000);
    put(out, "jitter_us", jitter_ns / 1000);
    if let Some(rate) = rate.filter(|rate| *rate != 0) {
        put(out, "rate_bytes", rate);
    }
    Ok(())
}

fn loss_model(nest: &Attribute<'_>) -> &'static str {
    match nest.attributes().flatten().next().map(|model| model.kind) {
        Some(1) => "state",
        Some(2) => "gemodel",
        _ => "unknown",
    }
}

/// A probability: 0 to `u32::MAX`.
fn percent(part: u32) -> String {
    let text = format!("{:.4}", f64::from(part) * 100.0 / f64::from(u32::MAX));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `struct tc_prio_qopt`.
fn prio(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    let fixed = structure(data, 20)?;
    put(out, "bands", fixed.u32(0).unwrap_or(0));
    let map: Vec<_> = fixed.bytes(4, 16).unwrap_or(&[]).iter().map(u8::to_string).collect();
    put(out, "priomap", map.join(" "));
    Ok(())
}

/// `struct tc_fifo_qopt`.
fn fifo(data: &Attribute<'_>, name: &str, out: &mut Options) -> Decoded<()> {
    put(out, name, structure(data, 4)?.u32(0).unwrap_or(0));
    Ok(())
}

/// TCA_RED_PARMS, `struct tc_red_qopt` {limit, qth_min, qth_max ...}.
fn red(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        if attribute.kind == 1 {
            let parms = structure(&attribute, 12)?;
            for (index, name) in ["limit_bytes", "min_bytes", "max_bytes"].into_iter().enumerate() {
                put(out, name, parms.u32(index * 4).unwrap_or(0));
            }
        }
    }
    Ok(())
}

/// `struct tc_sfq_qopt` {quantum, perturb_period, limit, divisor, flows}.
fn sfq(data: &Attribute<'_>, out: &mut Options) -> Decoded<()> {
    let fixed = structure(data, 20)?;
    let names = ["quantum_bytes", "perturb_s", "limit_packets", "divisor", "flows"];
    for (index, name) in names.into_iter().enumerate() {
        put(out, name, fixed.u32(index * 4).unwrap_or(0));
    }
    Ok(())
}

/// TCA_XSTATS or TCA_STATS_APP. A structure shorter than expected leaves its last fields out.
pub(super) fn decode_own_stats(kind: &str, class: bool, own: Fixed<'_>, out: &mut Options) {
    let words = |names: &[&str], start: usize, out: &mut Options| {
        for (index, name) in names.iter().enumerate() {
            if let Some(value) = own.u32(start + index * 4) {
                put(out, name, value);
            }
        }
    };
    match (kind, class) {
        // struct tc_fq_codel_xstats: a type word, 0 for the qdisc.
        ("fq_codel", false) if own.u32(0) == Some(0) => words(
            &[
                "stat_maxpacket_bytes",
                "stat_drop_overlimit",
                "stat_ecn_mark",
                "stat_new_flow_count",
                "stat_new_flows_len",
                "stat_old_flows_len",
                "stat_ce_mark",
                "stat_memory_usage_bytes",
                "stat_drop_overmemory",
            ],
            4,
            out,
        ),
        // struct tc_htb_xstats.
        ("htb", true) => words(&["stat_lends", "stat_borrows", "stat_giants"], 0, out),
        // struct tc_fq_qd_stats begins with 64-bit counters.
        ("fq", false) => {
            let names = [
                "stat_gc_flows",
                "stat_highprio_packets",
                "stat_tcp_retrans",
                "stat_throttled",
                "stat_flows_plimit",
                "stat_pkts_too_long",
                "stat_allocation_errors",
            ];
            for (index, name) in names.into_iter().enumerate() {
                if let Some(value) = own.u64(index * 8) {
                    put(out, name, value);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_written_as_tc_reads_it() {
        assert_eq!(percent(0), "0");
        assert_eq!(percent(u32::MAX), "100");
        assert_eq!(percent(u32::MAX / 4), "25");
        assert_eq!(percent(42_949_673), "1");
    }

    #[test]
    fn a_burst_is_rate_times_its_time() {
        // 1 Mbit/s and 32 kB: 256 ms.
        assert_eq!(burst(125_000, 4_000_000), 32_000);
        assert_eq!(burst(u64::MAX, u32::MAX), u64::MAX, "no overflow");
    }
}
