//! Kernel symbols from /proc/kallsyms, read when the first address is asked for.

use std::cell::OnceCell;

use netwhy_sys::procfs::Tree;

/// Names of kernel addresses.
#[derive(Debug, Default)]
pub struct Symbols {
    table: OnceCell<Table>,
}

#[derive(Debug, Default)]
struct Table {
    text: String,
    /// Address, and where its name is in `text`; ascending.
    entries: Vec<(u64, u32, u16)>,
}

impl Symbols {
    /// Nothing is read yet.
    #[must_use]
    pub fn new() -> Self {
        Symbols::default()
    }

    /// From the text of a kallsyms file.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        let symbols = Symbols::new();
        let _ = symbols.table.set(Table::new(text));
        symbols
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| Table::new(Tree::proc().read("kallsyms").unwrap_or_default()))
    }

    /// The symbol an address lies in, and how far.
    #[must_use]
    pub fn resolve(&self, address: u64) -> Option<(&str, u64)> {
        let table = self.table();
        let after = table.entries.partition_point(|(start, ..)| *start <= address);
        let &(start, ..) = table.entries.get(after.checked_sub(1)?)?;
        // Of several names at one address the first listed.
        let first = table.entries.partition_point(|(other, ..)| *other < start);
        let &(start, at, length) = table.entries.get(first)?;
        let name = table.text.get(at as usize..at as usize + usize::from(length))?;
        Some((name, address - start))
    }

    /// The address of a symbol.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        let table = self.table();
        table.entries.iter().find_map(|&(address, at, length)| {
            (table.text.get(at as usize..at as usize + usize::from(length))? == name).then_some(address)
        })
    }

    /// Symbols that are `name` with a suffix of the compiler's (`.constprop.0`, `.isra.0`, `.part.0`).
    #[must_use]
    pub fn variants(&self, name: &str) -> Vec<String> {
        let table = self.table();
        let mut all: Vec<String> = table
            .entries
            .iter()
            .filter_map(|&(_, at, length)| table.text.get(at as usize..at as usize + usize::from(length)))
            .filter(|symbol| {
                let rest = symbol.strip_prefix(name);
                rest.is_some_and(|rest| {
                    [".constprop.", ".isra.", ".part."].iter().any(|s| rest.starts_with(s))
                })
            })
            .map(str::to_owned)
            .collect();
        all.sort();
        all.dedup();
        // The part that is cut off runs as well as the function itself only when nothing else is left.
        if all.iter().any(|symbol| !symbol.contains(".part.")) {
            all.retain(|symbol| !symbol.contains(".part."));
        }
        all
    }

    /// The module a function is in; `None` for those of the kernel itself and those that are not there.
    #[must_use]
    pub fn module_of(&self, name: &str) -> Option<String> {
        let text = &self.table().text;
        let mut rest = text.as_str();
        // A line of a module's: `ADDRESS t NAME\t[MODULE]`.
        while let Some(at) = rest.find(name) {
            let (before, after) = (rest.get(..at)?, rest.get(at + name.len()..)?);
            if before.ends_with(' ')
                && let Some(module) = after.strip_prefix("\t[")
            {
                return module.split(']').next().map(str::to_owned);
            }
            rest = after;
        }
        None
    }

    /// Names of functions (`t`, `T`, `w`, `W`).
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        let table = self.table();
        table.entries.iter().filter_map(|&(_, at, length)| {
            let kind = table.text.as_bytes().get((at as usize).checked_sub(2)?)?;
            matches!(kind, b't' | b'T' | b'w' | b'W').then_some(())?;
            table.text.get(at as usize..at as usize + usize::from(length))
        })
    }

    /// `name+offset`, the bare name at its start, or the address in hex.
    #[must_use]
    pub fn show(&self, address: u64, offset: bool) -> String {
        match self.resolve(address) {
            Some((name, by)) if offset => format!("{name}+{by}"),
            Some((name, _)) => name.to_owned(),
            None => format!("{address:#x}"),
        }
    }
}

impl Table {
    fn new(text: String) -> Self {
        let mut entries = Vec::with_capacity(text.len() / 45);
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            // "ADDRESS TYPE NAME", with a tab and "[MODULE]" behind for functions of modules.
            let Some((address, rest)) = line.split_once(' ') else { continue };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            // Without privilege every address is 0: then nothing is known.
            if address == 0 || at > u32::MAX as usize {
                continue;
            }
            let Some((kind, rest)) = rest.split_once(' ') else { continue };
            let name = rest.split(['\t', ' ', '\n']).next().unwrap_or_default();
            if kind.is_empty() || name.is_empty() {
                continue;
            }
            let within = line.len() - rest.len();
            entries.push(((address), (start + within) as u32, name.len().min(65_535) as u16));
        }
        entries.sort_by_key(|(address, ..)| *address);
        Table { text, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_names() {
        let symbols = Symbols::from_text(
            "ffffffff81000000 T first\nffffffff81000000 T again\nffffffff81000100 t second\n0000000000000000 a zero\nrubbish\n"
                .to_owned(),
        );
        assert_eq!(symbols.resolve(0xffff_ffff_8100_0010), Some(("first", 16)));
        assert_eq!(symbols.show(0xffff_ffff_8100_0110, true), "second+16");
        assert_eq!(symbols.show(0x10, true), "0x10");
        assert_eq!(symbols.address("again"), Some(0xffff_ffff_8100_0000));
        assert_eq!(symbols.address("zero"), None);
    }
}
