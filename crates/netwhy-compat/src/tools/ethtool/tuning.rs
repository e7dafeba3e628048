//! Settings that are numbers: rings, channels, coalescing, pause frames, energy saving, error correction. Read with a
//! small letter, set with a capital one.

use netwhy_wire::netlink::Table;

use super::Run;
use crate::session::ToolError;

/// `ETHTOOL_FLAG_STATS`.
const WITH_STATISTICS: u32 = 4;

type Answer<'a> = Table<'a, 64>;

/// A number that can be set: its word, its attribute, and how it is written.
#[derive(Clone, Copy)]
struct Field {
    word: &'static str,
    kind: u16,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    /// One byte, `on` or `off`.
    Switch,
}

const fn number(word: &'static str, kind: u16) -> Field {
    Field { word, kind, form: Form::Number }
}

const fn switch(word: &'static str, kind: u16) -> Field {
    Field { word, kind, form: Form::Switch }
}

const RINGS: &[Field] = &[
    number("rx", 6),
    number("rx-mini", 7),
    number("rx-jumbo", 8),
    number("tx", 9),
    number("rx-buf-len", 10),
    number("cqe-size", 12),
    switch("tx-push", 13),
];

const CHANNELS: &[Field] = &[number("rx", 6), number("tx", 7), number("other", 8), number("combined", 9)];

const PAUSE: &[Field] = &[switch("autoneg", 2), switch("rx", 3), switch("tx", 4)];

#[rustfmt::skip]
const COALESCE: &[Field] = &[
    switch("adaptive-rx", 11), switch("adaptive-tx", 12), number("rx-usecs", 2), number("rx-frames", 3),
    number("rx-usecs-irq", 4), number("rx-frames-irq", 5), number("tx-usecs", 6), number("tx-frames", 7),
    number("tx-usecs-irq", 8), number("tx-frames-irq", 9), number("stats-block-usecs", 10), number("pkt-rate-low", 13),
    number("rx-usecs-low", 14), number("rx-frame-low", 15), number("tx-usecs-low", 16), number("tx-frame-low", 17),
    number("pkt-rate-high", 18), number("rx-usecs-high", 19), number("rx-frame-high", 20), number("tx-usecs-high", 21),
    number("tx-frame-high", 22), number("sample-interval", 23), switch("cqe-mode-tx", 24), switch("cqe-mode-rx", 25),
];

fn shown(value: Option<u32>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| value.to_string())
}

fn on_off(value: Option<u8>) -> &'static str {
    match value {
        None => "n/a",
        Some(0) => "off",
        Some(_) => "on",
    }
}

/// A line of a table: label, tabulators, value; null in JSON when there is none.
fn line(run: &mut Run<'_>, label: &str, tabs: &str, key: &str, value: Option<u32>) {
    match value {
        Some(value) => run.page.put(key, format_args!("{label}{tabs}{value}\n"), value),
        None => run.page.null(key, &format!("{label}{tabs}n/a\n")),
    }
}

/// `-g`.
pub(super) fn rings(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let bytes = run.ask(15, 0, 1)?;
    let table: Answer<'_> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("Ring parameters for {}:\nPre-set maximums:\n", run.device));
    for (label, tabs, key, kind) in [
        ("RX:", "\t\t", "rx-max", 2),
        ("RX Mini:", "\t", "rx-mini-max", 3),
        ("RX Jumbo:", "\t", "rx-jumbo-max", 4),
        ("TX:", "\t\t", "tx-max", 5),
    ] {
        line(run, label, tabs, key, table.u32(kind)?);
    }
    run.page.say("Current hardware settings:\n");
    for (label, tabs, key, kind) in [
        ("RX:", "\t\t", "rx", 6),
        ("RX Mini:", "\t", "rx-mini", 7),
        ("RX Jumbo:", "\t", "rx-jumbo", 8),
        ("TX:", "\t\t", "tx", 9),
    ] {
        line(run, label, tabs, key, table.u32(kind)?);
    }
    line(run, "RX Buf Len:", "\t\t", "rx-buf-len", table.u32(10)?);
    line(run, "CQE Size:", "\t\t", "cqe-size", table.u32(12)?);
    let push = on_off(table.u8(13)?);
    run.page.put("tx-push", format_args!("TX Push:\t{push}\n"), push);
    let split = match table.u8(11)? {
        Some(1) => "off",
        Some(2) => "on",
        _ => "n/a",
    };
    run.page.put("tcp-data-split", format_args!("TCP data split:\t{split}\n"), split);
    run.close();
    Ok(0)
}

/// `-l`.
pub(super) fn channels(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let bytes = run.ask(17, 0, 1)?;
    let table: Answer<'_> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("Channel parameters for {}:\nPre-set maximums:\n", run.device));
    for (label, tabs, key, kind) in [
        ("RX:", "\t\t", "rx-max", 2),
        ("TX:", "\t\t", "tx-max", 3),
        ("Other:", "\t\t", "other-max", 4),
        ("Combined:", "\t", "combined-max", 5),
    ] {
        line(run, label, tabs, key, table.u32(kind)?);
    }
    run.page.say("Current hardware settings:\n");
    for (label, tabs, key, kind) in [
        ("RX:", "\t\t", "rx", 6),
        ("TX:", "\t\t", "tx", 7),
        ("Other:", "\t\t", "other", 8),
        ("Combined:", "\t", "combined", 9),
    ] {
        line(run, label, tabs, key, table.u32(kind)?);
    }
    run.close();
    Ok(0)
}

/// `-c`.
pub(super) fn coalesce(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let bytes = run.ask(19, 0, 1)?;
    let table: Answer<'_> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("Coalesce parameters for {}:\n", run.device));
    pair(run, "Adaptive", "adaptive", table.u8(11)?, table.u8(12)?);
    // Groups of lines, an empty line after each.
    #[rustfmt::skip]
    const GROUPS: [&[(&str, u16)]; 5] = [
        &[("stats-block-usecs", 10), ("sample-interval", 23), ("pkt-rate-low", 13), ("pkt-rate-high", 18)],
        &[("rx-usecs", 2), ("rx-frames", 3), ("rx-usecs-irq", 4), ("rx-frames-irq", 5)],
        &[("tx-usecs", 6), ("tx-frames", 7), ("tx-usecs-irq", 8), ("tx-frames-irq", 9)],
        &[("rx-usecs-low", 14), ("rx-frame-low", 15), ("tx-usecs-low", 16), ("tx-frame-low", 17)],
        &[("rx-usecs-high", 19), ("rx-frame-high", 20), ("tx-usecs-high", 21), ("tx-frame-high", 22)],
    ];
    for group in GROUPS {
        for (word, kind) in group {
            let value = table.u32(*kind)?;
            match value {
                Some(value) => run.page.put(word, format_args!("{word}: {value}\n"), value),
                None => run.page.null(word, &format!("{word}: {}\n", shown(value))),
            }
        }
        run.page.say("\n");
    }
    pair(run, "CQE mode", "cqe-mode", table.u8(25)?, table.u8(24)?);
    run.page.say("\n");
    run.close();
    Ok(0)
}

fn pair(run: &mut Run<'_>, label: &str, key: &str, rx: Option<u8>, tx: Option<u8>) {
    run.page.text(format_args!("{label} RX: {}  TX: {}\n", on_off(rx), on_off(tx)));
    for (side, value) in [("rx", rx), ("tx", tx)] {
        match value {
            Some(value) => run.page.json(&format!("{key}-{side}"), value != 0),
            None => run.page.json(&format!("{key}-{side}"), crate::iproute::page::Value::Null),
        }
    }
}

/// `-a`.
pub(super) fn pause(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let flags = if run.include_statistics { WITH_STATISTICS } else { 0 };
    let bytes = run.ask(21, flags, 1).inspect_err(|_| {
        run.page.list("");
        run.page.say("");
        run.page.end_list();
        run.page.end();
    })?;
    let table: Answer<'_> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("Pause parameters for {}:\n", run.device));
    for (label, key, kind) in [("Autonegotiate", "autonegotiate", 2), ("RX", "rx", 3), ("TX", "tx", 4)] {
        let value = table.u8(kind)?;
        let word = on_off(value);
        let tabs = if kind == 2 { "\t" } else { "\t\t" };
        run.page.put(key, format_args!("{label}:{tabs}{word}\n"), value.is_some_and(|value| value != 0));
    }
    if let Some(statistics) = table.nest::<6>(5)? {
        run.page.say("Statistics:\n");
        run.page.open("statistics");
        for (word, kind) in [("tx_pause_frames", 2), ("rx_pause_frames", 3)] {
            if let Some(value) = statistics.u64(kind)? {
                run.page.put(word, format_args!("  {word}: {value}\n"), value);
            }
        }
        run.page.close();
    }
    run.page.say("\n");
    run.close();
    Ok(0)
}

/// `--show-eee`.
pub(super) fn eee(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let bytes = run.ask(23, 0, 1)?;
    let table: Answer<'_> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("EEE settings for {}:\n", run.device));
    let enabled = table.u8(5)?.unwrap_or(0) != 0;
    let active = table.u8(4)?.unwrap_or(0) != 0;
    let word = match (enabled, active) {
        (false, _) => "disabled",
        (true, true) => "enabled - active",
        (true, false) => "enabled - inactive",
    };
    run.page.put("status", format_args!("\tEEE status: {word}\n"), word);
    let lpi = table.u8(6)?.unwrap_or(0) != 0;
    match table.u32(7)?.filter(|_| lpi) {
        Some(timer) => run.page.put("tx-lpi", format_args!("\tTx LPI: {timer} (us)\n"), timer),
        None => run.page.put("tx-lpi", format_args!("\tTx LPI: disabled\n"), "disabled"),
    }
    super::settings::eee_modes(run, table.get(2), table.get(3))?;
    run.close();
    Ok(0)
}

/// `--show-fec`.
pub(super) fn fec(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let flags = if run.include_statistics { WITH_STATISTICS } else { 0 };
    let bytes = run.ask(29, flags, 1)?;
    let table: Answer<'_> = Table::after(&bytes, 0)?;
    run.open();
    run.page.text(format_args!("FEC parameters for {}:\n", run.device));
    let mut words = super::settings::bit_names(table.get(2))?;
    if table.u8(3)?.unwrap_or(0) != 0 {
        words.insert(0, "Auto".to_owned());
    }
    if words.is_empty() {
        words.push("None".to_owned());
    }
    run.page.text(format_args!("Supported/Configured FEC encodings: {}\n", words.join(" ")));
    run.page.list("config");
    for word in &words {
        run.page.json("", word);
    }
    run.page.end_list();
    let active = super::settings::link_mode_name(table.u32(4)?.unwrap_or(0)).unwrap_or("None");
    run.page.put("active", format_args!("Active FEC encoding: {active}\n"), active);
    run.close();
    Ok(0)
}

/// The numbers behind the device: words and values. An unknown word is an error.
fn wanted(run: &Run<'_>, letter: &str, fields: &[Field]) -> Result<Vec<(Field, u32)>, ToolError> {
    let mut found = Vec::new();
    let mut words = run.words.iter();
    while let Some(word) = words.next() {
        let field = fields.iter().find(|field| field.word == word);
        let field = field
            .ok_or_else(|| ToolError::usage(format!("ethtool ({letter}): unknown parameter '{word}'"), 1))?;
        let value = words.next().ok_or_else(|| {
            ToolError::usage(format!("ethtool ({letter}): no value for parameter '{word}'"), 1)
        })?;
        let wrong = || {
            ToolError::usage(format!("ethtool ({letter}): invalid value '{value}' for parameter '{word}'"), 1)
        };
        let number = match (field.form, value.as_str()) {
            (Form::Switch, "on") => 1,
            (Form::Switch, "off") => 0,
            (Form::Switch, _) => return Err(wrong()),
            (Form::Number, value) => value.parse().map_err(|_| wrong())?,
        };
        found.push((*field, number));
    }
    Ok(found)
}

/// Reads the old values, says the change and its undo, and sends the new ones.
fn set(run: &mut Run<'_>, letter: &str, get: u8, fields: &[Field], code: u8) -> Result<u8, ToolError> {
    let wanted = wanted(run, letter, fields)?;
    let old = run.ask(get, 0, code)?;
    if wanted.is_empty() {
        return Ok(0);
    }
    let table: Answer<'_> = Table::after(&old, 0)?;
    let mut undo = Vec::new();
    for (field, _) in &wanted {
        let before = match field.form {
            Form::Number => table.u32(field.kind)?.map(|value| value.to_string()),
            Form::Switch => table.u8(field.kind)?.map(|value| on_off(Some(value)).to_owned()),
        };
        if let Some(before) = before {
            undo.push(format!("{} {before}", field.word));
        }
    }
    let device = run.device.clone();
    let what = format!("ethtool {letter} {device} {}", run.words.join(" "));
    let undo = (!undo.is_empty()).then(|| format!("ethtool {letter} {device} {}", undo.join(" ")));
    run.announce(&what, undo.as_deref())?;
    // Each SET follows its GET in the list of messages.
    run.request(get + 1, 0, 1, |message| {
        for (field, value) in &wanted {
            match field.form {
                Form::Number => message.u32(field.kind, *value),
                Form::Switch => message.u8(field.kind, u8::try_from(*value).unwrap_or(0)),
            };
        }
    })?;
    Ok(0)
}

/// `-G`.
pub(super) fn set_rings(run: &mut Run<'_>) -> Result<u8, ToolError> {
    set(run, "-G", 15, RINGS, 81)
}

/// `-L`.
pub(super) fn set_channels(run: &mut Run<'_>) -> Result<u8, ToolError> {
    set(run, "-L", 17, CHANNELS, 1)
}

/// `-C`.
pub(super) fn set_coalesce(run: &mut Run<'_>) -> Result<u8, ToolError> {
    set(run, "-C", 19, COALESCE, 1)
}

/// `-A`.
pub(super) fn set_pause(run: &mut Run<'_>) -> Result<u8, ToolError> {
    set(run, "-A", 21, PAUSE, 76)
}
