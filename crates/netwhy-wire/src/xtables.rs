//! Legacy tables: the entries of iptables, ip6tables, arptables and ebtables as `getsockopt` gives them
//! (uapi `linux/netfilter/x_tables.h`, `netfilter_ipv4/ip_tables.h`, `netfilter_ipv6/ip6_tables.h`,
//! `netfilter_arp/arp_tables.h`, `netfilter_bridge/ebtables.h`).
//!
//! A table is one run of entries: a fixed selector, matches, a target. Chains are not named in it but
//! implied: the hooks' entry points start the built-in ones, an entry whose target is `ERROR` starts a user's
//! and holds its name, and jumps are offsets of a chain's first rule. What is inside matches and targets is
//! for others to say: here they are bytes with a name and a revision.

mod bridge;
mod selector;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use bridge::{BridgeSelector, bridge_chains};
pub use selector::{ArpSelector, IpSelector, Masked, MaskedHardware, MaskedNumber, device_name};

use crate::netlink::Fixed;

/// Which structures a table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `struct ipt_entry`.
    Ipv4,
    /// `struct ip6t_entry`.
    Ipv6,
    /// `struct arpt_entry`.
    Arp,
}

impl Layout {
    /// Length of the entry's fixed part.
    const fn header(self) -> usize {
        match self {
            Layout::Ipv4 => 112,
            Layout::Ipv6 => 168,
            Layout::Arp => 192,
        }
    }

    /// Where `target_offset` is; `next_offset` follows it.
    const fn offsets(self) -> usize {
        match self {
            Layout::Ipv4 => 88,
            Layout::Ipv6 => 140,
            Layout::Arp => 164,
        }
    }

    const fn counters(self) -> usize {
        self.header() - 16
    }

    /// The name of a hook's chain.
    fn hook_name(self, hook: u32) -> Option<&'static str> {
        match self {
            Layout::Arp => ["INPUT", "OUTPUT", "FORWARD"].get(hook as usize).copied(),
            _ => ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"].get(hook as usize).copied(),
        }
    }
}

/// Where a built-in chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// `NF_INET_*` or `NF_ARP_*`.
    pub number: u32,
    /// Offset of its first entry.
    pub entry: u32,
    /// Offset of its policy, which is its last entry.
    pub underflow: u32,
}

/// A chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// For a built-in chain the hook it is called at.
    pub hook: Option<u32>,
    /// What happens to packets no rule decided; always `Return` for a user's chain of iptables.
    pub policy: Verdict,
    /// Packets and bytes that met the policy. Bridges do not count them.
    pub counters: (u64, u64),
    /// The rules, in order.
    pub rules: Vec<Rule<'a>>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule<'a> {
    /// The entry's fixed part, for [`IpSelector`], [`ArpSelector`] or [`BridgeSelector`].
    pub header: &'a [u8],
    /// The matches, in order.
    pub matches: Vec<Extension<'a>>,
    /// Bridges only: what looks at a packet without deciding, such as `log`.
    pub watchers: Vec<Extension<'a>>,
    /// What a packet meets that fits.
    pub target: Target<'a>,
    /// Packets and bytes.
    pub counters: (u64, u64),
}

/// A match, watcher or target: its name and revision, and a structure of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Which of the layouts of that name.
    pub revision: u8,
    /// The structure, padded to a multiple of eight.
    pub data: &'a [u8],
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// The built-in target.
    Standard(Verdict),
    /// Any other.
    Extension(Extension<'a>),
}

/// What the built-in target says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Accept,
    /// Drop.
    Drop,
    /// To user space.
    Queue,
    /// Back to the calling chain, or to the policy.
    Return,
    /// On to the next rule.
    Continue,
    /// Into a chain; the rule's selector says whether to come back.
    Jump(String),
    /// A number that means none of these.
    Other(i32),
}

/// How a table departs from what a kernel writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("legacy table: {what} at byte {offset}")]
pub struct TableError {
    /// What is wrong.
    pub what: &'static str,
    /// Where.
    pub offset: usize,
}

const fn wrong(what: &'static str, offset: usize) -> TableError {
    TableError { what, offset }
}

/// `struct xt_entry_match`, `struct xt_entry_target`: size, name, revision.
const EXTENSION: usize = 32;
/// `XT_ERROR_TARGET`.
const ERROR: &str = "ERROR";

/// The chains of a table.
pub fn chains<'a>(layout: Layout, entries: &'a [u8], hooks: &[Hook]) -> Result<Vec<Chain<'a>>, TableError> {
    let entries = split(layout, entries)?;
    let names = chain_starts(layout, &entries, hooks)?;
    let mut chains: Vec<Open<'a, '_>> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some((name, hook)) = names.get(&entry.offset) {
            chains.push(Open { name: name.clone(), hook: *hook, rules: Vec::new() });
        }
        if let Raw::Error(_) = entry.target {
            // The last ERROR ends the table; any other's chain starts at the next entry.
            continue;
        }
        let next = entries.get(index + 1).map(|next| next.offset);
        let Some(open) = chains.last_mut() else { return Err(wrong("a rule of no chain", entry.offset)) };
        open.rules.push((entry, next));
    }
    chains.into_iter().map(|open| open.close(&names, hooks)).collect()
}

/// One entry, its target not yet understood.
struct Entry<'a> {
    offset: usize,
    header: &'a [u8],
    matches: Vec<Extension<'a>>,
    target: Raw<'a>,
    counters: (u64, u64),
}

enum Raw<'a> {
    Standard(i32),
    Error(Cow<'a, str>),
    Extension(Extension<'a>),
}

type Names<'a> = BTreeMap<usize, (Cow<'a, str>, Option<u32>)>;

struct Open<'a, 'e> {
    name: Cow<'a, str>,
    hook: Option<u32>,
    /// Entries, each with where the next one starts.
    rules: Vec<(&'e Entry<'a>, Option<usize>)>,
}

impl<'a> Open<'a, '_> {
    /// The last entry of a chain is its policy.
    fn close(mut self, names: &Names<'a>, hooks: &[Hook]) -> Result<Chain<'a>, TableError> {
        let Some((last, next)) = self.rules.pop() else { return Err(wrong("a chain without policy", 0)) };
        let underflow = hooks.iter().find(|hook| Some(hook.number) == self.hook).map(|hook| hook.underflow);
        if underflow.is_some_and(|underflow| underflow as usize != last.offset) {
            return Err(wrong("a policy elsewhere than its hook says", last.offset));
        }
        let Raw::Standard(policy) = last.target else {
            return Err(wrong("a policy that is no verdict", last.offset));
        };
        let policy = verdict(policy, next, names);
        let rules = self.rules.iter().map(|(entry, next)| Rule {
            header: entry.header,
            matches: entry.matches.clone(),
            watchers: Vec::new(),
            target: match &entry.target {
                Raw::Standard(code) => Target::Standard(verdict(*code, *next, names)),
                Raw::Error(name) => {
                    Target::Extension(Extension { name: name.clone(), revision: 0, data: &[] })
                }
                Raw::Extension(extension) => Target::Extension(extension.clone()),
            },
            counters: entry.counters,
        });
        let rules = rules.collect();
        Ok(Chain { name: self.name, hook: self.hook, policy, counters: last.counters, rules })
    }
}

fn split(layout: Layout, bytes: &[u8]) -> Result<Vec<Entry<'_>>, TableError> {
    let mut entries = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let rest = Fixed(bytes.get(offset..).unwrap_or(&[]));
        let at = layout.offsets();
        let (Some(target), Some(next)) = (rest.u16(at), rest.u16(at + 2)) else {
            return Err(wrong("an entry is cut", offset));
        };
        let (target, next) = (usize::from(target), usize::from(next));
        if target < layout.header() || next < target + EXTENSION {
            return Err(wrong("an entry shorter than its parts", offset));
        }
        let Some(entry) = rest.bytes(0, next) else { return Err(wrong("an entry is cut", offset)) };
        let fixed = Fixed(entry);
        let count = |at| fixed.u64(layout.counters() + at).unwrap_or(0);
        let (header, _) = entry.split_at(layout.header());
        entries.push(Entry {
            offset,
            header,
            matches: extensions(fixed, layout.header(), target, offset)?,
            target: raw_target(fixed, target, offset)?,
            counters: (count(0), count(8)),
        });
        offset += next;
    }
    Ok(entries)
}

/// The extensions that fill the bytes from `at` to `end` of an entry.
fn extensions(
    entry: Fixed<'_>,
    mut at: usize,
    end: usize,
    offset: usize,
) -> Result<Vec<Extension<'_>>, TableError> {
    let mut found = Vec::new();
    while at < end {
        let one = extension(entry, at, offset)?;
        at += EXTENSION + one.data.len();
        if at > end {
            return Err(wrong("a match that reaches into the target", offset));
        }
        found.push(one);
    }
    Ok(found)
}

fn extension(entry: Fixed<'_>, at: usize, offset: usize) -> Result<Extension<'_>, TableError> {
    let size = entry.u16(at).map_or(0, usize::from);
    let parts = (entry.text(at + 2, 29), entry.u8(at + 31), entry.bytes(at, size));
    match parts {
        (Some(name), Some(revision), Some(whole)) if size >= EXTENSION => {
            Ok(Extension { name, revision, data: whole.split_at(EXTENSION).1 })
        }
        _ => Err(wrong("an extension is cut", offset)),
    }
}

fn raw_target(entry: Fixed<'_>, at: usize, offset: usize) -> Result<Raw<'_>, TableError> {
    let one = extension(entry, at, offset)?;
    let data = Fixed(one.data);
    match &*one.name {
        "" => data.i32(0).map(Raw::Standard).ok_or(wrong("a verdict is cut", offset)),
        ERROR => Ok(Raw::Error(data.text(0, data.0.len().min(30)).unwrap_or_default())),
        _ => Ok(Raw::Extension(one)),
    }
}

/// Where chains start, and their names: at the hooks' entry points, and behind every `ERROR` but the last.
fn chain_starts<'a>(layout: Layout, entries: &[Entry<'a>], hooks: &[Hook]) -> Result<Names<'a>, TableError> {
    let mut names = Names::new();
    for hook in hooks {
        let Some(name) = layout.hook_name(hook.number) else { return Err(wrong("a hook without a name", 0)) };
        names.insert(hook.entry as usize, (Cow::Borrowed(name), Some(hook.number)));
    }
    for (entry, next) in entries.iter().zip(entries.iter().skip(1)) {
        if let Raw::Error(name) = &entry.target {
            names.insert(next.offset, (name.clone(), None));
        }
    }
    Ok(names)
}

/// The verdict of a standard target: a negative number, or the offset to go on at.
fn verdict(code: i32, next: Option<usize>, names: &Names<'_>) -> Verdict {
    match code {
        -1 => Verdict::Drop,
        -2 => Verdict::Accept,
        -4 => Verdict::Queue,
        -5 => Verdict::Return,
        code => match usize::try_from(code) {
            // A rule without a target goes on behind itself.
            Ok(at) if Some(at) == next => Verdict::Continue,
            Ok(at) => {
                names.get(&at).map_or(Verdict::Other(code), |(name, _)| Verdict::Jump(name.to_string()))
            }
            Err(_) => Verdict::Other(code),
        },
    }
}

#[cfg(test)]
mod tests;
