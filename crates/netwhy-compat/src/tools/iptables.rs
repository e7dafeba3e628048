//! `iptables`, `ip6tables` and their `-save`: rules of both back ends, listed and changed.
//!
//! The legacy back end has tables of its own in the kernel; the other keeps its rules as nftables. Called
//! without `-legacy` or `-nft` it takes the one the host's `iptables` leads to, and says so when it changes.

mod change;
mod from_nft;
mod list;
mod options;
mod words;

use netwhy_collect::Collector;
use netwhy_facts::nft::NftFamily;
use netwhy_facts::xtables::{XtChain, XtFamily};

use self::options::{Command, Options};
use crate::{Session, Tool, ToolError};

/// `iptables` and the names it goes by.
pub static TOOL: Tool = Tool {
    name: "iptables",
    aliases: &[
        "ip6tables",
        "iptables-legacy",
        "ip6tables-legacy",
        "iptables-nft",
        "ip6tables-nft",
        "iptables-save",
        "ip6tables-save",
        "iptables-legacy-save",
        "ip6tables-legacy-save",
        "iptables-nft-save",
        "ip6tables-nft-save",
    ],
    about: "packet filter rules of both back ends",
    run,
};

/// Where rules are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    /// Tables of `ip_tables` and `ip6_tables`.
    Legacy,
    /// Tables of nftables.
    Nft,
}

/// What it was called, taken apart.
struct Called {
    name: String,
    six: bool,
    backend: Backend,
    save: bool,
}

impl Called {
    fn new(name: &str) -> Self {
        let backend = match () {
            () if name.contains("-legacy") => Backend::Legacy,
            () if name.contains("-nft") => Backend::Nft,
            () => host_backend(),
        };
        Called { name: name.to_owned(), six: name.starts_with("ip6"), backend, save: name.ends_with("-save") }
    }

    /// What the original puts before its messages.
    fn prefix(&self) -> String {
        let backend = if self.backend == Backend::Nft { "nf_tables" } else { "legacy" };
        format!("{} v1.8.9 ({backend})", self.name.replace("-legacy", "").replace("-nft", ""))
    }

    const fn family(&self) -> NftFamily {
        if self.six { NftFamily::Ip6 } else { NftFamily::Ip }
    }
}

/// The back end of the host's own `iptables`: where the alternatives system of Debian points, else nftables,
/// which is every distribution's default.
fn host_backend() -> Backend {
    let target = std::fs::read_link("/etc/alternatives/iptables").unwrap_or_default();
    if target.to_string_lossy().contains("legacy") { Backend::Legacy } else { Backend::Nft }
}

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let called = Called::new(&session.called);
    if !called.save && change::asked(args) {
        return change::run(session, &called, args);
    }
    let options = options::parse(&called, args)?;
    match &options.command {
        Command::Help => {
            session.out.write_all(options::help(&called).as_bytes())?;
            Ok(0)
        }
        Command::Version => {
            writeln!(session.out, "{}", called.prefix())?;
            Ok(0)
        }
        Command::List { .. } | Command::Rules { .. } => {
            let collector = session.collector()?;
            let (chains, legacy_too) = chains(&collector, &called, &options.table)?;
            list::write(session, &called, &options, &chains)?;
            session.out.flush()?;
            if legacy_too {
                let legacy = if called.six { "ip6tables-legacy" } else { "iptables-legacy" };
                writeln!(session.err, "# Warning: {legacy} tables present, use {legacy} to see them")?;
            }
            Ok(0)
        }
        Command::Save => save(session, &called, &options),
        Command::Zero => Err(ToolError::Refused {
            what: format!("{} -Z", called.name),
            why: "it would set counters to zero, which cannot be taken back; netwhy shows differences with --watch"
                .into(),
            code: 2,
        }),
    }
}

/// Collects one table's chains, and whether legacy tables stand beside those of nftables.
fn chains(collector: &Collector, called: &Called, table: &str) -> Result<(Vec<XtChain>, bool), ToolError> {
    if from_nft::builtin(table).is_none() {
        let text = format!(
            "{}: table '{table}' does not exist\nPerhaps iptables or your kernel needs to be upgraded.",
            called.prefix()
        );
        return Err(ToolError::failed(text, 3));
    }
    match called.backend {
        Backend::Legacy => {
            let all = legacy(collector, called)?;
            let found = all.into_iter().find(|(name, _)| name == table).map(|(_, chains)| chains);
            Ok((found.unwrap_or_else(|| list::empty(table)), false))
        }
        Backend::Nft => {
            let listing = collector.nft_listing(&|_| false)?;
            let chains = from_nft::chains(&listing.nft, called.family(), table).map_err(|chain| {
                let text = format!(
                    "{}: chain `{chain}' in table `{table}' is incompatible, use 'nft' tool.",
                    called.prefix()
                );
                ToolError::failed(text, 1)
            })?;
            Ok((chains, has_legacy(collector, called)))
        }
    }
}

fn has_legacy(collector: &Collector, called: &Called) -> bool {
    legacy(collector, called).is_ok_and(|tables| !tables.is_empty())
}

/// The legacy tables in use, user chains by name.
fn legacy(collector: &Collector, called: &Called) -> Result<Vec<(String, Vec<XtChain>)>, ToolError> {
    let family = if called.six { XtFamily::Ip6tables } else { XtFamily::Iptables };
    let tables = match collector.xtables() {
        netwhy_facts::Reading::Known { value, .. } => value.0,
        // Without the subsystem there are no such tables.
        netwhy_facts::Reading::Unsupported { .. } => Vec::new(),
        other => return Err(ToolError::failed(format!("{}: {}", called.prefix(), absence(&other)), 4)),
    };
    let mut out = Vec::new();
    for table in tables.into_iter().filter(|table| table.family == family) {
        let mut chains = match table.chains {
            netwhy_facts::Reading::Known { value, .. } => value,
            other => {
                return Err(ToolError::failed(
                    format!("{}: table {}: {}", called.prefix(), table.name, absence(&other)),
                    4,
                ));
            }
        };
        chains.sort_by(|a, b| match (a.hook, b.hook) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.name.cmp(&b.name),
        });
        out.push((table.name, chains));
    }
    Ok(out)
}

/// Why something could not be read, in words.
fn absence<T>(reading: &netwhy_facts::Reading<T>) -> String {
    match reading.absence() {
        Some(absence) => absence.to_string(),
        None => "not read".to_owned(),
    }
}

fn save(session: &mut Session<'_>, called: &Called, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let tables: Vec<(String, Vec<XtChain>)> = match called.backend {
        Backend::Legacy => legacy(&collector, called)?,
        Backend::Nft => {
            let listing = collector.nft_listing(&|_| false)?;
            let there = |name: &str| {
                listing.nft.tables.iter().any(|table| table.family == called.family() && table.name == name)
            };
            let mut out = Vec::new();
            for name in ["mangle", "raw", "filter", "nat", "security"].into_iter().filter(|name| there(name))
            {
                match from_nft::chains(&listing.nft, called.family(), name) {
                    Ok(chains) => out.push((name.to_owned(), chains)),
                    Err(_) => writeln!(session.out, "# Table `{name}' is incompatible, use 'nft' tool.")?,
                }
            }
            out
        }
    };
    for (name, chains) in tables {
        if options.only_table.as_ref().is_none_or(|only| *only == name) {
            list::save(session, called, &name, &chains, options.counters)?;
        }
    }
    session.out.flush()?;
    if called.backend == Backend::Nft && has_legacy(&collector, called) {
        let legacy = if called.six { "ip6tables-legacy" } else { "iptables-legacy" };
        writeln!(session.err, "# Warning: {legacy} tables present, use {legacy}-save to see them")?;
    }
    Ok(0)
}
