//! What a word of the kernel or of an answer means, offline: causes, errors, counters, reasons for drops and resets, ICMP
//! messages, fields of tcp_info, states, flags.

mod row;
mod tables;
mod text;

pub use row::Kind;
pub use text::explanation_text;

use row::Row;
use serde::Serialize;
use tables::Table;

/// One word, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The full name: `TcpExt.ListenDrops`.
    pub name: String,
    /// What kind of word.
    pub kind: Kind,
    /// What it counts or measures in; empty for a word that is no number.
    pub unit: &'static str,
    /// What it means.
    pub meaning: String,
    /// Where the kernel shows it.
    pub source: &'static str,
    /// The kernel's functions that raise it; empty where that says nothing.
    pub raised_by: &'static str,
    /// What it is often mistaken for; may be empty.
    pub mistaken_for: &'static str,
    /// Readings that depend on when or where it is seen.
    pub readings: Vec<Hint>,
    /// Causes that show themselves by it.
    pub causes: Vec<&'static str>,
    /// The classical command that shows it.
    pub command: String,
}

/// A reading for one circumstance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hint {
    /// The circumstance.
    pub when: &'static str,
    /// What it means then.
    pub meaning: &'static str,
}

/// A cause, explained by the header of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CauseEntry {
    /// The id.
    pub id: &'static str,
    /// The condition in a line.
    pub title: &'static str,
    /// The whole text, Markdown.
    pub text: String,
}

/// What was found for a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A cause.
    Cause(CauseEntry),
    /// One or more words of the kernel.
    Entries(Vec<Entry>),
    /// Nothing; names that look alike, the nearest first.
    Unknown(Vec<String>),
}

/// Looks a word up. Case and punctuation do not matter; the prefix may be left out.
pub fn lookup(word: &str) -> Found {
    let key = fold(word);
    if key.is_empty() {
        return Found::Unknown(Vec::new());
    }
    if let Some(cause) = netwhy_causes::causes::ALL.iter().find(|c| fold(c.id) == key) {
        let text = netwhy_causes::explain::cause_doc(cause.id).unwrap_or_default();
        return Found::Cause(CauseEntry { id: cause.id, title: cause.title, text });
    }
    let mut full = Vec::new();
    let mut short = Vec::new();
    for word in index() {
        if word.full == key {
            full.push(entry(word.table, word.row));
        } else if word.others.contains(&key) {
            short.push(entry(word.table, word.row));
        }
    }
    full.extend(icmp_counter(word));
    if full.is_empty() {
        full = short;
    }
    if full.is_empty() { Found::Unknown(nearest(&key)) } else { Found::Entries(full) }
}

/// Every full name, causes included, in the order of the tables.
pub fn names() -> Vec<String> {
    let causes = netwhy_causes::causes::ALL.iter().map(|c| c.id.to_string());
    causes.chain(rows().map(|(t, r)| full_name(t, r))).collect()
}

/// Ids named as related causes by any entry.
pub fn related_causes() -> std::collections::BTreeSet<&'static str> {
    rows().flat_map(|(_, r)| r.see.iter().copied()).collect()
}

fn rows() -> impl Iterator<Item = (&'static Table, &'static Row)> {
    tables::ALL.iter().flat_map(|t| t.rows.iter().map(move |r| (t, r)))
}

/// A row with its spellings, folded once.
struct Word {
    full: String,
    others: Vec<String>,
    table: &'static Table,
    row: &'static Row,
}

fn index() -> &'static [Word] {
    static INDEX: std::sync::OnceLock<Vec<Word>> = std::sync::OnceLock::new();
    INDEX.get_or_init(|| {
        rows()
            .map(|(table, row)| Word {
                full: fold(&full_name(table, row)),
                others: std::iter::once(row.name).chain(row.aliases.iter().copied()).map(fold).collect(),
                table,
                row,
            })
            .collect()
    })
}

fn full_name(table: &Table, row: &Row) -> String {
    format!("{}{}", table.prefix, row.name)
}

fn entry(table: &Table, row: &Row) -> Entry {
    let name = full_name(table, row);
    let known = |id: &&str| netwhy_causes::causes::ALL.iter().any(|c| c.id == *id);
    Entry {
        kind: table.kind,
        unit: row.unit,
        meaning: row.meaning.to_string(),
        source: table.door,
        raised_by: row.by,
        mistaken_for: row.not,
        readings: row.hints.iter().map(|(when, meaning)| Hint { when, meaning }).collect(),
        causes: row.see.iter().copied().filter(known).collect(),
        command: table.command.replace("{}", &name.replace('.', "")),
        name,
    }
}

/// `IcmpMsg.InType3` and `Icmp6OutType135` are printed only for types that were seen; the table of messages explains them.
fn icmp_counter(word: &str) -> Option<Entry> {
    let key = fold(word);
    let (v6, rest) = match (key.strip_prefix("icmpmsg"), key.strip_prefix("icmp6")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return None,
    };
    let (sent, number) = match (rest.strip_prefix("intype"), rest.strip_prefix("outtype")) {
        (Some(n), _) => (false, n),
        (_, Some(n)) => (true, n),
        _ => return None,
    };
    let number: u8 = number.parse().ok()?;
    let prefix = if v6 { "icmpv6 " } else { "icmp " };
    let direction = if sent { "sent" } else { "received" };
    let message = rows()
        .find(|(t, r)| t.prefix == prefix && r.name == number.to_string())
        .map_or("a message without an entry here".to_string(), |(_, r)| {
            r.meaning.trim_end_matches('.').to_lowercase()
        });
    let name =
        format!("{}{}Type{number}", if v6 { "Icmp6" } else { "IcmpMsg." }, if sent { "Out" } else { "In" });
    Some(Entry {
        kind: Kind::Counter,
        unit: "messages",
        meaning: format!(
            "{prefix}messages of type {number} {direction}: {message}. Printed once the first was seen."
        ),
        source: if v6 { "/proc/net/snmp6" } else { "/proc/net/snmp" },
        raised_by: match (v6, sent) {
            (false, false) => "icmp_rcv",
            (false, true) => "icmp_out_count",
            (true, false) => "icmpv6_rcv",
            (true, true) => "icmp6_send, ndisc_send_skb",
        },
        mistaken_for: "",
        readings: Vec::new(),
        causes: Vec::new(),
        command: format!("nstat -az {}", name.replace('.', "")),
        name,
    })
}

/// Lower case, letters and digits only, but `3/1` keeps its slash and `softnet[3]` its number apart.
fn fold(word: &str) -> String {
    let mut out: String = word
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '/')
        .flat_map(char::to_lowercase)
        .collect();
    // British and American spelling are the same word.
    if out.contains("neighbor") {
        out = out.replace("neighbor", "neighbour");
    }
    out
}

/// Names that look alike: the word is part of them, or few letters differ.
fn nearest(key: &str) -> Vec<String> {
    let mut scored: Vec<(usize, String)> = names()
        .into_iter()
        .filter_map(|name| {
            let folded = fold(&name);
            let short = fold(name.rsplit(['.', '_']).next().unwrap_or(&name));
            let contained = key.len() >= 4 && folded.contains(key);
            let distance = distance(key, &folded).min(distance(key, &short));
            let score = if contained { 1 } else { distance };
            (score <= (key.len() / 3).max(1)).then_some((score, name))
        })
        .collect();
    scored.sort();
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().map(|(_, name)| name).take(8).collect()
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let up = row.get(j + 1).copied().unwrap_or(0);
            let cost = (diagonal + usize::from(ca != *cb)).min(up + 1).min(left + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            diagonal = up;
            left = cost;
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(word: &str) -> Vec<String> {
        match lookup(word) {
            Found::Entries(all) => all.into_iter().map(|e| e.name).collect(),
            Found::Cause(c) => vec![c.id.to_string()],
            Found::Unknown(_) => Vec::new(),
        }
    }

    #[test]
    fn a_word_is_found_however_it_is_written() {
        for word in ["TcpExt.ListenDrops", "ListenDrops", "TcpExtListenDrops", "listendrops", "LISTEN_DROPS"]
        {
            assert_eq!(found(word), ["TcpExt.ListenDrops"], "{word}");
        }
        assert_eq!(found("fw-drop-outbound"), ["fw-drop-outbound"]);
        assert_eq!(found("FW_DROP_OUTBOUND"), ["fw-drop-outbound"]);
        assert_eq!(found("econnrefused"), ["ECONNREFUSED"]);
        assert_eq!(found("Connection refused"), ["ECONNREFUSED"]);
        assert_eq!(found("errno 111"), ["ECONNREFUSED"]);
        assert_eq!(found("netfilter_drop"), ["SKB_DROP_REASON_NETFILTER_DROP"]);
        assert_eq!(found("NO_SOCKET"), ["SKB_DROP_REASON_NO_SOCKET", "SK_RST_REASON_NO_SOCKET"]);
        assert_eq!(found("icmp 3/1"), ["icmp 3/1"]);
        assert_eq!(found("ICMPv6 1/4"), ["icmpv6 1/4"]);
        assert_eq!(found("port unreachable"), ["icmp 3/3"]);
        assert_eq!(found("IcmpMsg.InType3"), ["IcmpMsg.InType3"]);
        assert_eq!(found("Icmp6OutType135"), ["Icmp6OutType135"]);
        assert_eq!(found("Udp6RcvbufErrors"), ["Udp6RcvbufErrors"]);
        assert_eq!(found("softnet[3]"), ["softnet.time_squeeze"]);
        assert_eq!(found("neighbor solicitation"), ["icmpv6 135"]);
        assert_eq!(found("TIME_WAIT"), ["TIME-WAIT"]);
    }

    #[test]
    fn an_unknown_word_offers_the_nearest() {
        let Found::Unknown(near) = lookup("ListenDrop") else { panic!() };
        assert!(near.contains(&"TcpExt.ListenDrops".to_string()), "{near:?}");
        let Found::Unknown(near) = lookup("ECONREFUSED") else { panic!() };
        assert_eq!(near.first().map(String::as_str), Some("ECONNREFUSED"));
        assert_eq!(lookup("zzzzzzzzzz"), Found::Unknown(vec![]));
        assert_eq!(lookup("\x1b[2J"), Found::Unknown(vec![]));
        assert_eq!(lookup(""), Found::Unknown(vec![]));
    }

    #[test]
    fn the_distance_is_counted_in_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
