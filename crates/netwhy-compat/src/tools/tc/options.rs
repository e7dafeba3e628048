//! The settings and statistics of each kind of qdisc and class (uapi `linux/pkt_sched.h`). A kind without a line of
//! its own shows its name alone.

use netwhy_wire::netlink::{Attribute, Fixed, Table};

use super::units;
use crate::iproute::{Look, Page};
use crate::session::ToolError;

type Data<'a> = Table<'a, 40>;

/// The words behind a qdisc.
pub(super) fn qdisc(
    page: &mut Page<'_>,
    look: &Look,
    kind: &str,
    options: Option<Attribute<'_>>,
) -> Result<(), ToolError> {
    match kind {
        "ingress" => {
            page.say("---------------- ");
            return Ok(());
        }
        "clsact" | "noqueue" | "mq" => return Ok(()),
        _ => {}
    }
    let Some(options) = options else { return Ok(()) };
    let nested = || Data::read(options.attributes());
    match kind {
        "pfifo" | "bfifo" | "pfifo_head_drop" => fifo(page, kind, options.fixed()),
        "pfifo_fast" | "prio" => prio(page, kind, options.fixed()),
        "tbf" => tbf(page, look, &nested()?)?,
        "htb" => htb(page, look, &nested()?)?,
        "red" => red(page, look, &nested()?)?,
        "fq_codel" => fq_codel(page, &nested()?)?,
        "codel" => codel(page, &nested()?)?,
        "fq" => fq(page, look, &nested()?)?,
        "sfq" => sfq(page, look, options.fixed()),
        "hfsc" => {
            if let Some(class) = options.fixed().u16(0).filter(|class| *class != 0) {
                page.put("default", format_args!("default {class:#x} "), format!("{class:#x}"));
            }
        }
        "netem" => netem(page, look, &options)?,
        "ets" => ets(page, &nested()?)?,
        "cake" => cake(page, look, &nested()?)?,
        "mqprio" | "taprio" => mqprio(page, kind, &options)?,
        "drr" | "qfq" | "multiq" | "cbs" | "etf" | "pie" | "fq_pie" | "hhf" | "sfb" | "choke" | "gred"
        | "skbprio" => {
            // Their numbers are in netwhy facts qdiscs; here the kind is named.
        }
        _ => page.put("unknown", format_args!("[cannot parse qdisc parameters]"), true),
    }
    Ok(())
}

fn fifo(page: &mut Page<'_>, kind: &str, fixed: Fixed<'_>) {
    let limit = fixed.u32(0).unwrap_or(0);
    if kind == "bfifo" {
        // Sizes that are whole kilobytes of 1024 are written so; 20000b stays.
        page.put("limit", format_args!("limit {}", units::size(limit.into())), limit);
    } else {
        page.put("limit", format_args!("limit {limit}p"), limit);
    }
}

fn prio(page: &mut Page<'_>, kind: &str, fixed: Fixed<'_>) {
    let bands = fixed.u32(0).unwrap_or(0);
    page.put("bands", format_args!("bands {bands} "), bands);
    page.say("priomap");
    page.list("priomap");
    for band in fixed.bytes(4, 16).unwrap_or(&[]) {
        page.put("", format_args!(" {band}"), *band);
    }
    page.end_list();
    if kind == "pfifo_fast" {
        page.json("multiqueue", false);
    }
}

/// `struct tc_ratespec`: 12 bytes, the rate last.
struct Rate {
    bytes: u64,
    cell: u8,
    overhead: u16,
    mpu: u16,
    linklayer: u8,
}

impl Rate {
    fn read(fixed: Fixed<'_>, at: usize, wide: Option<u64>) -> Self {
        Rate {
            bytes: wide.unwrap_or_else(|| fixed.u32(at + 8).unwrap_or(0).into()),
            cell: fixed.u8(at).unwrap_or(0),
            linklayer: fixed.u8(at + 1).unwrap_or(0) & 0xf,
            overhead: fixed.u16(at + 2).unwrap_or(0),
            mpu: fixed.u16(at + 6).unwrap_or(0),
        }
    }

    /// `32Kb/1 mpu 0b`.
    fn detail(&self) -> String {
        format!("/{} mpu {}b", 1_u32 << self.cell.min(31), self.mpu)
    }

    fn linklayer(&self) -> &'static str {
        match self.linklayer {
            2 => "atm",
            1 => "ethernet",
            _ => "unspec",
        }
    }
}

fn tbf(page: &mut Page<'_>, look: &Look, data: &Data<'_>) -> Result<(), ToolError> {
    let Some(fixed) = data.fixed(1) else { return Ok(()) };
    let rate = Rate::read(fixed, 0, data.u64(4)?);
    let peak = Rate::read(fixed, 12, data.u64(5)?);
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    let (limit, buffer, mtu) = (number(24), number(28), number(32));
    let (iec, details) = (look.options.iec, look.options.details);
    page.put("rate", format_args!("rate {} ", units::rate(rate.bytes, iec)), rate.bytes);
    let burst = units::bytes_in(rate.bytes, buffer);
    if details {
        let text = format!("{}/{}", units::size(burst), 1_u32 << rate.cell.min(31));
        page.put("burst", format_args!("burst {text}"), &text);
        page.put("mpu", format_args!(" mpu {}b ", rate.mpu), rate.mpu);
    } else {
        page.put("burst", format_args!("burst {} ", units::size(burst)), burst);
    }
    if peak.bytes != 0 {
        page.text(format_args!("peakrate {} ", units::rate(peak.bytes, iec)));
        let least = units::bytes_in(peak.bytes, mtu);
        if mtu != 0 {
            if details {
                page.put("mtu", format_args!("mtu {}{} ", units::size(least), peak.detail()), least);
            } else {
                page.put("minburst", format_args!("minburst {} ", units::size(least)), least);
            }
        }
    }
    let wait = |rate: u64, ticks: u32| {
        let all = if rate == 0 { 0 } else { u128::from(limit) * 1_000_000 / u128::from(rate) };
        u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(units::ticks_to_time(ticks))
    };
    let latency = wait(rate.bytes, buffer).max(if peak.bytes == 0 { 0 } else { wait(peak.bytes, mtu) });
    if latency > 0 {
        page.put("lat", format_args!("lat {} ", units::time(latency)), latency);
    }
    if rate.overhead != 0 {
        page.put("overhead", format_args!("overhead {} ", rate.overhead), rate.overhead);
    }
    if details {
        page.put("linklayer", format_args!("linklayer {} ", rate.linklayer()), rate.linklayer());
    }
    Ok(())
}

fn htb(page: &mut Page<'_>, look: &Look, data: &Data<'_>) -> Result<(), ToolError> {
    if let Some(fixed) = data.fixed(2) {
        let number = |at: usize| fixed.u32(at).unwrap_or(0);
        page.put("r2q", format_args!("r2q {}", number(4)), number(4));
        let class = if number(8) == 0 { "0".to_owned() } else { format!("{:#x}", number(8)) };
        page.put("default", format_args!(" default {class}"), &class);
        page.put("direct_packets_stat", format_args!(" direct_packets_stat {}", number(16)), number(16));
        if look.options.details {
            let text = format!("{}.{}", number(0) >> 16, number(0) & 0xffff);
            page.put("ver", format_args!(" ver {text}"), &text);
        }
    }
    if let Some(length) = data.u32(5)? {
        page.put("direct_qlen", format_args!(" direct_qlen {length}"), length);
    }
    if data.has(10) {
        page.flag("offload", " offload");
    }
    Ok(())
}

fn red(page: &mut Page<'_>, look: &Look, data: &Data<'_>) -> Result<(), ToolError> {
    let Some(fixed) = data.fixed(1) else { return Ok(()) };
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    for (key, at) in [("limit", 0), ("min", 4), ("max", 8)] {
        page.put(key, format_args!("{key} {} ", units::size(number(at).into())), number(at));
    }
    let flags = fixed.u8(15).unwrap_or(0);
    for (bit, word) in [(1, "ecn"), (2, "harddrop"), (4, "adaptive"), (8, "nodrop")] {
        let on = flags & bit != 0;
        page.put(word, format_args!("{}", if on { format!("{word} ") } else { String::new() }), on);
    }
    if look.options.details {
        let ewma = fixed.u8(12).unwrap_or(0);
        page.put("ewma", format_args!("ewma {ewma} "), ewma);
        let cell = fixed.u8(14).unwrap_or(0);
        page.put("Scell_log", format_args!("Scell_log {cell}"), cell);
    }
    Ok(())
}

fn codel_words(
    page: &mut Page<'_>,
    data: &Data<'_>,
    target: u16,
    interval: u16,
    threshold: u16,
    ecn: u16,
) -> Result<(), ToolError> {
    for (kind, key) in [(target, "target"), (threshold, "ce_threshold"), (interval, "interval")] {
        if let Some(time) = data.u32(kind)? {
            page.put(key, format_args!("{key} {} ", units::time(time.into())), time);
        }
    }
    let _ = ecn;
    Ok(())
}

fn fq_codel(page: &mut Page<'_>, data: &Data<'_>) -> Result<(), ToolError> {
    if let Some(limit) = data.u32(2)? {
        page.put("limit", format_args!("limit {limit}p "), limit);
    }
    if let Some(flows) = data.u32(5)? {
        page.put("flows", format_args!("flows {flows} "), flows);
    }
    if let Some(quantum) = data.u32(6)? {
        page.put("quantum", format_args!("quantum {quantum} "), quantum);
    }
    codel_words(page, data, 1, 3, 7, 4)?;
    if let Some(limit) = data.u32(9)? {
        page.put("memory_limit", format_args!("memory_limit {} ", units::size(limit.into())), limit);
    }
    if data.u32(4)?.is_some_and(|ecn| ecn != 0) {
        page.flag("ecn", "ecn ");
    }
    if let Some(batch) = data.u32(8)? {
        page.put("drop_batch", format_args!("drop_batch {batch} "), batch);
    }
    Ok(())
}

fn codel(page: &mut Page<'_>, data: &Data<'_>) -> Result<(), ToolError> {
    if let Some(limit) = data.u32(2)? {
        page.put("limit", format_args!("limit {limit}p "), limit);
    }
    codel_words(page, data, 1, 3, 5, 4)?;
    if data.u32(4)?.is_some_and(|ecn| ecn != 0) {
        page.flag("ecn", "ecn ");
    }
    Ok(())
}

fn fq(page: &mut Page<'_>, look: &Look, data: &Data<'_>) -> Result<(), ToolError> {
    let iec = look.options.iec;
    for (kind, key, unit) in [(1, "limit", "p"), (2, "flow_limit", "p")] {
        if let Some(value) = data.u32(kind)? {
            page.put(key, format_args!("{key} {value}{unit} "), value);
        }
    }
    if let Some(log) = data.u32(8)? {
        let buckets = 1_u32.checked_shl(log).unwrap_or(0);
        page.put("buckets", format_args!("buckets {buckets} "), buckets);
    }
    if let Some(mask) = data.u32(10)? {
        page.put("orphan_mask", format_args!("orphan_mask {mask} "), mask);
    }
    if data.u32(5)? == Some(0) {
        page.put("pacing", format_args!("nopacing "), false);
    }
    for (kind, key) in [(3, "quantum"), (4, "initial_quantum")] {
        if let Some(value) = data.u32(kind)? {
            page.put(key, format_args!("{key} {} ", units::size(value.into())), value);
        }
    }
    for (kind, key) in [(7, "maxrate"), (6, "defrate"), (11, "low_rate_threshold")] {
        if let Some(value) = data.u32(kind)?.filter(|value| *value != 0 && *value != u32::MAX) {
            page.put(key, format_args!("{key} {} ", units::rate(value.into(), iec)), value);
        }
    }
    if let Some(delay) = data.u32(9)? {
        page.put("refill_delay", format_args!("refill_delay {} ", units::time(delay.into())), delay);
    }
    if let Some(slack) = data.u32(13)? {
        page.put("timer_slack", format_args!("timer_slack {} ", units::time((slack / 1000).into())), slack);
    }
    if let Some(horizon) = data.u32(14)? {
        page.put("horizon", format_args!("horizon {} ", units::time(horizon.into())), horizon);
    }
    match data.u8(15)? {
        Some(0) => page.null("horizon_cap", "horizon_cap "),
        Some(_) => page.null("horizon_drop", "horizon_drop "),
        None => {}
    }
    Ok(())
}

fn sfq(page: &mut Page<'_>, look: &Look, fixed: Fixed<'_>) {
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    page.put("limit", format_args!("limit {}p ", number(8)), number(8));
    page.put("quantum", format_args!("quantum {} ", units::size(number(0).into())), number(0));
    if let Some(depth) = fixed.u32(20) {
        page.put("depth", format_args!("depth {depth} "), depth);
    }
    if look.options.details {
        page.put("flows", format_args!("flows {}/{} ", number(16), number(12)), number(16));
    }
    page.put("divisor", format_args!("divisor {} ", number(12)), number(12));
    if number(4) != 0 {
        page.put("perturb", format_args!("perturb {}sec ", number(4).cast_signed()), number(4).cast_signed());
    }
}

/// A probability of 32 bits in percent.
fn percent(value: u32) -> String {
    let text = format!("{:.6}", f64::from(value) / f64::from(u32::MAX) * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn netem(page: &mut Page<'_>, look: &Look, options: &Attribute<'_>) -> Result<(), ToolError> {
    // struct tc_netem_qopt (24 bytes), then attributes.
    let fixed = options.fixed();
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    let data: Data<'_> = Table::after(options.payload, 24)?;
    page.put("limit", format_args!("limit {}", number(4)), number(4));
    let nanoseconds = |kind: u16, ticks: u32| {
        Ok::<_, ToolError>(
            data.i64(kind)?
                .and_then(|ns| u64::try_from(ns / 1000).ok())
                .unwrap_or_else(|| units::ticks_to_time(ticks)),
        )
    };
    let (latency, jitter) = (nanoseconds(10, number(0))?, nanoseconds(11, number(20))?);
    if latency != 0 {
        page.put("delay", format_args!(" delay {}", units::time(latency)), latency);
        if jitter != 0 {
            page.put("jitter", format_args!("  {}", units::time(jitter)), jitter);
        }
    }
    if number(8) != 0 {
        page.put("loss", format_args!(" loss {}", percent(number(8))), percent(number(8)));
    }
    if number(16) != 0 {
        page.put("duplicate", format_args!(" duplicate {}", percent(number(16))), percent(number(16)));
    }
    for (kind, key) in [(3, "reorder"), (4, "corrupt")] {
        if let Some(value) = data.fixed(kind).and_then(|fixed| fixed.u32(0)).filter(|value| *value != 0) {
            page.put(key, format_args!(" {key} {}", percent(value)), percent(value));
        }
    }
    let narrow = data.fixed(6).and_then(|fixed| fixed.u32(0)).map(u64::from);
    if let Some(rate) = data.u64(8)?.or(narrow).filter(|rate| *rate != 0) {
        page.put("rate", format_args!(" rate {}", units::rate(rate, look.options.iec)), rate);
    }
    if number(12) != 0 {
        page.put("gap", format_args!(" gap {}", number(12)), number(12));
    }
    Ok(())
}

fn ets(page: &mut Page<'_>, data: &Data<'_>) -> Result<(), ToolError> {
    for (kind, key) in [(1, "bands"), (2, "strict")] {
        if let Some(value) = data.u8(kind)? {
            page.put(key, format_args!("{key} {value} "), value);
        }
    }
    for (kind, key) in [(3, "quanta"), (5, "priomap")] {
        let Some(list) = data.get(kind) else { continue };
        page.text(format_args!("{key} "));
        page.list(key);
        for one in list.attributes() {
            let value = one?.uint()?;
            page.put("", format_args!("{value} "), value);
        }
        page.end_list();
    }
    Ok(())
}

fn cake(page: &mut Page<'_>, look: &Look, data: &Data<'_>) -> Result<(), ToolError> {
    match data.u64(2)?.filter(|rate| *rate != 0) {
        Some(rate) => {
            page.put("bandwidth", format_args!("bandwidth {} ", units::rate(rate, look.options.iec)), rate)
        }
        None => page.put("bandwidth", format_args!("bandwidth unlimited "), "unlimited"),
    }
    const DIFFSERV: [&str; 5] = ["diffserv3", "diffserv4", "diffserv8", "besteffort", "precedence"];
    const FLOWS: [&str; 8] = [
        "flowblind",
        "srchost",
        "dsthost",
        "hosts",
        "flows",
        "dual-srchost",
        "dual-dsthost",
        "triple-isolate",
    ];
    for (kind, key, words) in [(3, "diffserv", DIFFSERV.as_slice()), (5, "flowmode", FLOWS.as_slice())] {
        if let Some(word) = data.u32(kind)?.and_then(|number| words.get(number as usize)) {
            page.put(key, format_args!("{word} "), *word);
        }
    }
    if let Some(time) = data.u32(7)? {
        page.put("rtt", format_args!("rtt {} ", units::time(time.into())), time);
    }
    Ok(())
}

fn mqprio(page: &mut Page<'_>, kind: &str, options: &Attribute<'_>) -> Result<(), ToolError> {
    // struct tc_mqprio_qopt: number of classes, 16 priorities, hardware, 16 counts, 16 offsets.
    let fixed = match kind {
        "taprio" => {
            let data: Data<'_> = Table::read(options.attributes())?;
            let Some(fixed) = data.fixed(1) else { return Ok(()) };
            fixed
        }
        _ => options.fixed(),
    };
    let classes = fixed.u8(0).unwrap_or(0);
    page.put("tc", format_args!("tc {classes} "), classes);
    page.say("map ");
    page.list("map");
    for class in fixed.bytes(1, 16).unwrap_or(&[]) {
        page.put("", format_args!("{class} "), *class);
    }
    page.end_list();
    Ok(())
}

/// The words behind a class.
pub(super) fn class(
    page: &mut Page<'_>,
    look: &Look,
    kind: &str,
    options: Option<Attribute<'_>>,
) -> Result<(), ToolError> {
    let Some(options) = options else { return Ok(()) };
    if kind != "htb" {
        if kind == "drr" {
            let data: Data<'_> = Table::read(options.attributes())?;
            if let Some(quantum) = data.u32(1)? {
                page.put("quantum", format_args!("quantum {} ", units::size(quantum.into())), quantum);
            }
        }
        return Ok(());
    }
    let data: Data<'_> = Table::read(options.attributes())?;
    let Some(fixed) = data.fixed(1) else { return Ok(()) };
    let (iec, details) = (look.options.iec, look.options.details);
    let rate = Rate::read(fixed, 0, data.u64(6)?);
    let ceil = Rate::read(fixed, 12, data.u64(7)?);
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    let (buffer, cbuffer, quantum, level, prio) =
        (number(24), number(28), number(32), number(36), number(40));
    if level == 0 {
        page.put("prio", format_args!("prio {prio} "), prio);
        if details {
            page.put("quantum", format_args!("quantum {quantum} "), quantum);
        }
    }
    page.put("rate", format_args!("rate {} ", units::rate(rate.bytes, iec)), rate.bytes);
    if rate.overhead != 0 {
        page.put("overhead", format_args!("overhead {} ", rate.overhead), rate.overhead);
    }
    page.put("ceil", format_args!("ceil {} ", units::rate(ceil.bytes, iec)), ceil.bytes);
    if details {
        page.put("linklayer", format_args!("linklayer {} ", rate.linklayer()), rate.linklayer());
    }
    let (burst, cburst) = (units::bytes_in(rate.bytes, buffer), units::bytes_in(ceil.bytes, cbuffer));
    let more = |rate: &Rate| if details { rate.detail() } else { String::new() };
    page.put("burst", format_args!("burst {}{} ", units::size(burst), more(&rate)), burst);
    page.put("cburst", format_args!("cburst {}{} ", units::size(cburst), more(&ceil)), cburst);
    if details {
        page.put("level", format_args!("level {level} "), level);
    }
    Ok(())
}

/// What a kind of qdisc counts of its own.
pub(super) fn qdisc_statistics(
    page: &mut Page<'_>,
    kind: &str,
    stats: Option<Fixed<'_>>,
) -> Result<(), ToolError> {
    let Some(stats) = stats else { return Ok(()) };
    let number = |at: usize| stats.u32(at).unwrap_or(0);
    let pairs: &[(&str, usize)] = match kind {
        "red" => &[("early", 0), ("pdrop", 4), ("other", 8), ("marked", 12)],
        // struct tc_fq_codel_xstats: a type, then for a qdisc maxpacket, drop_overlimit, ecn_mark, new_flow_count, ...
        "fq_codel" if number(0) == 0 => &[
            ("maxpacket", 4),
            ("drop_overlimit", 8),
            ("new_flow_count", 16),
            ("ecn_mark", 12),
            ("new_flows_len", 20),
            ("old_flows_len", 24),
        ],
        _ => return Ok(()),
    };
    page.line();
    page.say(" ");
    for (number_of, (word, at)) in pairs.iter().enumerate() {
        if kind == "fq_codel" && number_of == 4 {
            page.line();
            page.say(" ");
        }
        page.put(word, format_args!(" {word} {}", number(*at)), number(*at));
    }
    Ok(())
}

/// What a kind of class counts of its own.
pub(super) fn class_statistics(
    page: &mut Page<'_>,
    kind: &str,
    stats: Option<Fixed<'_>>,
) -> Result<(), ToolError> {
    let Some(stats) = stats.filter(|_| kind == "htb") else { return Ok(()) };
    page.line();
    let number = |at: usize| stats.u32(at).unwrap_or(0);
    for (key, word, at) in
        [("lended", " lended:", 0), ("borrowed", " borrowed:", 4), ("giants", " giants:", 8)]
    {
        page.put(key, format_args!("{word} {}", number(at)), number(at));
    }
    page.line();
    for (key, word, at) in [("tokens", " tokens:", 12), ("ctokens", " ctokens:", 16)] {
        let value = number(at).cast_signed();
        page.put(key, format_args!("{word} {value}"), value);
    }
    page.line();
    Ok(())
}

#[cfg(test)]
mod tests {
    use netwhy_wire::netlink::{Attributes, Builder};

    use super::*;
    use crate::iproute::{Devices, Options, Tables};

    fn text(kind: &str, options: &[u8]) -> String {
        let look = Look {
            options: Options::default(),
            tables: Tables::new(std::path::Path::new("/nonexistent"), false),
            names: crate::names::Names::of(std::path::Path::new("/nonexistent")),
            devices: Devices::default(),
            namespaces: std::cell::OnceCell::new(),
        };
        let mut message = Builder::new();
        message.bytes(2, options);
        let bytes = message.finish().unwrap();
        let mut out = Vec::new();
        let mut page = Page::new(&mut out);
        qdisc(&mut page, &look, kind, Attributes::new(&bytes).find(2)).unwrap();
        page.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Kinds that this kernel lacks, from bytes made after the header.
    #[test]
    fn kinds_this_kernel_lacks_are_decoded_from_made_bytes() {
        let mut codel = Builder::new();
        codel
            .u32(1, 4999)
            .u32(2, 10_240)
            .u32(3, 99_999)
            .u32(4, 1)
            .u32(5, 1024)
            .u32(6, 1514)
            .u32(8, 64)
            .u32(9, 32 << 20);
        assert_eq!(
            text("fq_codel", &codel.finish().unwrap()),
            "limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32Mb ecn drop_batch 64 "
        );
        let mut netem = vec![0; 24];
        netem[..4].copy_from_slice(&units::time_to_ticks(100_000).to_ne_bytes());
        netem[4..8].copy_from_slice(&1000_u32.to_ne_bytes());
        netem[8..12].copy_from_slice(&(u32::MAX / 100).to_ne_bytes());
        assert_eq!(text("netem", &netem), "limit 1000 delay 100ms loss 1%");
        let mut prio = 3_u32.to_ne_bytes().to_vec();
        prio.extend([1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(text("prio", &prio), "bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1");
    }
}
