//! The names iproute2 gives to numbers: files of `/etc/iproute2` and what is known without them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

/// One file of numbers and names.
#[derive(Debug, Default)]
struct File(Vec<(u32, String)>);

impl File {
    fn read(root: &Path, name: &str, known: &[(u32, &str)]) -> Self {
        let mut list: Vec<(u32, String)> = Vec::new();
        let mut put = |number: u32, name: &str| {
            list.retain(|(known, _)| *known != number);
            list.push((number, name.to_owned()));
        };
        for (number, name) in known {
            put(*number, name);
        }
        let base = root.join("etc/iproute2");
        let mut paths: Vec<PathBuf> = vec![base.join(name)];
        if let Ok(more) = std::fs::read_dir(base.join(format!("{name}.d"))) {
            let mut more: Vec<PathBuf> = more.flatten().map(|entry| entry.path()).collect();
            more.retain(|path| path.extension().is_some_and(|end| end == "conf"));
            more.sort();
            paths.extend(more);
        }
        for path in paths {
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
                let mut words = line.split_whitespace();
                let (Some(number), Some(name)) = (words.next().and_then(number), words.next()) else {
                    continue;
                };
                put(number, name);
            }
        }
        File(list)
    }

    fn name(&self, number: u32) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| *known == number).map(|(_, name)| name.as_str())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.0.iter().rev().find(|(_, known)| known == name).map(|(number, _)| *number)
    }
}

/// A number as C reads it: decimal, `0x` hexadecimal, `0` octal.
pub(crate) fn number(word: &str) -> Option<u32> {
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    if word.len() > 1 && word.starts_with('0') {
        return u32::from_str_radix(word, 8).ok();
    }
    word.parse().ok()
}

/// All files, each read when first needed.
#[derive(Debug)]
pub(crate) struct Tables {
    root: PathBuf,
    numeric: bool,
    tables: OnceCell<File>,
    protocols: OnceCell<File>,
    scopes: OnceCell<File>,
    dsfield: OnceCell<File>,
    groups: OnceCell<File>,
    realms: OnceCell<File>,
}

macro_rules! files {
    ($($name:ident, $number:ident, $file:literal, $doc:literal, $known:expr, $unknown:literal;)*) => {
        impl Tables {
            $(
                #[doc = $doc]
                pub(crate) fn $name(&self, number: u32) -> Cow<'_, str> {
                    let file = self.$number.get_or_init(|| File::read(&self.root, $file, &$known));
                    match file.name(number) {
                        Some(name) if !self.numeric => Cow::Borrowed(name),
                        _ => Cow::Owned(format!($unknown, number)),
                    }
                }

                #[doc = concat!($doc, " By name or number.")]
                pub(crate) fn $number(&self, word: &str) -> Option<u32> {
                    let file = self.$number.get_or_init(|| File::read(&self.root, $file, &$known));
                    file.number(word).or_else(|| number(word))
                }
            )*
        }
    };
}

files! {
    table, tables, "rt_tables", "A routing table.",
        [(0, "unspec"), (253, "default"), (254, "main"), (255, "local")], "{}";
    protocol, protocols, "rt_protos", "Who made a route.",
        [(0, "unspec"), (1, "redirect"), (2, "kernel"), (3, "boot"), (4, "static")], "{}";
    scope, scopes, "rt_scopes", "How far away something is.",
        [(0, "global"), (255, "nowhere"), (254, "host"), (253, "link"), (200, "site")], "{}";
    ds, dsfield, "rt_dsfield", "A type of service.", [], "0x{:02x}";
    group, groups, "group", "A group of devices.", [(0, "default")], "{}";
    realm, realms, "rt_realms", "A realm.", [], "{}";
}

impl Tables {
    /// Nothing read yet.
    pub(crate) fn new(root: &Path, numeric: bool) -> Self {
        Tables {
            root: root.to_owned(),
            numeric,
            tables: OnceCell::new(),
            protocols: OnceCell::new(),
            scopes: OnceCell::new(),
            dsfield: OnceCell::new(),
            groups: OnceCell::new(),
            realms: OnceCell::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_file_come_before_the_known_ones_and_numbers_are_read_as_c_reads_them() {
        let root = std::env::temp_dir().join(format!("netwhy-tables-{}", std::process::id()));
        let folder = root.join("etc/iproute2");
        std::fs::create_dir_all(folder.join("rt_tables.d")).unwrap();
        std::fs::write(folder.join("rt_tables"), "# comment\n255\tlocal\n0x64 hundred\n").unwrap();
        std::fs::write(folder.join("rt_tables.d/more.conf"), "7 seven\n").unwrap();
        let tables = Tables::new(&root, false);
        assert_eq!(tables.table(100), "hundred");
        assert_eq!(tables.table(7), "seven");
        assert_eq!(tables.table(9), "9");
        assert_eq!(tables.tables("main"), Some(254));
        assert_eq!(tables.tables("010"), Some(8));
        assert_eq!(tables.ds(0x10), "0x10");
        assert_eq!(Tables::new(&root, true).table(255), "255");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
