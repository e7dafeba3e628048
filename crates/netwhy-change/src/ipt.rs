//! Legacy iptables and ip6tables: tables taken apart into rules, changed, and put together again (uapi
//! `linux/netfilter/x_tables.h`, `linux/netfilter_ipv4/ip_tables.h` and their IPv6 siblings).

mod rule;

pub use rule::{IptRule, Target};

use netwhy_sys::xtables::{self, Family, NewTable, Table};

use crate::{ChangeError, Result};

/// Built-in chains in the order of their hooks.
const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// Which hooks a table has, and its name.
const TABLES: [(&str, u32); 4] =
    [("filter", 0b0_1110), ("nat", 0b1_1011), ("mangle", 0b1_1111), ("raw", 0b0_1001)];

/// One entry: its bytes, and for a jump the place it leads to, counted in entries.
#[derive(Debug, Clone)]
struct Entry {
    bytes: Vec<u8>,
    jump: Option<usize>,
}

/// A table in pieces.
#[derive(Debug)]
struct Pieces {
    family: Family,
    name: String,
    valid_hooks: u32,
    entries: Vec<Entry>,
    /// First entry and policy entry of each hook.
    hooks: [(usize, usize); 5],
}

/// Where an entry keeps its target offset; the offset of the next follows.
const fn offsets(family: Family) -> usize {
    if matches!(family, Family::Ipv6) { 140 } else { 88 }
}

/// Size of `struct ipt_entry` and `struct ip6t_entry`.
const fn entry_size(family: Family) -> usize {
    if matches!(family, Family::Ipv6) { 168 } else { 112 }
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, |two| u16::from_ne_bytes(two).into())
}

fn odd(what: &str) -> ChangeError {
    ChangeError::Unexpected(format!("legacy table: {what}"))
}

impl Entry {
    fn new(family: Family, head: &[u8], matches: &[u8], target: &[u8]) -> Self {
        let size = entry_size(family);
        let mut bytes = head.to_vec();
        bytes.resize(size, 0);
        let at = offsets(family);
        let middle = u16::try_from(size + matches.len()).unwrap_or(u16::MAX);
        let end = u16::try_from(size + matches.len() + target.len()).unwrap_or(u16::MAX);
        for (place, value) in [(at, middle), (at + 2, end)] {
            if let Some(place) = bytes.get_mut(place..place + 2) {
                place.copy_from_slice(&value.to_ne_bytes());
            }
        }
        bytes.extend_from_slice(matches);
        bytes.extend_from_slice(target);
        Entry { bytes, jump: None }
    }

    fn target(&self, family: Family) -> &[u8] {
        self.bytes.get(u16_at(&self.bytes, offsets(family))..).unwrap_or(&[])
    }

    /// The number of a standard target: a verdict below zero, a jump from zero up.
    fn verdict(&self, family: Family) -> Option<i32> {
        let target = self.target(family);
        let standard = target.get(2) == Some(&0);
        standard.then(|| target.get(32..36)?.try_into().ok().map(i32::from_ne_bytes)).flatten()
    }

    fn set_verdict(&mut self, family: Family, value: i32) {
        let at = u16_at(&self.bytes, offsets(family)) + 32;
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
    }
}

impl Pieces {
    /// A table without rules, as the kernel starts one.
    fn fresh(family: Family, name: &str) -> Result<Self> {
        let found = TABLES.iter().find(|(known, _)| *known == name);
        let valid_hooks = found.ok_or_else(|| odd(&format!("no table is called {name}")))?.1;
        let mut entries = Vec::new();
        let mut hooks = [(0, 0); 5];
        for (hook, place) in hooks.iter_mut().enumerate() {
            if valid_hooks & (1 << hook) != 0 {
                *place = (entries.len(), entries.len());
                entries.push(Entry::new(family, &[], &[], &rule::standard(rule::ACCEPT)));
            }
        }
        entries.push(Entry::new(family, &[], &[], &rule::error("ERROR")));
        Ok(Pieces { family, name: name.to_owned(), valid_hooks, entries, hooks })
    }

    fn take_apart(table: &Table) -> Result<Self> {
        let (mut entries, mut starts, mut at) = (Vec::new(), Vec::new(), 0);
        while at < table.entries.len() {
            let rest = table.entries.get(at..).unwrap_or(&[]);
            let length = u16_at(rest, offsets(table.family) + 2);
            let bytes = rest.get(..length).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or_else(|| odd("an entry is longer than the table"))?;
            starts.push(at);
            entries.push(Entry { bytes: bytes.to_vec(), jump: None });
            at += length;
        }
        let index = |offset: usize| starts.binary_search(&offset).map_err(|_| odd("an offset leads nowhere"));
        for entry in &mut entries {
            if let Some(to @ 0..) = entry.verdict(table.family) {
                entry.jump = Some(index(usize::try_from(to).unwrap_or(0))?);
            }
        }
        let mut hooks = [(0, 0); 5];
        for (hook, place) in
            hooks.iter_mut().enumerate().filter(|(hook, _)| table.valid_hooks & (1 << hook) != 0)
        {
            let offset = |list: &[u32]| list.get(hook).copied().unwrap_or(0) as usize;
            *place = (index(offset(&table.hook_entry))?, index(offset(&table.underflow))?);
        }
        let (family, name) = (table.family, table.name.clone());
        Ok(Pieces { family, name, valid_hooks: table.valid_hooks, entries, hooks })
    }

    /// Puts it together and into the kernel, in the calling thread's namespace.
    fn commit(mut self) -> Result<()> {
        let (mut starts, mut at) = (Vec::new(), 0_usize);
        for entry in &self.entries {
            starts.push(at);
            at += entry.bytes.len();
        }
        let offset = |index: usize| u32::try_from(starts.get(index).copied().unwrap_or(0)).unwrap_or(0);
        let family = self.family;
        for entry in &mut self.entries {
            if let Some(to) = entry.jump {
                entry.set_verdict(family, i32::try_from(offset(to)).unwrap_or(0));
            }
        }
        let bytes: Vec<u8> = self.entries.iter().flat_map(|entry| entry.bytes.iter().copied()).collect();
        let hook_entry: Vec<u32> = self.hooks.iter().map(|(first, _)| offset(*first)).collect();
        let underflow: Vec<u32> = self.hooks.iter().map(|(_, policy)| offset(*policy)).collect();
        let count = u32::try_from(self.entries.len()).unwrap_or(0);
        let (name, valid_hooks) = (self.name.as_str(), self.valid_hooks);
        let new = NewTable {
            name,
            valid_hooks,
            hook_entry: &hook_entry,
            underflow: &underflow,
            count,
            entries: &bytes,
        };
        Ok(xtables::replace(family, &new)?)
    }

    /// First rule and end (policy or RETURN entry) of a chain.
    fn chain(&self, name: &str) -> Result<(usize, usize)> {
        if let Some(hook) = CHAINS.iter().position(|chain| *chain == name)
            && self.valid_hooks & (1 << hook) != 0
        {
            return self.hooks.get(hook).copied().ok_or_else(|| odd("no such hook"));
        }
        let head = |entry: &Entry| {
            let target = entry.target(self.family);
            let text = target.get(32..).unwrap_or(&[]);
            target.get(2..7) == Some(b"ERROR")
                && text.split(|byte| *byte == 0).next() == Some(name.as_bytes())
        };
        let start = self.entries.iter().position(head);
        let start = start.ok_or_else(|| odd(&format!("no chain {name} in table {}", self.name)))? + 1;
        let next = |entry: &Entry| entry.target(self.family).get(2..7) == Some(b"ERROR");
        let rest = self.entries.get(start..).unwrap_or(&[]);
        let length = rest.iter().position(next).unwrap_or(rest.len());
        Ok((start, start + length.saturating_sub(1)))
    }

    /// Moves everything that points at or behind `at` by one entry.
    fn shift(&mut self, at: usize, grow: bool, chain_start: usize) {
        let moved = |index: usize| if grow { index + 1 } else { index - 1 };
        for entry in &mut self.entries {
            entry.jump =
                entry.jump.map(|to| if to > at || (to == at && to != chain_start) { moved(to) } else { to });
        }
        for (first, policy) in &mut self.hooks {
            if *first > at || (*first == at && *first != chain_start) {
                *first = moved(*first);
            }
            if *policy >= at {
                *policy = moved(*policy);
            }
        }
    }

    /// Puts a rule into a chain as number `number` (from 1); beyond the end appends.
    fn insert(&mut self, chain: &str, number: usize, entry: Entry) -> Result<usize> {
        let (first, end) = self.chain(chain)?;
        let at = (first + number.saturating_sub(1)).min(end);
        let jump = entry.jump.map(|to| if to >= at { to + 1 } else { to });
        self.shift(at, true, first);
        self.entries.insert(at, Entry { jump, ..entry });
        Ok(at - first + 1)
    }

    fn delete(&mut self, chain: &str, number: usize) -> Result<()> {
        let (first, end) = self.chain(chain)?;
        let at = first + number.saturating_sub(1);
        if at >= end {
            return Err(odd(&format!("chain {chain} has no rule {number}")));
        }
        self.entries.remove(at);
        for entry in &mut self.entries {
            entry.jump = entry.jump.map(|to| if to > at { to - 1 } else { to });
        }
        for (first, policy) in &mut self.hooks {
            if *first > at {
                *first -= 1;
            }
            if *policy > at {
                *policy -= 1;
            }
        }
        Ok(())
    }

    /// Adds a chain of its own at the end of the table.
    fn new_chain(&mut self, name: &str) {
        let end = self.entries.len() - 1;
        let head = Entry::new(self.family, &[], &[], &rule::error(name));
        let back = Entry::new(self.family, &[], &[], &rule::standard(rule::RETURN));
        self.entries.insert(end, head);
        self.entries.insert(end + 1, back);
    }
}

/// iptables or ip6tables.
fn family(command: &str) -> Result<Family> {
    match command.trim_end_matches("-legacy") {
        "iptables" => Ok(Family::Ipv4),
        "ip6tables" => Ok(Family::Ipv6),
        _ => Err(ChangeError::Usage(format!("{command} is neither iptables nor ip6tables"))),
    }
}

/// Changes a legacy table. `command` is `iptables` or `ip6tables`.
fn change<T>(command: &str, table: &str, work: impl FnOnce(&mut Pieces) -> Result<T>) -> Result<T> {
    let family = family(command)?;
    let used = xtables::tables(family)?.iter().any(|name| name == table);
    let mut pieces = if used {
        Pieces::take_apart(&xtables::read(family, table)?)?
    } else {
        Pieces::fresh(family, table)?
    };
    let result = work(&mut pieces)?;
    pieces.commit()?;
    Ok(result)
}

/// Puts a rule at place `number` (from 1) of a chain, or at its end; returns its place.
pub fn insert(command: &str, table: &str, chain: &str, number: Option<usize>, rule: &IptRule) -> Result<u32> {
    change(command, table, |pieces| {
        let target = match rule.target() {
            Target::Jump(chain) => Some(pieces.chain(chain)?.0),
            _ => None,
        };
        let mut entry = rule.entry(pieces.family)?;
        entry.jump = target;
        let place = pieces.insert(chain, number.unwrap_or(usize::MAX / 2), entry)?;
        Ok(u32::try_from(place).unwrap_or(0))
    })
}

/// Removes rule `number` (from 1) of a chain.
pub fn delete(command: &str, table: &str, chain: &str, number: usize) -> Result<()> {
    change(command, table, |pieces| pieces.delete(chain, number))
}

/// Removes the first rule of a chain that is like this one.
pub fn delete_like(command: &str, table: &str, chain: &str, rule: &IptRule) -> Result<()> {
    change(command, table, |pieces| {
        let wanted = rule.entry(pieces.family)?;
        let size = entry_size(pieces.family);
        let (first, end) = pieces.chain(chain)?;
        // The counters, 16 bytes before the matches, differ.
        let same = |entry: &Entry| {
            entry.bytes.get(..size - 24) == wanted.bytes.get(..size - 24)
                && entry.bytes.get(size..) == wanted.bytes.get(size..)
        };
        let rules = pieces.entries.get(first..end).unwrap_or(&[]);
        let place = rules.iter().position(same).ok_or_else(|| odd("no such rule"))?;
        pieces.delete(chain, place + 1)
    })
}

/// Sets the policy of a built-in chain.
pub fn policy(command: &str, table: &str, chain: &str, accept: bool) -> Result<()> {
    change(command, table, |pieces| {
        let (_, policy) = pieces.chain(chain)?;
        let verdict = if accept { rule::ACCEPT } else { rule::DROP };
        let family = pieces.family;
        let entry = pieces.entries.get_mut(policy).ok_or_else(|| odd("no policy"))?;
        entry.set_verdict(family, verdict);
        Ok(())
    })
}

/// Adds a chain.
pub fn new_chain(command: &str, table: &str, chain: &str) -> Result<()> {
    change(command, table, |pieces| {
        pieces.new_chain(chain);
        Ok(())
    })
}
