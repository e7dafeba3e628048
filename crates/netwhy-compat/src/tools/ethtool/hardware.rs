//! What the driver and the device are: `-i`, `-S`, `-d`, `-P`, `-T`, `-x`, `-n`, `-m`, `-p`.

use netwhy_sys::ethtool::{self, NameSet};
use netwhy_wire::netlink::Table;

use super::Run;
use crate::iproute::mac;
use crate::session::ToolError;

/// `-i`.
pub(super) fn driver(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let driver = run.ioctl("Cannot get driver information", 71, ethtool::driver)?;
    run.open();
    for (word, text) in [
        ("driver", &driver.driver),
        ("version", &driver.version),
        ("firmware-version", &driver.firmware),
        ("expansion-rom-version", &driver.rom),
        ("bus-info", &driver.bus),
    ] {
        run.page.put(word, format_args!("{word}: {}\n", netwhy_render::escape::escape_terminal(text)), text);
    }
    for (word, count) in [
        ("supports-statistics", driver.statistics),
        ("supports-test", driver.tests),
        ("supports-eeprom-access", driver.eeprom),
        ("supports-register-dump", driver.registers),
        ("supports-priv-flags", driver.private_flags),
    ] {
        let yes = if count > 0 { "yes" } else { "no" };
        run.page.put(word, format_args!("{word}: {yes}\n"), count > 0);
    }
    run.close();
    Ok(0)
}

fn numbers(run: &mut Run<'_>, title: &str, list: &[(String, u64)]) {
    run.open();
    run.page.say(title);
    run.page.open("statistics");
    for (name, value) in list {
        // Some drivers lead their names with blanks.
        let name = name.trim_start();
        run.page.put(
            name,
            format_args!("     {}: {value}\n", netwhy_render::escape::escape_terminal(name)),
            *value,
        );
    }
    run.page.close();
    run.close();
}

/// `-S`.
pub(super) fn statistics(run: &mut Run<'_>) -> Result<u8, ToolError> {
    if let Some(word) = run.words.first() {
        return Err(ToolError::Refused {
            what: format!("ethtool -S {word}"),
            why: "the standard groups are not read; the driver's own statistics are".to_owned(),
            code: 1,
        });
    }
    let device = run.device.clone();
    let answer = run.collector.inside(move || ethtool::statistics(&device))?;
    match answer {
        Ok(list) if !list.is_empty() => {
            numbers(run, "NIC statistics:\n", &list);
            Ok(0)
        }
        Ok(_) => Err(ToolError::failed("no stats available", 94)),
        Err(error) if error.errno.name() == "EOPNOTSUPP" => Err(ToolError::failed("no stats available", 94)),
        Err(error) => {
            let reason = error.errno.description();
            Err(ToolError::failed(format!("Cannot get stats strings information: {reason}"), 96))
        }
    }
}

/// `--phy-statistics`.
pub(super) fn phy_statistics(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let device = run.device.clone();
    match run.collector.inside(move || ethtool::phy_statistics(&device))? {
        Ok(list) if !list.is_empty() => {
            numbers(run, "PHY statistics:\n", &list);
            Ok(0)
        }
        Ok(_) => Err(ToolError::failed("no stats available", 94)),
        Err(error) if error.errno.name() == "EOPNOTSUPP" => Err(ToolError::failed("no stats available", 94)),
        Err(error) => {
            let reason = error.errno.description();
            Err(ToolError::failed(format!("Cannot get stats strings information: {reason}"), 96))
        }
    }
}

/// `-d`: registers in hexadecimal; the original knows some drivers' names for them.
pub(super) fn registers(run: &mut Run<'_>) -> Result<u8, ToolError> {
    run.ioctl("Cannot get driver information", 72, ethtool::driver)?;
    let (version, bytes) = run.ioctl("Cannot get register dump", 74, ethtool::registers)?;
    run.open();
    run.page.json("version", version);
    run.page.say("Offset\t\tValues\n------\t\t------\n");
    run.page.list("data");
    for (number, row) in bytes.chunks(16).enumerate() {
        let text: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        run.page.text(format_args!("0x{:04x}:\t\t{} \n", number * 16, text.join(" ")));
        for byte in row {
            run.page.json("", *byte);
        }
    }
    run.page.end_list();
    run.page.say("\n");
    run.close();
    Ok(0)
}

/// `-P`.
pub(super) fn permanent_address(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let device = run.device.clone();
    let answer = run.collector.inside(move || ethtool::permanent_address(&device))?;
    let address = answer
        .map_err(|error| ToolError::failed(format!("netlink error: {}", error.errno.description()), 1))?;
    run.open();
    match address {
        Some(bytes) => {
            let text = mac(&bytes);
            run.page.put("permanent-address", format_args!("Permanent address: {text}\n"), &text);
        }
        None => run.page.null("permanent-address", "Permanent address: not set\n"),
    }
    run.close();
    Ok(0)
}

/// `-p`.
pub(super) fn identify(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let seconds = match run.words.first() {
        None => 0,
        Some(word) => word.parse().map_err(|_| super::bad())?,
    };
    let device = run.device.clone();
    run.announce(
        &format!("blink a lamp of {device}"),
        Some("it stops by itself, or when this is interrupted"),
    )?;
    run.ioctl("Cannot identify NIC", 255, move |device| ethtool::identify(device, seconds))?;
    Ok(0)
}

/// Capabilities by bit (`SOF_TIMESTAMPING_*`, uapi `linux/net_tstamp.h`).
const CAPABILITIES: [&str; 17] = [
    "hardware-transmit",
    "software-transmit",
    "hardware-receive",
    "software-receive",
    "software-system-clock",
    "hardware-legacy-clock",
    "hardware-raw-clock",
    "option-id",
    "sched-transmit",
    "ack-transmit",
    "option-cmsg",
    "option-tsonly",
    "option-stats",
    "option-pktinfo",
    "option-tx-swhw",
    "bind-phc",
    "option-id-tcp",
];

const TRANSMIT: [&str; 4] = ["off", "on", "onestep-sync", "onestep-p2p"];

const RECEIVE: [&str; 16] = [
    "none",
    "all",
    "some",
    "ptpv1-l4-event",
    "ptpv1-l4-sync",
    "ptpv1-l4-delay-req",
    "ptpv2-l4-event",
    "ptpv2-l4-sync",
    "ptpv2-l4-delay-req",
    "ptpv2-l2-event",
    "ptpv2-l2-sync",
    "ptpv2-l2-delay-req",
    "ptpv2-event",
    "ptpv2-sync",
    "ptpv2-delay-req",
    "ntp-all",
];

/// The names of the bits that are set in a compact bitset.
fn compact(
    set: Option<netwhy_wire::netlink::Attribute<'_>>,
    names: &[&'static str],
) -> Result<Vec<&'static str>, ToolError> {
    let Some(set) = set else { return Ok(Vec::new()) };
    let inner: Table<'_, 8> = Table::read(set.attributes())?;
    let value = inner.get(4).map(|value| value.payload).unwrap_or_default();
    let bit = |number: usize| value.get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1);
    Ok(names.iter().enumerate().filter(|(number, _)| bit(*number)).map(|(_, name)| *name).collect())
}

/// `-T`.
pub(super) fn time_stamping(run: &mut Run<'_>) -> Result<u8, ToolError> {
    // ETHTOOL_FLAG_COMPACT_BITSETS
    let bytes = run.ask(25, 1, 1)?;
    let table: Table<'_, 8> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("Time stamping parameters for {}:\nCapabilities:\n", run.device));
    run.page.list("capabilities");
    for word in compact(table.get(2), &CAPABILITIES)? {
        run.page.put("", format_args!("\t{word}\n"), word);
    }
    run.page.end_list();
    match table.u32(5)? {
        Some(clock) => {
            run.page.put("ptp-hardware-clock", format_args!("PTP Hardware Clock: {clock}\n"), clock)
        }
        None => run.page.null("ptp-hardware-clock", "PTP Hardware Clock: none\n"),
    }
    for (key, title, kind, names) in [
        ("hardware-transmit-timestamp-modes", "Hardware Transmit Timestamp Modes", 3, TRANSMIT.as_slice()),
        ("hardware-receive-filter-modes", "Hardware Receive Filter Modes", 4, RECEIVE.as_slice()),
    ] {
        let words = compact(table.get(kind), names)?;
        run.page.text(format_args!("{title}:{}\n", if words.is_empty() { " none" } else { "" }));
        run.page.list(key);
        for word in words {
            run.page.put("", format_args!("\t{word}\n"), word);
        }
        run.page.end_list();
    }
    run.close();
    Ok(0)
}

/// `-x`.
pub(super) fn receive_hash(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let rings = run.ioctl("Cannot get RX ring count", 1, ethtool::receive_rings)?;
    let hash = run.ioctl("Cannot get RX flow hash configuration", 1, ethtool::receive_hash)?;
    run.open();
    run.page
        .text(format_args!("RX flow hash indirection table for {} with {rings} RX ring(s):\n", run.device));
    run.page.json("rx-rings", rings);
    run.page.list("indirection-table");
    for (number, row) in hash.table.chunks(8).enumerate() {
        run.page.text(format_args!("{:5}: ", number * 8));
        for ring in row {
            run.page.put("", format_args!(" {ring:5}"), *ring);
        }
        run.page.say("\n");
    }
    run.page.end_list();
    if hash.table.is_empty() {
        run.page.say("Operation not supported\n");
    }
    run.page.say("RSS hash key:\n");
    if hash.key.is_empty() {
        run.page.null("rss-hash-key", "Operation not supported\n");
    } else {
        let text = mac(&hash.key);
        run.page.put("rss-hash-key", format_args!("{text}\n"), &text);
    }
    run.page.say("RSS hash function:\n");
    let names = run.ioctl("Cannot get hash functions names", 1, |device| {
        ethtool::names(device, NameSet::HashFunctions)
    })?;
    run.page.open("rss-hash-function");
    for (number, name) in names.iter().enumerate() {
        let on = hash.function >> (number % 8) & 1 == 1;
        run.page.put(name, format_args!("    {name}: {}\n", if on { "on" } else { "off" }), on);
    }
    run.page.close();
    run.close();
    Ok(0)
}

/// `-n`.
pub(super) fn rules(run: &mut Run<'_>) -> Result<u8, ToolError> {
    if !run.words.is_empty() {
        return Err(ToolError::Refused {
            what: format!("ethtool -n {}", run.words.join(" ")),
            why: "netwhy shows how many rules there are, not each".to_owned(),
            code: 1,
        });
    }
    let rings = run.ioctl("Cannot get RX rings", 1, ethtool::receive_rings);
    let count = run.ioctl("rxclass: Cannot get RX class rule count", 1, ethtool::receive_rules);
    let text = |error: &ToolError| error.to_string();
    let mut complaints: Vec<String> =
        [rings.as_ref().err().map(text), count.as_ref().err().map(text)].into_iter().flatten().collect();
    let (Ok(rings), Ok(count)) = (rings, count) else {
        complaints.push("RX classification rule retrieval failed".to_owned());
        return Err(ToolError::failed(complaints.join("\n"), 1));
    };
    run.open();
    run.page.put("rx-rings", format_args!("{rings} RX rings available\n"), rings);
    run.page.put("rules", format_args!("Total {count} rules\n\n"), count);
    run.close();
    Ok(0)
}

/// `-m`: the first page of a transceiver's memory. Names and numbers of the maker are decoded for SFP and QSFP; the
/// rest is shown in hexadecimal.
pub(super) fn module(run: &mut Run<'_>) -> Result<u8, ToolError> {
    const MODULE_EEPROM_GET: u8 = 31;
    let bytes = run.request(MODULE_EEPROM_GET, 0, 1, |message| {
        // Offset, length, page, bank, address on the bus.
        message.u32(2, 0).u32(3, 128).u8(4, 0).u8(5, 0).u8(6, 0x50);
    })?;
    let table: Table<'_, 8> = Table::after(&bytes, 0)?;
    let data = table.get(7).map(|data| data.payload).unwrap_or_default();
    run.open();
    let identifier = data.first().copied().unwrap_or(0);
    let kind = match identifier {
        0x03 => "SFP",
        0x0c => "QSFP",
        0x0d => "QSFP+",
        0x11 => "QSFP28",
        0x18 => "QSFP-DD Double Density 8X Pluggable Transceiver (INF-8628)",
        _ => "reserved or unknown",
    };
    run.page.put("identifier", format_args!("\t{:<41} : 0x{identifier:02x} ({kind})\n", "Identifier"), kind);
    if identifier == 0x03 {
        // SFF-8472, table 4-1.
        for (title, key, range) in [
            ("Vendor name", "vendor-name", 20..36),
            ("Vendor PN", "vendor-pn", 40..56),
            ("Vendor rev", "vendor-rev", 56..60),
            ("Vendor SN", "vendor-sn", 68..84),
            ("Date code", "date-code", 84..92),
        ] {
            let text = String::from_utf8_lossy(data.get(range).unwrap_or(&[])).trim_end().to_owned();
            run.page.put(
                key,
                format_args!("\t{title:<41} : {}\n", netwhy_render::escape::escape_terminal(&text)),
                &text,
            );
        }
    }
    run.page.say("Offset\t\tValues\n------\t\t------\n");
    for (number, row) in data.chunks(16).enumerate() {
        let text: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        run.page.text(format_args!("0x{:04x}:\t\t{} \n", number * 16, text.join(" ")));
    }
    run.page.json("data", mac(data).replace(':', ""));
    run.close();
    Ok(0)
}
