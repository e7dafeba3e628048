//! ebtables: chains carry headers with their names, rules have watchers, counters stand apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Chain, Extension, Rule, TableError, Target, Verdict, wrong};
use crate::netlink::Fixed;

/// `struct ebt_entries`, which starts a chain: distinguisher (0), name, counter offset, policy, number of rules.
const CHAIN: usize = 48;
/// `struct ebt_entry`, which starts a rule: its first word is not 0.
const RULE: usize = 112;
/// `struct ebt_entry_match`, `_watcher` and `_target`: name, revision, size of what follows.
const EXTENSION: usize = 40;
const HOOKS: [&str; 6] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "BROUTING"];

/// The chains of a bridge table. `counters` holds packets and bytes of each rule, as the kernel numbers them.
pub fn bridge_chains<'a>(entries: &'a [u8], counters: &[u8]) -> Result<Vec<Chain<'a>>, TableError> {
    let names = names(entries)?;
    let mut chains: Vec<Chain<'a>> = Vec::new();
    let mut number = 0;
    let mut offset = 0;
    while offset < entries.len() {
        let rest = Fixed(entries.get(offset..).unwrap_or(&[]));
        if rest.u32(0).ok_or(wrong("an entry is cut", offset))? == 0 {
            let name = rest.text(4, 32).ok_or(wrong("a chain is cut", offset))?;
            let policy = rest.i32(40).ok_or(wrong("a chain is cut", offset))?;
            number = rest.u32(36).unwrap_or(0) as usize;
            let hook =
                HOOKS.iter().position(|hook| **hook == *name).and_then(|hook| u32::try_from(hook).ok());
            let policy = verdict(policy, &names);
            chains.push(Chain { name, hook, policy, counters: (0, 0), rules: Vec::new() });
            offset += CHAIN;
            continue;
        }
        let next = rest.u32(108).ok_or(wrong("an entry is cut", offset))? as usize;
        let whole = rest.bytes(0, next).filter(|whole| whole.len() >= RULE);
        let rule = rule(Fixed(whole.ok_or(wrong("a rule is cut", offset))?), &names, offset)?;
        let count = |at: usize| Fixed(counters).u64(number * 16 + at).unwrap_or(0);
        let rule = Rule { counters: (count(0), count(8)), ..rule };
        chains.last_mut().ok_or(wrong("a rule of no chain", offset))?.rules.push(rule);
        number += 1;
        offset += next;
    }
    Ok(chains)
}

/// Names of chains by the offset a jump gives.
fn names(entries: &[u8]) -> Result<BTreeMap<usize, Cow<'_, str>>, TableError> {
    let mut names = BTreeMap::new();
    let mut offset = 0;
    while offset < entries.len() {
        let rest = Fixed(entries.get(offset..).unwrap_or(&[]));
        if rest.u32(0).ok_or(wrong("an entry is cut", offset))? == 0 {
            names.insert(offset, rest.text(4, 32).ok_or(wrong("a chain is cut", offset))?);
            offset += CHAIN;
        } else {
            let next = rest.u32(108).ok_or(wrong("an entry is cut", offset))? as usize;
            if next < RULE {
                return Err(wrong("an entry shorter than its parts", offset));
            }
            offset = offset.saturating_add(next);
        }
    }
    Ok(names)
}

fn rule<'a>(
    entry: Fixed<'a>,
    names: &BTreeMap<usize, Cow<'_, str>>,
    offset: usize,
) -> Result<Rule<'a>, TableError> {
    let at = |place| entry.u32(place).map_or(0, |value| value as usize);
    let (watchers, target) = (at(100), at(104));
    if watchers < RULE || target < watchers {
        return Err(wrong("an entry shorter than its parts", offset));
    }
    let one = extension(entry, target, offset)?;
    let target_data = Fixed(one.data);
    Ok(Rule {
        header: entry.bytes(0, RULE).unwrap_or(&[]),
        matches: extensions(entry, RULE, watchers, offset)?,
        watchers: extensions(entry, watchers, target, offset)?,
        target: match &*one.name {
            "standard" => {
                let code = target_data.i32(0).ok_or(wrong("a verdict is cut", offset))?;
                Target::Standard(verdict(code, names))
            }
            _ => Target::Extension(one),
        },
        counters: (0, 0),
    })
}

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
            return Err(wrong("an extension that reaches into the next", offset));
        }
        found.push(one);
    }
    Ok(found)
}

fn extension(entry: Fixed<'_>, at: usize, offset: usize) -> Result<Extension<'_>, TableError> {
    let data = || entry.bytes(at.checked_add(EXTENSION)?, entry.u32(at.checked_add(32)?)? as usize);
    match (entry.text(at, 31), at.checked_add(31).and_then(|at| entry.u8(at)), data()) {
        (Some(name), Some(revision), Some(data)) => Ok(Extension { name, revision, data }),
        _ => Err(wrong("an extension is cut", offset)),
    }
}

/// `EBT_*`, or the offset of a chain's header.
fn verdict(code: i32, names: &BTreeMap<usize, Cow<'_, str>>) -> Verdict {
    match code {
        -1 => Verdict::Accept,
        -2 => Verdict::Drop,
        -3 => Verdict::Continue,
        -4 => Verdict::Return,
        code => {
            let name = usize::try_from(code).ok().and_then(|at| names.get(&at));
            name.map_or(Verdict::Other(code), |name| Verdict::Jump(name.to_string()))
        }
    }
}

/// The fixed part of a rule (`struct ebt_entry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSelector {
    /// EtherType and whether inverted; 0 with `is_802_3` for frames that have a length there.
    pub proto: Option<(u16, bool)>,
    /// Frames with a length instead of a type.
    pub is_802_3: bool,
    /// Port of arrival, with a trailing `+` for a prefix, and whether inverted.
    pub iif: Option<(String, bool)>,
    /// Port of departure.
    pub oif: Option<(String, bool)>,
    /// Bridge of arrival.
    pub logical_iif: Option<(String, bool)>,
    /// Bridge of departure.
    pub logical_oif: Option<(String, bool)>,
    /// Source address, mask, and whether inverted.
    pub src: Option<([u8; 6], [u8; 6], bool)>,
    /// Destination address.
    pub dst: Option<([u8; 6], [u8; 6], bool)>,
}

impl BridgeSelector {
    /// Of an entry; `None` if it is cut.
    #[must_use]
    pub fn of(header: &[u8]) -> Option<Self> {
        let f = Fixed(header);
        let (bits, inverted) = (f.u32(0)?, f.u32(4)?);
        let device = |at, bit: u32| {
            let name = f.text(at, 16)?;
            // A trailing `+` is part of the name itself here.
            Some((!name.is_empty()).then(|| (name.into_owned(), inverted & bit != 0)))
        };
        let address = |at, bit: u32, flag: u32| {
            let (addr, mask) = (f.array::<6>(at)?, f.array::<6>(at + 6)?);
            Some((bits & bit != 0).then_some((addr, mask, inverted & flag != 0)))
        };
        // EBT_NOPROTO, EBT_802_3, EBT_SOURCEMAC, EBT_DESTMAC; EBT_I*.
        Some(BridgeSelector {
            proto: (bits & 2 == 0).then_some((f.be16(8)?, inverted & 1 != 0)),
            is_802_3: bits & 4 != 0,
            iif: device(10, 2)?,
            logical_iif: device(26, 0x20)?,
            oif: device(42, 4)?,
            logical_oif: device(58, 0x40)?,
            src: address(74, 8, 8)?,
            dst: address(86, 0x10, 0x10)?,
        })
    }
}
