//! `tc qdisc|class|filter add`, `change`, `replace` and `delete` for the kinds whose words are known; others are refused
//! by name.

use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::qdisc::TCA_OPTIONS;
use super::{filter, units};
use crate::iproute::words::{self, Words, wrong};
use crate::iproute::{Ctx, WRONG};
use crate::session::ToolError;

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTCLASS: u16 = 40;
const RTM_DELTCLASS: u16 = 41;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const TCA_KIND: u16 = 1;
const TCA_CHAIN: u16 = 11;

const ROOT: u32 = u32::MAX;
const INGRESS: u32 = 0xffff_fff1;

/// `struct tcmsg`.
fn header(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (place, value) in bytes[4..].chunks_exact_mut(4).zip([index, handle, parent, info]) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn flags(verb: &str) -> u16 {
    match verb {
        "add" => NLM_F_CREATE | NLM_F_EXCL,
        "replace" => NLM_F_CREATE | NLM_F_REPLACE,
        _ => 0,
    }
}

/// What stands in front of the kind.
#[derive(Default)]
struct Place {
    device: Option<String>,
    handle: u32,
    parent: Option<u32>,
}

fn unknown(kind: &str, word: &str) -> ToolError {
    ToolError::usage(format!("What is \"{word}\"?\n{kind}: unknown word"), 1)
}

/// The kind of the qdisc at a place now, for the undo.
fn existing(ctx: &mut Ctx<'_>, index: u32, parent: u32) -> Result<Option<String>, ToolError> {
    for (_, payload) in ctx.gather(RTM_GETQDISC, &header(index, 0, 0, 0))? {
        let fixed = Fixed(&payload);
        let table: Table<'_, 4> = Table::after(&payload, 20)?;
        if fixed.u32(4) == Some(index) && fixed.u32(12) == Some(parent) {
            return Ok(table.text(TCA_KIND).map(std::borrow::Cow::into_owned));
        }
    }
    Ok(None)
}

/// `tc qdisc add|change|replace|delete`.
pub(super) fn qdisc(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().join(" ");
    let mut place = Place::default();
    let mut kind = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => place.device = Some(words.value()?.to_owned()),
            "handle" => place.handle = units::read_qdisc(words.value()?)?,
            "root" => place.parent = Some(ROOT),
            "parent" => place.parent = Some(units::read_class(words.value()?)?),
            "clsact" | "ingress" => {
                (place.parent, place.handle) = (Some(INGRESS), 0xffff_0000);
                kind = Some(word);
                break;
            }
            other => {
                kind = Some(other);
                break;
            }
        }
    }
    let device = place.device.clone().ok_or_else(|| ToolError::usage("Cannot find device \"\"", 1))?;
    ctx.load_devices()?;
    let index = ctx.device(&device)?;
    let parent = place.parent.unwrap_or(0);
    let mut message = Builder::with_header(&header(index, place.handle, parent, 0));
    let mut settings = Builder::new();
    if let Some(kind) = kind {
        message.str(TCA_KIND, kind);
        if verb != "delete" {
            options(&mut settings, kind, &mut words)?;
        }
    }
    let settings = settings.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
    if !settings.is_empty() {
        message.bytes(TCA_OPTIONS, &settings);
    }
    let before = existing(ctx, index, parent)?;
    let at = match parent {
        ROOT => "root".to_owned(),
        INGRESS => String::new(),
        0 => format!("handle {}", units::handle(place.handle)),
        other => format!("parent {}", units::handle(other)),
    };
    let undo = match (verb, &before) {
        ("delete", Some(kind)) => Some(format!(
            "tc qdisc add dev {device} {at} {kind}, with the values tc -d qdisc show dev {device} tells now"
        )),
        ("delete", None) => None,
        (_, Some(kind)) if !matches!(kind.as_str(), "noqueue" | "pfifo_fast" | "mq") => Some(format!(
            "tc qdisc replace dev {device} {at} {kind}, with the values tc -d qdisc show dev {device} tells now"
        )),
        _ => Some(format!(
            "tc qdisc del dev {device} {}",
            if parent == INGRESS { kind.unwrap_or("clsact") } else { at.as_str() }
        )),
    };
    ctx.announce(&format!("tc qdisc {verb} {all}"), undo.as_deref())?;
    ctx.change(if verb == "delete" { RTM_DELQDISC } else { RTM_NEWQDISC }, flags(verb), message)
}

/// The words of a kind as its `TCA_OPTIONS`.
fn options(data: &mut Builder, kind: &str, words: &mut Words<'_>) -> Result<(), ToolError> {
    match kind {
        "clsact" | "ingress" | "noqueue" | "mq" | "pfifo_fast" => match words.next() {
            None => Ok(()),
            Some(word) => Err(unknown(kind, word)),
        },
        "pfifo" | "bfifo" => {
            while let Some(word) = words.next() {
                match word {
                    "limit" => {
                        let limit = units::read_size(words.value()?)?;
                        data.raw(&limit.to_ne_bytes());
                    }
                    other => return Err(unknown(kind, other)),
                }
            }
            Ok(())
        }
        "prio" => prio(data, words),
        "tbf" => tbf(data, words),
        "htb" => htb(data, words),
        "fq_codel" => numbers(
            data,
            kind,
            words,
            &[("limit", 2), ("flows", 5), ("quantum", 6), ("memory_limit", 9)],
            &[("target", 1), ("interval", 3), ("ce_threshold", 7)],
            &[("ecn", 4)],
        ),
        "fq" => numbers(
            data,
            kind,
            words,
            &[("limit", 1), ("flow_limit", 2), ("quantum", 3), ("initial_quantum", 4)],
            &[("refill_delay", 9), ("horizon", 14)],
            &[("pacing", 5)],
        ),
        "netem" => netem(data, words),
        // The kernel says what it thinks of a kind without words.
        _ if words.is_empty() => Ok(()),
        other => Err(ToolError::Refused {
            what: format!("tc qdisc add {other}"),
            why: "netwhy does not know the words of this kind".to_owned(),
            code: WRONG,
        }),
    }
}

type Word = (&'static str, u16);

/// Numbers, times in microseconds, and switches with `no` in front.
fn numbers(
    data: &mut Builder,
    kind: &str,
    words: &mut Words<'_>,
    plain: &[Word],
    times: &[Word],
    switches: &[Word],
) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        let find = |list: &[Word], name: &str| {
            list.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
        };
        if let Some(number) = find(plain, word) {
            data.u32(number, units::read_size(words.value()?)?);
        } else if let Some(number) = find(times, word) {
            let time = units::read_time(words.value()?)?;
            data.u32(number, u32::try_from(time).unwrap_or(u32::MAX));
        } else if let Some(number) = find(switches, word) {
            data.u32(number, 1);
        } else if let Some(number) = word.strip_prefix("no").and_then(|bare| find(switches, bare)) {
            data.u32(number, 0);
        } else {
            return Err(unknown(kind, word));
        }
    }
    Ok(())
}

fn prio(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    let mut bands = 3_u32;
    let mut map: Vec<u8> = vec![1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    while let Some(word) = words.next() {
        match word {
            "bands" => bands = words::number(words.value()?, "Illegal \"bands\"")?,
            "priomap" => {
                for place in &mut map {
                    match words.next() {
                        Some(word) => *place = words::number(word, "Illegal \"priomap\" element")?,
                        None => break,
                    }
                }
            }
            other => return Err(unknown("prio", other)),
        }
    }
    data.raw(&bands.to_ne_bytes()).raw(&map);
    Ok(())
}

/// `struct tc_ratespec` for Ethernet: no table of rates is needed.
fn rate_spec(rate: u64, overhead: u16, mpu: u16) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[1] = 1;
    bytes[2..4].copy_from_slice(&overhead.to_ne_bytes());
    bytes[6..8].copy_from_slice(&mpu.to_ne_bytes());
    bytes[8..].copy_from_slice(&u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
    bytes
}

fn tbf(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    let (mut rate, mut peak, mut burst, mut limit, mut latency, mut mtu) = (0, 0, 0, None, None, 0);
    let (mut overhead, mut mpu) = (0_u16, 0_u16);
    while let Some(word) = words.next() {
        match word {
            "rate" => rate = units::read_rate(words.value()?)?,
            "peakrate" => peak = units::read_rate(words.value()?)?,
            "burst" | "buffer" | "maxburst" => {
                burst = units::read_size(words.value()?.split('/').next().unwrap_or(""))?
            }
            "mtu" | "minburst" => mtu = units::read_size(words.value()?.split('/').next().unwrap_or(""))?,
            "limit" => limit = Some(units::read_size(words.value()?)?),
            "latency" => latency = Some(units::read_time(words.value()?)?),
            "overhead" => overhead = words::number(words.value()?, "Illegal \"overhead\"")?,
            "mpu" => mpu = words::number(words.value()?, "Illegal \"mpu\"")?,
            other => return Err(unknown("tbf", other)),
        }
    }
    if rate == 0 || burst == 0 {
        return Err(ToolError::usage("Both \"rate\" and \"burst\" are required.", 1));
    }
    if peak != 0 && mtu == 0 {
        return Err(ToolError::usage("\"mtu\" is required, if \"peakrate\" is requested.", 1));
    }
    let all = |rate: u64, time: u64, bucket: u32| {
        u32::try_from(u128::from(rate) * u128::from(time) / 1_000_000 + u128::from(bucket))
            .unwrap_or(u32::MAX)
    };
    let limit = match (limit, latency) {
        (Some(limit), _) => limit,
        (None, Some(time)) if peak != 0 => all(rate, time, burst).min(all(peak, time, mtu)),
        (None, Some(time)) => all(rate, time, burst),
        (None, None) => return Err(ToolError::usage("Either \"limit\" or \"latency\" is required.", 1)),
    };
    let mut parms = rate_spec(rate, overhead, mpu).to_vec();
    parms.extend(if peak == 0 { [0; 12] } else { rate_spec(peak, overhead, mpu) });
    for number in [
        limit,
        units::ticks_for(rate, burst.into()),
        if peak == 0 { 0 } else { units::ticks_for(peak, mtu.into()) },
    ] {
        parms.extend(number.to_ne_bytes());
    }
    data.bytes(1, &parms).u32(6, burst);
    if peak != 0 {
        data.u32(7, mtu);
    }
    Ok(())
}

fn htb(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    let (mut class, mut quantum, mut length) = (0_u32, 10_u32, None);
    while let Some(word) = words.next() {
        match word {
            "default" => {
                let word = words.value()?;
                class = u32::from_str_radix(word.trim_start_matches("0x"), 16)
                    .map_err(|_| wrong(word, "Illegal \"default\""))?;
            }
            "r2q" => quantum = words::number(words.value()?, "Illegal \"r2q\"")?,
            "direct_qlen" => length = Some(words::number::<u32>(words.value()?, "Illegal \"direct_qlen\"")?),
            other => return Err(unknown("htb", other)),
        }
    }
    // struct tc_htb_glob: version, rate to quantum, default class, debug, direct packets.
    let bytes: Vec<u8> =
        [3, quantum, class, 0, 0].iter().flat_map(|number: &u32| number.to_ne_bytes()).collect();
    data.bytes(2, &bytes);
    if let Some(length) = length {
        data.u32(5, length);
    }
    Ok(())
}

fn netem(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    let (mut limit, mut delay, mut jitter, mut loss, mut duplicate, mut rate) =
        (1000_u32, 0, 0, 0_u32, 0_u32, None);
    let percent = |word: &str| {
        let number: f64 = word.trim_end_matches('%').parse().map_err(|_| wrong(word, "Illegal percent"))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range")]
        let value = (number.clamp(0.0, 100.0) / 100.0 * f64::from(u32::MAX)).round() as u32;
        Ok::<_, ToolError>(value)
    };
    while let Some(word) = words.next() {
        match word {
            "limit" => limit = units::read_size(words.value()?)?,
            "delay" | "latency" => {
                delay = units::read_time(words.value()?)?;
                if words.peek().is_some_and(|word| word.starts_with(|letter: char| letter.is_ascii_digit())) {
                    jitter = units::read_time(words.value()?)?;
                }
            }
            "loss" | "drop" => {
                if words.peek() == Some("random") {
                    words.next();
                }
                loss = percent(words.value()?)?;
            }
            "duplicate" => duplicate = percent(words.value()?)?,
            "rate" => rate = Some(units::read_rate(words.value()?)?),
            other => return Err(unknown("netem", other)),
        }
    }
    for number in [units::time_to_ticks(delay), limit, loss, 0, duplicate, units::time_to_ticks(jitter)] {
        data.raw(&number.to_ne_bytes());
    }
    for (kind, time) in [(10, delay), (11, jitter)] {
        if time != 0 {
            data.bytes(kind, &(time.saturating_mul(1000)).to_ne_bytes());
        }
    }
    if let Some(rate) = rate {
        let mut bytes = u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
        bytes.extend([0; 12]);
        data.bytes(6, &bytes);
        if rate > u64::from(u32::MAX) {
            data.u64(8, rate);
        }
    }
    Ok(())
}

/// `tc class add|change|replace|delete` of htb.
pub(super) fn class(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().join(" ");
    let (mut device, mut parent, mut class, mut kind) = (None, 0, 0, None);
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?.to_owned()),
            "parent" => parent = units::read_class(words.value()?)?,
            "root" => parent = ROOT,
            "classid" => class = units::read_class(words.value()?)?,
            other => {
                kind = Some(other);
                break;
            }
        }
    }
    let device =
        device.ok_or_else(|| ToolError::usage("Command line is not complete. Try option \"help\"", WRONG))?;
    ctx.load_devices()?;
    let index = ctx.device(&device)?;
    let mut message = Builder::with_header(&header(index, class, parent, 0));
    if let Some(kind) = kind {
        message.str(TCA_KIND, kind);
        if verb != "delete" {
            if kind != "htb" {
                return Err(ToolError::Refused {
                    what: format!("tc class {verb} {kind}"),
                    why: "netwhy does not know the words of this kind".to_owned(),
                    code: WRONG,
                });
            }
            htb_class(&mut message, &mut words)?;
        }
    }
    let id = units::handle(class);
    let undo = match verb {
        "add" => Some(format!("tc class del dev {device} classid {id}")),
        "delete" => Some(format!(
            "tc class add dev {device} parent ... classid {id} htb, with the values tc -d class show dev {device} tells now"
        )),
        _ => Some(format!(
            "tc class change dev {device} classid {id} htb, with the values tc -d class show dev {device} tells now"
        )),
    };
    ctx.announce(&format!("tc class {verb} {all}"), undo.as_deref())?;
    ctx.change(if verb == "delete" { RTM_DELTCLASS } else { RTM_NEWTCLASS }, flags(verb), message)
}

fn htb_class(message: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    /// What the kernel's timer can do: packets of this size always fit into a bucket.
    const MTU: u64 = 1600;
    let (mut rate, mut ceil, mut burst, mut cburst) = (0_u64, None, None, None);
    let (mut prio, mut quantum, mut overhead, mut mpu) = (0_u32, 0_u32, 0_u16, 0_u16);
    while let Some(word) = words.next() {
        match word {
            "rate" => rate = units::read_rate(words.value()?)?,
            "ceil" => ceil = Some(units::read_rate(words.value()?)?),
            "burst" | "buffer" | "maxburst" => burst = Some(u64::from(units::read_size(words.value()?)?)),
            "cburst" | "cbuffer" | "cmaxburst" => cburst = Some(u64::from(units::read_size(words.value()?)?)),
            "prio" => prio = words::number(words.value()?, "Illegal \"prio\"")?,
            "quantum" => quantum = units::read_size(words.value()?)?,
            "overhead" => overhead = words::number(words.value()?, "Illegal \"overhead\"")?,
            "mpu" => mpu = words::number(words.value()?, "Illegal \"mpu\"")?,
            other => return Err(unknown("htb", other)),
        }
    }
    if rate == 0 {
        return Err(ToolError::usage("\"rate\" is required.", 1));
    }
    let ceil = ceil.unwrap_or(rate);
    // A bucket no one asked for holds one packet.
    let burst = burst.unwrap_or(MTU);
    let cburst = cburst.unwrap_or(MTU);
    let mut parms = rate_spec(rate, overhead, mpu).to_vec();
    parms.extend(rate_spec(ceil, overhead, mpu));
    for number in [units::ticks_for(rate, burst), units::ticks_for(ceil, cburst), quantum, 0, prio] {
        parms.extend(number.to_ne_bytes());
    }
    message.nest(TCA_OPTIONS, |data| {
        if rate > u64::from(u32::MAX) {
            data.u64(6, rate);
        }
        if ceil > u64::from(u32::MAX) {
            data.u64(7, ceil);
        }
        data.bytes(1, &parms);
    });
    Ok(())
}

/// `tc filter add|replace|delete`: u32, matchall and bpf with a class or a mirred or gact action.
pub(super) fn filter(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().join(" ");
    let (mut device, mut parent, mut prio, mut protocol, mut kind) = (None, 0, 0_u32, None, None);
    let (mut handle, mut chain) = (0_u32, None::<u32>);
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?.to_owned()),
            "root" => parent = ROOT,
            "ingress" => parent = filter::INGRESS,
            "egress" => parent = filter::EGRESS,
            "parent" => parent = units::read_class(words.value()?)?,
            "pref" | "preference" | "priority" | "prio" => {
                prio = words::number(words.value()?, "invalid priority value")?
            }
            "protocol" => protocol = Some(filter::read_protocol(words.value()?)?),
            "handle" => {
                let word = words.value()?;
                let text = word.trim_start_matches("0x");
                handle = u32::from_str_radix(text, if text.len() == word.len() { 10 } else { 16 })
                    .map_err(|_| wrong(word, "invalid handle"))?;
            }
            "chain" => chain = Some(words::number(words.value()?, "invalid chain index value")?),
            other => {
                kind = Some(other);
                break;
            }
        }
    }
    let device = device.ok_or_else(|| ToolError::usage("Must specify either dev or block", 1))?;
    ctx.load_devices()?;
    let index = ctx.device(&device)?;
    let deleting = verb == "delete";
    let default = if deleting { 0 } else { 3 };
    let info = (prio << 16) | u32::from(protocol.unwrap_or(default).to_be());
    let mut message = Builder::with_header(&header(index, handle, parent, info));
    if let Some(kind) = kind {
        message.str(TCA_KIND, kind);
    }
    if let Some(chain) = chain {
        message.u32(TCA_CHAIN, chain);
    }
    if !deleting {
        let kind = kind.ok_or_else(|| ToolError::usage("Filter kind is required.", 1))?;
        let settings = filter_words(ctx, kind, &mut words)?;
        message.bytes(TCA_OPTIONS, &settings);
    }
    let at = match parent {
        filter::INGRESS => "ingress".to_owned(),
        filter::EGRESS => "egress".to_owned(),
        ROOT | 0 => "root".to_owned(),
        other => format!("parent {}", units::handle(other)),
    };
    let undo = match deleting {
        false if prio != 0 => Some(format!("tc filter del dev {device} {at} prio {prio}")),
        false => {
            Some(format!("tc filter del dev {device} {at} prio N, where tc filter show dev {device} tells N"))
        }
        true => None,
    };
    ctx.announce(&format!("tc filter {verb} {all}"), undo.as_deref())?;
    ctx.change(if deleting { RTM_DELTFILTER } else { RTM_NEWTFILTER }, flags(verb), message)
}

/// One `struct tc_u32_key`.
struct Key {
    mask: u32,
    value: u32,
    offset: i32,
}

fn filter_words(ctx: &mut Ctx<'_>, kind: &str, words: &mut Words<'_>) -> Result<Vec<u8>, ToolError> {
    if !matches!(kind, "u32" | "matchall") {
        return Err(ToolError::Refused {
            what: format!("tc filter add {kind}"),
            why: "netwhy knows the words of u32 and matchall".to_owned(),
            code: WRONG,
        });
    }
    let mut data = Builder::new();
    let mut keys: Vec<Key> = Vec::new();
    let mut terminal = false;
    while let Some(word) = words.next() {
        match word {
            "match" if kind == "u32" => merge(&mut keys, u32_match(words)?),
            "flowid" | "classid" => {
                data.u32(1, units::read_class(words.value()?)?);
                terminal = true;
            }
            "action" => {
                let number = if kind == "u32" { 7 } else { 2 };
                let list = action_words(ctx, words)?;
                data.bytes(number, &list);
                terminal = true;
            }
            other => return Err(unknown(kind, other)),
        }
    }
    if kind == "u32" {
        let mut selector = vec![0; 16];
        if let Some(place) = selector.first_mut() {
            *place = u8::from(terminal);
        }
        if let Some(place) = selector.get_mut(2) {
            *place = u8::try_from(keys.len()).unwrap_or(u8::MAX);
        }
        for key in &keys {
            selector.extend(key.mask.to_be_bytes());
            selector.extend(key.value.to_be_bytes());
            selector.extend(key.offset.to_ne_bytes());
            selector.extend(0_i32.to_ne_bytes());
        }
        data.bytes(5, &selector);
    }
    data.finish().map_err(|error| ToolError::failed(error.to_string(), 2))
}

/// Matches of one word of the packet become one.
fn merge(keys: &mut Vec<Key>, key: Key) {
    let fits = |known: &&mut Key| {
        known.offset == key.offset && (known.value ^ key.value) & known.mask & key.mask == 0
    };
    match keys.iter_mut().find(fits) {
        Some(known) => {
            known.mask |= key.mask;
            known.value |= key.value;
        }
        None => keys.push(key),
    }
}

/// `ip dport 80 0xffff`, `ip src 10.0.0.0/8`, `ip protocol 6 0xff`, `u32 0 0 at 12`.
fn u32_match(words: &mut Words<'_>) -> Result<Key, ToolError> {
    let hex = |word: &str| words::number::<u32>(word, "illegal match");
    let plain_hex = |word: &str| {
        u32::from_str_radix(word.trim_start_matches("0x"), 16).map_err(|_| wrong(word, "illegal match"))
    };
    match words.value()? {
        "u32" => {
            let (value, mask) = (plain_hex(words.value()?)?, plain_hex(words.value()?)?);
            let mut offset = 0;
            if words.peek() == Some("at") {
                words.next();
                offset = words::number::<u16>(words.value()?, "illegal offset")?.into();
            }
            Ok(Key { mask, value: value & mask, offset })
        }
        "ip" => match words.value()? {
            which @ ("src" | "dst") => {
                let (address, length) = words::prefix(words.value()?, crate::iproute::AF_INET)?;
                let std::net::IpAddr::V4(address) = address else {
                    return Err(wrong(which, "an IPv4 prefix is expected"));
                };
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Ok(Key {
                    mask,
                    value: u32::from(address) & mask,
                    offset: if which == "src" { 12 } else { 16 },
                })
            }
            which @ ("sport" | "dport") => {
                let (port, mask) = (hex(words.value()?)?, hex(words.value()?)?);
                let shift = if which == "sport" { 16 } else { 0 };
                Ok(Key { mask: mask << shift, value: (port & mask) << shift, offset: 20 })
            }
            "protocol" => {
                let (number, mask) = (hex(words.value()?)?, hex(words.value()?)?);
                Ok(Key { mask: mask << 16, value: (number & mask) << 16, offset: 8 })
            }
            other => Err(unknown("u32 match ip", other)),
        },
        other => Err(unknown("u32 match", other)),
    }
}

/// `mirred egress redirect dev DEV` or a verdict.
fn action_words(ctx: &mut Ctx<'_>, words: &mut Words<'_>) -> Result<Vec<u8>, ToolError> {
    let mut list = Builder::new();
    let verdicts = [
        ("continue", -1_i32),
        ("pass", 0),
        ("ok", 0),
        ("drop", 2),
        ("shot", 2),
        ("pipe", 3),
        ("reclassify", 1),
    ];
    let (kind, parms): (&str, Vec<u8>) = match words.value()? {
        "mirred" => {
            let (direction, what) = (words.value()?, words.value()?);
            let (how, verdict) = match (direction, what) {
                ("egress", "redirect") => (1_i32, 4_i32),
                ("egress", "mirror") => (2, 3),
                ("ingress", "redirect") => (3, 4),
                ("ingress", "mirror") => (4, 3),
                (_, other) => return Err(unknown("mirred", other)),
            };
            if words.value()? != "dev" {
                return Err(ToolError::usage("mirred: a device is required", 1));
            }
            let name = words.value()?;
            let index = ctx.device(name)?;
            // struct tc_mirred: index, capabilities, action, references, bindings, how, device.
            let mut bytes: Vec<u8> = [0, 0].iter().flat_map(|number: &u32| number.to_ne_bytes()).collect();
            bytes.extend(verdict.to_ne_bytes());
            bytes.extend([0; 8]);
            bytes.extend(how.to_ne_bytes());
            bytes.extend(index.to_ne_bytes());
            ("mirred", bytes)
        }
        word => {
            let found =
                verdicts.iter().find(|(known, _)| *known == word).ok_or_else(|| unknown("action", word))?;
            let mut bytes = vec![0; 8];
            bytes.extend(found.1.to_ne_bytes());
            bytes.extend([0; 8]);
            ("gact", bytes)
        }
    };
    list.nest(1, |action| {
        action.str(1, kind).nest(2, |options| {
            options.bytes(2, &parms);
        });
    });
    list.finish().map_err(|error| ToolError::failed(error.to_string(), 2))
}
