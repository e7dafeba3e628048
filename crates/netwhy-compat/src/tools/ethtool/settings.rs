//! The link: `ethtool DEVICE` and `-s`.

use netwhy_wire::netlink::{Attribute, Table};

use super::Run;
use crate::session::ToolError;

/// Bits of a link mode that are not modes: connectors, pause, negotiation, error correction.
const AUTONEG: u32 = 6;
const PORTS: [(u32, &str); 6] =
    [(7, "TP"), (8, "AUI"), (10, "FIBRE"), (11, "BNC"), (9, "MII"), (16, "Backplane")];
const PAUSE: u32 = 13;
const ASYM_PAUSE: u32 = 14;
const FEC: [(u32, &str); 4] = [(49, "None"), (50, "RS"), (51, "BaseR"), (74, "LLRS")];

/// The names of the error corrections among the link modes.
pub(super) fn link_mode_name(bit: u32) -> Option<&'static str> {
    FEC.iter().find(|(number, _)| *number == bit).map(|(_, name)| *name)
}

/// A bit of a verbose bitset: number, name, and whether it is set (all are, in a set without a mask).
struct Bit {
    number: u32,
    name: String,
    set: bool,
}

fn bits(set: Option<Attribute<'_>>) -> Result<Vec<Bit>, ToolError> {
    let Some(set) = set else { return Ok(Vec::new()) };
    let inner: Table<'_, 8> = Table::read(set.attributes())?;
    let all_set = inner.has(1);
    let mut found = Vec::new();
    if let Some(list) = inner.get(3) {
        for one in list.attributes() {
            let bit: Table<'_, 5> = Table::read(one?.attributes())?;
            found.push(Bit {
                number: bit.u32(1)?.unwrap_or(0),
                name: bit.text(2).unwrap_or_default().into_owned(),
                set: all_set || bit.has(3),
            });
        }
    }
    Ok(found)
}

/// Names of the bits that are set.
pub(super) fn bit_names(set: Option<Attribute<'_>>) -> Result<Vec<String>, ToolError> {
    Ok(bits(set)?.into_iter().filter(|bit| bit.set).map(|bit| bit.name).collect())
}

/// A bit that is a speed and no property.
fn is_mode(bit: &Bit) -> bool {
    let number = bit.number;
    number != AUTONEG
        && number != PAUSE
        && number != ASYM_PAUSE
        && !PORTS.iter().any(|(other, _)| *other == number)
        && !FEC.iter().any(|(other, _)| *other == number)
}

/// Modes in lines; half and full duplex of a speed share one.
fn modes(run: &mut Run<'_>, title: &str, key: &str, list: &[&Bit]) {
    run.page.text(format_args!("\t{title}"));
    let indent = title.len();
    run.page.list(key);
    if list.is_empty() {
        run.page.say("Not reported");
    }
    for (number, bit) in list.iter().enumerate() {
        let base = |name: &str| name.split_once('/').map(|(base, _)| base.to_owned()).unwrap_or_default();
        if number > 0 {
            let before = list.get(number - 1).map(|bit| base(&bit.name)).unwrap_or_default();
            if before == base(&bit.name) {
                run.page.say(" ");
            } else {
                run.page.text(format_args!(" \n\t{:indent$}", ""));
            }
        }
        run.page.put("", format_args!("{}", bit.name), &bit.name);
    }
    if !list.is_empty() {
        run.page.say(" ");
    }
    run.page.say("\n");
    run.page.end_list();
}

fn pause_word(bits: &[&Bit]) -> &'static str {
    let has = |number: u32| bits.iter().any(|bit| bit.number == number);
    match (has(PAUSE), has(ASYM_PAUSE)) {
        (true, true) => "Symmetric Receive-only",
        (true, false) => "Symmetric",
        (false, true) => "Transmit-only",
        (false, false) => "No",
    }
}

/// The four lines about what is supported or advertised.
fn block(run: &mut Run<'_>, who: &str, key: &str, bits: &[&Bit]) {
    let list: Vec<&Bit> = bits.iter().copied().filter(|bit| is_mode(bit)).collect();
    let title = if who == "Supported" {
        "Supported link modes:   ".to_owned()
    } else {
        format!("{who} link modes:  ")
    };
    modes(run, &title, &format!("{key}-link-modes"), &list);
    let pause = pause_word(bits);
    run.page.put(
        &format!("{key}-pause-frame-use"),
        format_args!("\t{who} pause frame use: {pause}\n"),
        pause,
    );
    let negotiates = bits.iter().any(|bit| bit.number == AUTONEG);
    let yes = if negotiates { "Yes" } else { "No" };
    let verb = if who == "Supported" { "Supports" } else { who };
    run.page.put(
        &format!("{key}-auto-negotiation"),
        format_args!("\t{verb} auto-negotiation: {yes}\n"),
        negotiates,
    );
    let words: Vec<&str> = FEC
        .iter()
        .filter(|(number, _)| bits.iter().any(|bit| bit.number == *number))
        .map(|(_, word)| *word)
        .collect();
    let text = if words.is_empty() { "Not reported".to_owned() } else { format!("{} ", words.join("\t ")) };
    run.page.put(&format!("{key}-fec-modes"), format_args!("\t{who} FEC modes: {text}\n"), words.join(" "));
}

/// The modes of energy saving.
pub(super) fn eee_modes(
    run: &mut Run<'_>,
    ours: Option<Attribute<'_>>,
    peer: Option<Attribute<'_>>,
) -> Result<(), ToolError> {
    let own = bits(ours)?;
    let partner = bits(peer)?;
    let supported: Vec<&Bit> = own.iter().collect();
    let advertised: Vec<&Bit> = own.iter().filter(|bit| bit.set).collect();
    let theirs: Vec<&Bit> = partner.iter().collect();
    modes(run, "Supported EEE link modes:  ", "supported-eee-link-modes", &supported);
    modes(run, "Advertised EEE link modes:  ", "advertised-eee-link-modes", &advertised);
    modes(
        run,
        "Link partner advertised EEE link modes:  ",
        "link-partner-advertised-eee-link-modes",
        &theirs,
    );
    Ok(())
}

const LINKINFO_GET: u8 = 2;
const LINKMODES_GET: u8 = 4;
const LINKSTATE_GET: u8 = 6;
const DEBUG_GET: u8 = 7;
const WOL_GET: u8 = 9;

/// The answer, or nothing where the device has none; another error is told at once.
fn try_ask(run: &mut Run<'_>, command: u8) -> Result<Option<Vec<u8>>, ToolError> {
    let device = run.device.clone();
    match run.collector.ethtool(command, &device, 0, |_| {}) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.errno().is_some_and(|errno| errno.is_unsupported() || errno.is_denied()) => {
            Ok(None)
        }
        Err(error) => {
            run.page.flush()?;
            writeln!(run.err, "{}", super::netlink(&error, 1))?;
            Ok(None)
        }
    }
}

/// `ethtool DEVICE`.
pub(super) fn show(run: &mut Run<'_>) -> Result<u8, ToolError> {
    if !run.words.is_empty() {
        // The original takes more words for more devices and shows the first.
        run.words.clear();
    }
    let modes = try_ask(run, LINKMODES_GET)?;
    let info = try_ask(run, LINKINFO_GET)?;
    let wol = try_ask(run, WOL_GET)?;
    let debug = try_ask(run, DEBUG_GET)?;
    let state = try_ask(run, LINKSTATE_GET)?;
    if modes.is_none() && info.is_none() && wol.is_none() && debug.is_none() && state.is_none() {
        run.page.say("No data available\n");
        return Ok(75);
    }
    run.open();
    run.page.text(format_args!("Settings for {}:\n", run.device));
    let mut port = None;
    if let Some(bytes) = &modes {
        link_modes(run, bytes)?;
    }
    if let Some(bytes) = &info {
        let table: Table<'_, 10> = Table::after(bytes, 0)?;
        port = table.u8(2)?;
        link_info(run, &table)?;
    }
    let _ = port;
    if let Some(bytes) = &wol {
        wake(run, bytes)?;
    }
    if let Some(bytes) = &debug {
        messages(run, bytes)?;
    }
    if let Some(bytes) = &state {
        let table: Table<'_, 10> = Table::after(bytes, 0)?;
        let detected = table.u8(2)?.unwrap_or(0) != 0;
        run.page.put(
            "link-detected",
            format_args!("\tLink detected: {}\n", if detected { "yes" } else { "no" }),
            detected,
        );
    }
    run.close();
    Ok(0)
}

fn link_modes(run: &mut Run<'_>, bytes: &[u8]) -> Result<(), ToolError> {
    let table: Table<'_, 12> = Table::after(bytes, 0)?;
    let ours = bits(table.get(3))?;
    let peer = bits(table.get(4))?;
    let supported: Vec<&Bit> = ours.iter().collect();
    let advertised: Vec<&Bit> = ours.iter().filter(|bit| bit.set).collect();
    let ports: Vec<&str> = PORTS
        .iter()
        .filter(|(number, _)| supported.iter().any(|bit| bit.number == *number))
        .map(|(_, word)| *word)
        .collect();
    let words: String = ports.iter().map(|word| format!("{word}\t ")).collect();
    run.page.text(format_args!("\tSupported ports: [ {words} ]\n"));
    run.page.list("supported-ports");
    for port in ports {
        run.page.json("", port);
    }
    run.page.end_list();
    block(run, "Supported", "supported", &supported);
    block(run, "Advertised", "advertised", &advertised);
    if !peer.is_empty() {
        let theirs: Vec<&Bit> = peer.iter().collect();
        block(run, "Link partner advertised", "link-partner-advertised", &theirs);
    }
    if let Some(speed) = table.u32(5)? {
        if speed == u32::MAX || speed == 0 || speed == 0xffff {
            run.page.null("speed", "\tSpeed: Unknown!\n");
        } else {
            run.page.put("speed", format_args!("\tSpeed: {speed}Mb/s\n"), speed);
        }
    }
    if let Some(lanes) = table.u32(9)?.filter(|lanes| *lanes > 0) {
        run.page.put("lanes", format_args!("\tLanes: {lanes}\n"), lanes);
    }
    if let Some(duplex) = table.u8(6)? {
        let word = match duplex {
            0 => "Half".to_owned(),
            1 => "Full".to_owned(),
            other => format!("Unknown! ({other})"),
        };
        run.page.put("duplex", format_args!("\tDuplex: {word}\n"), &word);
    }
    if let Some(negotiated) = table.u8(2)? {
        let word = if negotiated != 0 { "on" } else { "off" };
        run.page.put("auto-negotiation", format_args!("\tAuto-negotiation: {word}\n"), negotiated != 0);
    }
    Ok(())
}

fn link_info(run: &mut Run<'_>, table: &Table<'_, 10>) -> Result<(), ToolError> {
    let port = table.u8(2)?;
    if let Some(port) = port {
        let word = match port {
            0 => "Twisted Pair".to_owned(),
            1 => "AUI".to_owned(),
            2 => "MII".to_owned(),
            3 => "FIBRE".to_owned(),
            4 => "BNC".to_owned(),
            5 => "Direct Attach Copper".to_owned(),
            0xef => "None".to_owned(),
            0xff => "Other".to_owned(),
            other => format!("Unknown! ({other})"),
        };
        run.page.put("port", format_args!("\tPort: {word}\n"), &word);
    }
    if let Some(address) = table.u8(3)? {
        run.page.put("phyad", format_args!("\tPHYAD: {address}\n"), address);
    }
    if let Some(transceiver) = table.u8(6)? {
        let word = match transceiver {
            0 => "internal",
            1 => "external",
            _ => "Unknown!",
        };
        run.page.put("transceiver", format_args!("\tTransceiver: {word}\n"), word);
    }
    if port == Some(0)
        && let Some(status) = table.u8(4)?
    {
        const AUTO: u8 = 3;
        let control = table.u8(5)?.unwrap_or(0);
        let word = match status {
            1 => "off",
            2 => "on",
            _ => "Unknown",
        };
        let how = match control {
            AUTO => " (auto)",
            1 | 2 => " (forced)",
            _ => "",
        };
        run.page.put("mdi-x", format_args!("\tMDI-X: {word}{how}\n"), format!("{word}{how}"));
    }
    Ok(())
}

/// Letters of what wakes the machine, by bit.
const WAKE: &str = "pumbagsf";

fn wake(run: &mut Run<'_>, bytes: &[u8]) -> Result<(), ToolError> {
    let table: Table<'_, 6> = Table::after(bytes, 0)?;
    let all = bits(table.get(2))?;
    let letters = |only_set: bool| -> String {
        let text: String = all
            .iter()
            .filter(|bit| bit.set || !only_set)
            .filter_map(|bit| WAKE.chars().nth(usize::try_from(bit.number).ok()?))
            .collect();
        if text.is_empty() { "d".to_owned() } else { text }
    };
    let (supported, active) = (letters(false), letters(true));
    run.page.put("supports-wake-on", format_args!("\tSupports Wake-on: {supported}\n"), &supported);
    run.page.put("wake-on", format_args!("\tWake-on: {active}\n"), &active);
    Ok(())
}

/// Classes of messages a driver logs, by bit (`NETIF_MSG_*`).
const MESSAGES: [&str; 15] = [
    "drv",
    "probe",
    "link",
    "timer",
    "ifdown",
    "ifup",
    "rx_err",
    "tx_err",
    "tx_queued",
    "intr",
    "tx_done",
    "rx_status",
    "pktdata",
    "hw",
    "wol",
];

fn message_mask(bytes: &[u8]) -> Result<(u32, Vec<&'static str>), ToolError> {
    let table: Table<'_, 4> = Table::after(bytes, 0)?;
    let mut mask = 0;
    for bit in bits(table.get(2))?.into_iter().filter(|bit| bit.set) {
        mask |= 1_u32.checked_shl(bit.number).unwrap_or(0);
    }
    let words =
        MESSAGES.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, word)| *word).collect();
    Ok((mask, words))
}

fn messages(run: &mut Run<'_>, bytes: &[u8]) -> Result<(), ToolError> {
    let (mask, words) = message_mask(bytes)?;
    run.page.put(
        "message-level",
        format_args!("        Current message level: {mask:#010x} ({mask})\n"),
        mask,
    );
    let words: String = words.iter().map(|word| format!(" {word}")).collect();
    run.page.text(format_args!("{:30}{words}\n", ""));
    Ok(())
}

/// `-s`.
pub(super) fn change(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let words = run.words.clone();
    let mut words = words.iter().map(String::as_str);
    let mut link: Vec<(u16, u32)> = Vec::new();
    let mut port: Option<u8> = None;
    let mut negotiate: Option<bool> = None;
    let (mut level, mut level_words): (Option<u32>, Vec<(&str, bool)>) = (None, Vec::new());
    let mut wake_on: Option<String> = None;
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        let wrong =
            || ToolError::usage(format!("ethtool (-s): invalid value '{value}' for parameter '{word}'"), 1);
        match word {
            "speed" => link.push((5, value.parse().map_err(|_| wrong())?)),
            "lanes" => link.push((9, value.parse().map_err(|_| wrong())?)),
            "duplex" => link.push((
                6,
                match value {
                    "half" => 0,
                    "full" => 1,
                    _ => return Err(wrong()),
                },
            )),
            "autoneg" => {
                negotiate = Some(match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err(wrong()),
                });
            }
            "port" => {
                let place = ["tp", "aui", "mii", "fibre", "bnc", "da"].iter().position(|name| *name == value);
                port = Some(place.and_then(|place| u8::try_from(place).ok()).ok_or_else(wrong)?);
            }
            "wol" => wake_on = Some(value.to_owned()),
            "msglvl" => match value
                .parse::<u32>()
                .ok()
                .or_else(|| u32::from_str_radix(value.trim_start_matches("0x"), 16).ok())
            {
                Some(number) if !MESSAGES.contains(&value) => level = Some(number),
                _ => {
                    let on = words.next() == Some("on");
                    level_words.push((value, on));
                }
            },
            "phyad" | "xcvr" | "mdix" | "advertise" | "sopass" | "master-slave" => {
                return Err(ToolError::Refused {
                    what: format!("ethtool -s {word}"),
                    why: "netwhy does not set it".to_owned(),
                    code: 1,
                });
            }
            other => return Err(ToolError::usage(format!("ethtool (-s): unknown parameter '{other}'"), 1)),
        }
    }
    let device = run.device.clone();
    let said = run.words.join(" ");
    if port.is_some() {
        let bytes = run.ask(LINKINFO_GET, 0, 75)?;
        let table: Table<'_, 10> = Table::after(&bytes, 0)?;
        let old = table.u8(2)?.unwrap_or(0);
        let name = ["tp", "aui", "mii", "fibre", "bnc", "da"].get(usize::from(old)).copied().unwrap_or("tp");
        run.announce(
            &format!("ethtool -s {device} {said}"),
            Some(&format!("ethtool -s {device} port {name}")),
        )?;
        run.request(3, 0, 75, |message| {
            if let Some(port) = port {
                message.u8(2, port);
            }
        })?;
    }
    if !link.is_empty() || negotiate.is_some() {
        let bytes = run.ask(LINKMODES_GET, 0, 75)?;
        let table: Table<'_, 12> = Table::after(&bytes, 0)?;
        let mut undo = Vec::new();
        if let Some(speed) = table.u32(5)?.filter(|speed| *speed != u32::MAX) {
            undo.push(format!("speed {speed}"));
        }
        match table.u8(6)? {
            Some(0) => undo.push("duplex half".to_owned()),
            Some(1) => undo.push("duplex full".to_owned()),
            _ => {}
        }
        undo.push(format!("autoneg {}", if table.u8(2)? == Some(1) { "on" } else { "off" }));
        run.announce(
            &format!("ethtool -s {device} {said}"),
            Some(&format!("ethtool -s {device} {}", undo.join(" "))),
        )?;
        run.request(5, 0, 75, |message| {
            if let Some(on) = negotiate {
                message.u8(2, u8::from(on));
            }
            for (kind, value) in &link {
                match kind {
                    6 => message.u8(6, u8::try_from(*value).unwrap_or(0)),
                    kind => message.u32(*kind, *value),
                };
            }
        })?;
    }
    if let Some(letters) = wake_on {
        set_wake(run, &letters)?;
    }
    if level.is_some() || !level_words.is_empty() {
        let bytes = run.ask(DEBUG_GET, 0, 75)?;
        let (old, _) = message_mask(&bytes)?;
        run.announce(
            &format!("ethtool -s {device} {said}"),
            Some(&format!("ethtool -s {device} msglvl {old:#x}")),
        )?;
        let mut wanted = level.unwrap_or(old);
        for (word, on) in level_words {
            let bit = MESSAGES.iter().position(|name| *name == word);
            let bit = bit
                .ok_or_else(|| ToolError::usage(format!("ethtool (-s): unknown message type '{word}'"), 1))?;
            wanted = if on { wanted | 1 << bit } else { wanted & !(1 << bit) };
        }
        run.request(8, 0, 75, |message| {
            message.nest(2, |set| compact_set(set, wanted, MESSAGES.len()));
        })?;
    }
    Ok(0)
}

/// A compact bitset: size, value, mask of all its bits.
fn compact_set(set: &mut netwhy_wire::netlink::Builder, value: u32, bits: usize) {
    let bits = u32::try_from(bits).unwrap_or(32);
    let mask = 1_u32.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
    set.u32(2, bits).u32(4, value & mask).u32(5, mask);
}

fn set_wake(run: &mut Run<'_>, letters: &str) -> Result<(), ToolError> {
    let bytes = run.ask(WOL_GET, 0, 75)?;
    let table: Table<'_, 6> = Table::after(&bytes, 0)?;
    let old: String = bits(table.get(2))?
        .into_iter()
        .filter(|bit| bit.set)
        .filter_map(|bit| WAKE.chars().nth(usize::try_from(bit.number).ok()?))
        .collect();
    let mut value = 0;
    for letter in letters.chars().filter(|letter| *letter != 'd') {
        let bit = WAKE.find(letter).ok_or_else(|| {
            ToolError::usage(format!("ethtool (-s): invalid value '{letters}' for parameter 'wol'"), 1)
        })?;
        value |= 1 << bit;
    }
    let device = run.device.clone();
    let before = if old.is_empty() { "d" } else { old.as_str() };
    run.announce(
        &format!("ethtool -s {device} wol {letters}"),
        Some(&format!("ethtool -s {device} wol {before}")),
    )?;
    run.request(10, 0, 75, |message| {
        message.nest(2, |set| compact_set(set, value, WAKE.len()));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use netwhy_wire::netlink::{Attributes, Builder};

    use super::*;

    /// A verbose bitset as drivers of cards send it; virtual devices here have none.
    #[test]
    fn link_modes_are_told_from_properties_by_their_numbers() {
        let mut builder = Builder::new();
        builder.nest(1, |set| {
            set.nest(3, |list| {
                for (number, name, on) in
                    [(5, "1000baseT/Full", true), (6, "Autoneg", true), (7, "TP", true), (13, "Pause", false)]
                {
                    list.nest(1, |bit| {
                        bit.u32(1, number).str(2, name);
                        if on {
                            bit.flag(3);
                        }
                    });
                }
            });
        });
        let bytes = builder.finish().unwrap();
        let found = bits(Attributes::new(&bytes).find(1)).unwrap();
        let modes: Vec<&str> = found.iter().filter(|bit| is_mode(bit)).map(|bit| bit.name.as_str()).collect();
        assert_eq!(modes, ["1000baseT/Full"]);
        let set: Vec<&Bit> = found.iter().filter(|bit| bit.set).collect();
        assert_eq!(pause_word(&set), "No");
        assert_eq!(pause_word(&found.iter().collect::<Vec<_>>()), "Symmetric");
    }
}
