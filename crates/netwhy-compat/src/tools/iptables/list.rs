//! Rules in columns (`-L`), as commands (`-S`) and as a file (`iptables-save`).

use std::io::Write;

use netwhy_facts::xtables::{XtChain, XtRule, XtTarget, XtVerdict};
use netwhy_walk::{proto_name, xt_address_text, xt_rule_text, xt_rule_text_with};

use super::options::{Command, Options};
use super::words::{self, Names};
use super::{Backend, Called, from_nft};
use crate::{Session, ToolError};

/// A table nobody has made yet: its built-in chains, which accept.
pub(super) fn empty(table: &str) -> Vec<XtChain> {
    let chain = |(hook, name): &(u32, &str)| XtChain {
        name: (*name).to_owned(),
        hook: Some(*hook),
        policy: Some(XtVerdict::Accept),
        counters: (0, 0),
        rules: Vec::new(),
    };
    from_nft::builtin(table).unwrap_or(&[]).iter().map(chain).collect()
}

fn policy(chain: &XtChain) -> Option<&'static str> {
    chain.policy.as_ref().map(|policy| if *policy == XtVerdict::Drop { "DROP" } else { "ACCEPT" })
}

/// How many rules lead to a chain.
fn references(chains: &[XtChain], name: &str) -> usize {
    let leads = |rule: &&XtRule| matches!(&rule.target, XtTarget::Standard { verdict: XtVerdict::Jump(to) } if to == name);
    chains.iter().flat_map(|chain| &chain.rules).filter(leads).count()
}

pub(super) fn write(
    session: &mut Session<'_>,
    called: &Called,
    options: &Options,
    chains: &[XtChain],
) -> Result<(), ToolError> {
    let (Command::List { chain, number } | Command::Rules { chain, number }) = &options.command else {
        return Ok(());
    };
    if let Some(name) = chain
        && !chains.iter().any(|one| one.name == *name)
    {
        let name = match called.backend {
            Backend::Nft => {
                let text = "chain `NAME' in table `TABLE' is incompatible, use 'nft' tool.";
                let text = text.replace("NAME", name).replace("TABLE", &options.table);
                return Err(ToolError::failed(format!("{}: {text}", called.prefix()), 1));
            }
            Backend::Legacy => called.name.trim_end_matches("-legacy"),
        };
        return Err(ToolError::failed(format!("{name}: No chain/target/match by that name."), 1));
    }
    let wanted: Vec<&XtChain> =
        chains.iter().filter(|one| chain.as_ref().is_none_or(|name| one.name == *name)).collect();
    if session.json {
        let text = serde_json::to_string(&wanted).unwrap_or_default();
        writeln!(session.out, "{text}")?;
        return Ok(());
    }
    if matches!(options.command, Command::Rules { .. }) {
        return Ok(rules(session.out, options, &wanted, *number)?);
    }
    let names = Names::new(!options.numeric, called.six);
    for (index, one) in wanted.iter().enumerate() {
        if number.is_none() {
            if index > 0 {
                writeln!(session.out)?;
            }
            heading(session.out, options, one, references(chains, &one.name))?;
        }
        for (at, rule) in one.rules.iter().enumerate() {
            if number.is_none_or(|number| number == at + 1) {
                row(session.out, options, &names, at + 1, rule)?;
            }
        }
    }
    Ok(())
}

/// `-S`.
fn rules(
    out: &mut dyn Write,
    options: &Options,
    chains: &[&XtChain],
    number: Option<usize>,
) -> std::io::Result<()> {
    let count = |(packets, bytes): (u64, u64)| {
        if options.verbose { format!(" -c {packets} {bytes}") } else { String::new() }
    };
    if number.is_none() {
        for chain in chains {
            match policy(chain) {
                Some(policy) => writeln!(out, "-P {} {policy}{}", chain.name, count(chain.counters))?,
                None => writeln!(out, "-N {}", chain.name)?,
            }
        }
    }
    for chain in chains {
        for (at, rule) in chain.rules.iter().enumerate() {
            if number.is_none_or(|number| number == at + 1) {
                writeln!(out, "{}", xt_rule_text_with(&chain.name, rule, &count(rule.counters)))?;
            }
        }
    }
    Ok(())
}

fn heading(
    out: &mut dyn Write,
    options: &Options,
    chain: &XtChain,
    references: usize,
) -> std::io::Result<()> {
    match policy(chain) {
        Some(policy) if options.verbose => {
            let (packets, bytes) = chain.counters;
            let (packets, bytes) = (counter(packets, options.exact), counter(bytes, options.exact));
            writeln!(out, "Chain {} (policy {policy} {packets} packets, {bytes} bytes)", chain.name)?;
        }
        Some(policy) => writeln!(out, "Chain {} (policy {policy})", chain.name)?,
        None => writeln!(out, "Chain {} ({references} references)", chain.name)?,
    }
    if options.line_numbers {
        write!(out, "num  ")?;
    }
    if options.verbose {
        let (packets, bytes) = if options.exact { (8, 10) } else { (5, 5) };
        write!(out, "{:>packets$} {:>bytes$} ", "pkts", "bytes")?;
    }
    write!(out, "target     prot opt ")?;
    if options.verbose {
        write!(out, "in     out     ")?;
    }
    writeln!(out, "source               destination         ")
}

/// A count of at most five characters: thousands, not 1024s, as the original counts.
fn counter(number: u64, exact: bool) -> String {
    if exact || number <= 99_999 {
        return number.to_string();
    }
    let mut number = (number + 500) / 1000;
    for unit in ["K", "M", "G"] {
        if number <= 9999 {
            return format!("{number}{unit}");
        }
        number = (number + 500) / 1000;
    }
    format!("{number}T")
}

fn row(
    out: &mut dyn Write,
    options: &Options,
    names: &Names,
    number: usize,
    rule: &XtRule,
) -> std::io::Result<()> {
    if options.line_numbers {
        write!(out, "{number:<4} ")?;
    }
    if options.verbose {
        let (packets, bytes) = rule.counters;
        // In full, both are eight wide, whatever the heading is.
        let widths = if options.exact { (8, 8) } else { (5, 5) };
        let cell = |count: u64, width: usize| {
            let text = counter(count, options.exact);
            format!("{text:>width$} ")
        };
        write!(out, "{}{}", cell(packets, widths.0), cell(bytes, widths.1))?;
    }
    let (proto, invert) = rule.proto.unwrap_or((0, false));
    // The sign of an inverted protocol stands in the space before it.
    let sign = if invert { '!' } else { ' ' };
    write!(out, "{:<9} {sign}", words::target_name(&rule.target))?;
    let number = proto;
    let proto = match (names.on, u8::try_from(proto)) {
        (true, Ok(0)) => "all".to_owned(),
        (true, Ok(proto)) => proto_name(proto),
        _ => proto.to_string(),
    };
    let opt = match rule.fragment {
        None => "--",
        Some(true) => "-f",
        Some(false) => "!f",
    };
    write!(out, "{proto:<4} {opt} ")?;
    if options.verbose {
        for dev in [&rule.iif, &rule.oif] {
            let text = match dev {
                Some((name, invert)) => format!("{}{name}", if *invert { "!" } else { "" }),
                None => if names.on { "any" } else { "*" }.to_owned(),
            };
            write!(out, " {text:<6}")?;
        }
        write!(out, " ")?;
    }
    for side in [0, 1] {
        let (text, invert) = match xt_address_text(rule, side) {
            Some((text, invert)) => {
                let whole = if names.six { "/128" } else { "/32" };
                let text = text.strip_suffix(whole).map_or_else(|| text.clone(), str::to_owned);
                (names.host(&text), invert)
            }
            None if names.on => ("anywhere".to_owned(), false),
            None => (if names.six { "::/0" } else { "0.0.0.0/0" }.to_owned(), false),
        };
        write!(out, "{}{text:<19} ", if invert { '!' } else { ' ' })?;
    }
    if rule.goto {
        write!(out, "[goto] ")?;
    }
    for one in &rule.matches {
        write!(out, "{}", words::match_words(one, names, number == 17))?;
    }
    write!(out, "{}", words::target_words(&rule.target, names))?;
    writeln!(out)
}

/// `iptables-save`.
pub(super) fn save(
    session: &mut Session<'_>,
    called: &Called,
    table: &str,
    chains: &[XtChain],
    counters: bool,
) -> Result<(), ToolError> {
    let now = netwhy_sys::clock::realtime().as_secs();
    let now = i64::try_from(now)
        .ok()
        .and_then(|now| netwhy_sys::clock::local_time(now, "%a %b %e %H:%M:%S %Y").ok());
    let now = now.unwrap_or_default();
    let version = match called.backend {
        Backend::Nft => "v1.8.9 (nf_tables)",
        Backend::Legacy => "v1.8.9",
    };
    let out = &mut session.out;
    let name = called.name.replace("-legacy", "");
    writeln!(out, "# Generated by {name} {version} on {now}\n*{table}")?;
    for chain in chains {
        let (packets, bytes) = chain.counters;
        writeln!(out, ":{} {} [{packets}:{bytes}]", chain.name, policy(chain).unwrap_or("-"))?;
    }
    for chain in chains {
        for rule in &chain.rules {
            if counters {
                write!(out, "[{}:{}] ", rule.counters.0, rule.counters.1)?;
            }
            writeln!(out, "{}", xt_rule_text(&chain.name, rule))?;
        }
    }
    writeln!(out, "COMMIT\n# Completed on {now}")?;
    Ok(())
}
