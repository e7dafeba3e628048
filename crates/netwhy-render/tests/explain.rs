//! The tables of explanations are held against this kernel and against what the causes speak of.
#![allow(clippy::disallowed_methods, reason = "tests read the kernel's files and the sources")]

use std::path::Path;

use netwhy_render::explain::{Entry, Found, Kind, lookup, names, related_causes};

fn entries(word: &str) -> Vec<Entry> {
    match lookup(word) {
        Found::Entries(all) => all,
        _ => Vec::new(),
    }
}

fn has(word: &str, kind: Kind) -> bool {
    entries(word).iter().any(|e| e.kind == kind)
}

/// Names as netwhy-collect stores them: `Tcp.InSegs` from the two-line files, the plain name from snmp6.
fn counters_of_this_kernel() -> Vec<String> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
    let mut out = Vec::new();
    for file in ["snmp", "netstat"] {
        for line in read(file).lines().step_by(2) {
            let Some((group, names)) = line.split_once(": ") else { continue };
            out.extend(names.split_whitespace().map(|n| format!("{group}.{n}")));
        }
    }
    out.extend(read("snmp6").lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string));
    out.extend(
        read("xfrm_stat").lines().filter_map(|l| l.split_whitespace().next()).map(|n| format!("Xfrm.{n}")),
    );
    for line in read("sockstat").lines() {
        let Some((group, rest)) = line.split_once(": ") else { continue };
        out.extend(rest.split_whitespace().step_by(2).map(|n| format!("{group}.{n}")));
    }
    if let Some(line) = read("stat/nf_conntrack").lines().next() {
        out.extend(line.split_whitespace().map(|n| format!("ct.{n}")));
    }
    out
}

#[test]
fn every_counter_of_this_kernel_is_explained() {
    let all = counters_of_this_kernel();
    if all.is_empty() {
        eprintln!("skipped: this machine has no /proc/net/snmp");
        return;
    }
    let missing: Vec<&String> = all.iter().filter(|n| !has(n, Kind::Counter)).collect();
    assert!(missing.is_empty(), "no entry for {missing:?}");
    assert!(all.len() > 50);
}

/// Values of an enum and members of a struct by name, from BTF (Documentation/bpf/btf.rst).
struct Btf {
    bytes: Vec<u8>,
    types: usize,
    end: usize,
    strings: usize,
}

impl Btf {
    fn of_this_kernel() -> Option<Self> {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
        let at = |o: usize| u32::from_le_bytes(bytes[o..o + 4].try_into().unwrap()) as usize;
        let header = at(4);
        let (types, end, strings) = (header + at(8), header + at(8) + at(12), header + at(16));
        Some(Self { types, end, strings, bytes })
    }
    fn u32(&self, o: usize) -> u32 {
        u32::from_le_bytes(self.bytes[o..o + 4].try_into().unwrap())
    }
    fn string(&self, o: u32) -> &str {
        let start = self.strings + o as usize;
        let end = self.bytes[start..].iter().position(|b| *b == 0).unwrap() + start;
        std::str::from_utf8(&self.bytes[start..end]).unwrap()
    }
    /// Names inside every enum or struct of that name.
    fn names_in(&self, wanted: &str) -> Vec<String> {
        let (mut at, mut out) = (self.types, Vec::new());
        while at < self.end {
            let (name, info) = (self.u32(at), self.u32(at + 4));
            let (kind, n) = ((info >> 24) & 31, (info & 0xffff) as usize);
            let body = at + 12;
            let step = match kind {
                4 | 5 | 19 => 12,
                6 => 8,
                _ => 0,
            };
            if step > 0 && self.string(name) == wanted {
                out.extend((0..n).map(|i| self.string(self.u32(body + i * step)).to_string()));
            }
            at = body
                + match kind {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    4 | 5 | 15 | 19 => 12 * n,
                    6 | 13 => 8 * n,
                    _ => 0,
                };
        }
        out
    }
}

#[test]
fn every_word_of_this_kernels_types_is_explained() {
    let Some(btf) = Btf::of_this_kernel() else {
        eprintln!("skipped: this machine has no /sys/kernel/btf/vmlinux");
        return;
    };
    for (of, kind, least) in [
        ("skb_drop_reason", Kind::DropReason, 60),
        ("sk_rst_reason", Kind::ResetReason, 0),
        ("tcp_info", Kind::TcpInfo, 50),
        ("rtnl_link_stats64", Kind::Counter, 23),
    ] {
        let names = btf.names_in(of);
        assert!(names.len() >= least, "{of} has only {names:?}");
        let missing: Vec<&String> = names.iter().filter(|n| !has(n, kind)).collect();
        assert!(missing.is_empty(), "{of}: no entry for {missing:?}");
    }
}

fn sources_of_the_causes() -> Vec<(String, String)> {
    fn visit(dir: &Path, out: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // What a test makes up is not spoken of.
                let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_string();
                out.push((path.file_name().unwrap().to_string_lossy().into_owned(), text));
            }
        }
    }
    let mut out = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../netwhy-causes/src"), &mut out);
    out
}

/// String literals that are words of the kernel.
fn spoken_of(text: &str) -> Vec<(String, Kind)> {
    let groups =
        ["TcpExt.", "IpExt.", "MPTcpExt.", "Ip.", "Icmp.", "IcmpMsg.", "Tcp.", "Udp.", "Xfrm.", "ct."];
    let mut out = Vec::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_')) {
        let tail = word.rsplit('.').next().unwrap_or_default();
        let named = tail.len() > 1 && word.matches('.').count() == 1;
        let camel = tail.starts_with(char::is_uppercase) || word.starts_with("ct.");
        if named && camel && groups.iter().any(|g| word.starts_with(g)) {
            out.push((word.to_string(), Kind::Counter));
        }
    }
    for quoted in text.split('"').skip(1).step_by(2) {
        let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric());
        if plain && ["Ip6", "Icmp6", "Udp6"].iter().any(|g| quoted.starts_with(g)) && quoted.len() > 6 {
            out.push((quoted.to_string(), Kind::Counter));
        }
        let errno = quoted.len() > 3
            && quoted.starts_with('E')
            && quoted.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if errno && !["ESTAB", "ESTABLISHED"].contains(&quoted) {
            out.push((quoted.to_string(), Kind::Errno));
        }
    }
    out
}

#[test]
fn everything_the_causes_speak_of_is_explained() {
    let (mut missing, mut seen) = (Vec::new(), 0);
    for (file, text) in sources_of_the_causes() {
        for (word, kind) in spoken_of(&text) {
            seen += 1;
            if !has(&word, kind) {
                missing.push(format!("{file}: {word}"));
            }
        }
    }
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "no entry in netwhy-render/src/explain/tables for {missing:#?}");
    assert!(seen > 10, "only {seen} words found: the scan is broken");
}

#[test]
fn every_cause_is_explained() {
    for cause in netwhy_causes::causes::ALL {
        let Found::Cause(found) = lookup(cause.id) else { panic!("{} is not found", cause.id) };
        assert!(found.text.contains("## What to do"), "{}", cause.id);
    }
}

#[test]
fn every_entry_is_found_and_complete() {
    let mut seen = std::collections::BTreeSet::new();
    for name in names() {
        seen.insert(name.clone());
        let Found::Entries(all) = lookup(&name) else { continue };
        let kinds: Vec<Kind> = all.iter().filter(|e| e.name == name).map(|e| e.kind).collect();
        let distinct: std::collections::BTreeSet<Kind> = kinds.iter().copied().collect();
        assert_eq!(kinds.len(), distinct.len(), "{name} stands twice in the tables");
        let e = all.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name} finds {all:?}"));
        assert!(e.meaning.ends_with('.') && e.meaning.len() > 9, "{name}: {:?}", e.meaning);
        assert!(!e.mistaken_for.ends_with('.') && !e.raised_by.ends_with('.'), "{name}: full stop");
        if e.kind == Kind::Counter {
            assert!(!e.unit.is_empty() && !e.raised_by.is_empty(), "{name}: unit or origin is missing");
        }
    }
    assert!(seen.len() > 700, "{}", seen.len());
}

/// Causes that a table names and whose file does not exist (yet); they are not shown.
#[test]
fn related_causes_exist_or_are_known_to_be_missing() {
    let known: Vec<&str> = netwhy_causes::causes::ALL.iter().map(|c| c.id).collect();
    let missing: Vec<&str> = related_causes().into_iter().filter(|id| !known.contains(id)).collect();
    eprintln!("not written yet: {missing:?}");
    for id in &missing {
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{id:?}");
    }
}

#[test]
fn explanations_read_well() {
    use netwhy_render::TextOptions;
    use netwhy_render::explain::explanation_text;
    let text = |word: &str| {
        explanation_text(word, &lookup(word), &TextOptions { width: 80, ..TextOptions::default() })
    };
    let drops = text("ListenDrops");
    assert!(
        drops.starts_with("TcpExt.ListenDrops  counter, in connections, from /proc/net/netstat\n"),
        "{drops}"
    );
    assert!(drops.contains("$ nstat -az TcpExtListenDrops"), "{drops}");
    assert!(text("EHOSTUNREACH").contains("about 3 s: "));
    assert!(text("fw-drop-outbound").starts_with("fw-drop-outbound  A firewall rule"));
    let unknown = text("\x1b[2JListenDrop");
    assert!(!unknown.contains('\x1b') && unknown.contains("no entry for"), "{unknown:?}");
    for name in names() {
        for line in text(&name).lines().filter(|l| !l.contains("$ ")) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
