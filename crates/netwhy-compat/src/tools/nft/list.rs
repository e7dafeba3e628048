//! `nft list`: tables, chains, sets and objects as text.

use std::io::Write;

use netwhy_collect::nft::{NftElements, NftListing};
use netwhy_facts::nft::{
    Expr, NftChain, NftFamily, NftFlowtable, NftObject, NftObjectDetail, NftSet, NftTable,
};
use netwhy_walk::{SetWriter, limit_words, proto_name, rule_text_styled, type_words, typeof_words};

use super::options::{Options, missing, syntax};
use super::style::{self, Words};
use crate::{Session, ToolError};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Ruleset,
    /// Only their names.
    Tables,
    Table,
    Chains,
    Chain,
    Sets,
    Maps,
    /// Sets that rules add to.
    Meters,
    Set,
    Flowtables,
    Flowtable,
    /// Objects of one kind (`NFT_OBJECT_*`).
    Objects(u32),
    Object(u32),
}

/// A listing that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) what: What,
    pub(super) family: Option<NftFamily>,
    pub(super) table: Option<String>,
    pub(super) name: Option<String>,
}

/// Objects by the words of the command line: one, several, number.
const OBJECTS: &[(&str, &str, u32)] = &[
    ("counter", "counters", 1),
    ("quota", "quotas", 2),
    ("limit", "limits", 4),
    ("secmark", "secmarks", 8),
    ("synproxy", "synproxys", 10),
];

/// A family by its word.
pub(super) fn family(word: &str) -> Option<NftFamily> {
    let all = [
        NftFamily::Inet,
        NftFamily::Ip,
        NftFamily::Ip6,
        NftFamily::Arp,
        NftFamily::Bridge,
        NftFamily::Netdev,
    ];
    all.into_iter().find(|family| family.name() == word)
}

fn parse(text: &str, words: &[&str]) -> Result<Wanted, ToolError> {
    let expected =
        "ruleset, tables, table, chains, chain, sets, set, maps, map, flowtables, counters, quotas, limits";
    let Some((&word, mut rest)) = words.split_first() else { return Err(syntax(text, "", expected)) };
    let mut what = match word {
        "ruleset" => What::Ruleset,
        "tables" => What::Tables,
        "table" => What::Table,
        "chains" => What::Chains,
        "chain" => What::Chain,
        "sets" => What::Sets,
        "maps" => What::Maps,
        "meters" => What::Meters,
        "set" | "map" | "meter" => What::Set,
        "flowtables" => What::Flowtables,
        "flowtable" => What::Flowtable,
        "ct" => match rest.split_first() {
            Some((&kind, behind)) => {
                rest = behind;
                let kinds = [("helper", 3), ("timeout", 7), ("expectation", 9)];
                let one = kinds.iter().find(|(name, _)| *name == kind);
                let many = kinds.iter().find(|(name, _)| kind.strip_suffix('s') == Some(name));
                match (one, many) {
                    (Some((_, number)), _) => What::Object(*number),
                    (_, Some((_, number))) => What::Objects(*number),
                    _ => return Err(syntax(text, kind, "helper, timeout or expectation")),
                }
            }
            None => return Err(syntax(text, "", "helper, timeout or expectation")),
        },
        "hooks" => {
            return Err(ToolError::Refused {
                what: "nft list hooks".into(),
                why: "netwhy walk shows what each hook does to a packet".into(),
                code: 1,
            });
        }
        word => match OBJECTS.iter().find(|(one, many, _)| *one == word || *many == word) {
            Some((one, _, number)) if *one == word => What::Object(*number),
            Some((_, _, number)) => What::Objects(*number),
            None => return Err(syntax(text, word, expected)),
        },
    };
    // `list sets table inet t` and `list counters table t`.
    let plural = matches!(
        what,
        What::Chains | What::Sets | What::Maps | What::Meters | What::Flowtables | What::Objects(_)
    );
    if plural && rest.first() == Some(&"table") {
        rest = rest.get(1..).unwrap_or(&[]);
    } else if matches!(what, What::Objects(3 | 7 | 9)) {
        return Err(syntax(text, rest.first().unwrap_or(&""), "table"));
    }
    let family_word = rest.first().and_then(|word| family(word));
    if family_word.is_some() {
        rest = rest.get(1..).unwrap_or(&[]);
    }
    let named = matches!(what, What::Chain | What::Set | What::Flowtable | What::Object(_));
    let mut wanted = Wanted { what, family: family_word, table: None, name: None };
    let mut words = rest.iter();
    if named || what == What::Table || plural {
        wanted.table = words.next().map(|word| (*word).to_owned());
        if wanted.table.is_none() && !plural {
            return Err(syntax(text, "", "the name of a table"));
        }
    }
    if named {
        wanted.name = words.next().map(|word| (*word).to_owned());
        if wanted.name.is_none() {
            return Err(syntax(text, "", "a name"));
        }
    }
    if let Some(word) = words.next() {
        return Err(syntax(text, word, "end of command"));
    }
    // A family that is left out means IPv4 where a table is named.
    if wanted.family.is_none() && wanted.table.is_some() {
        wanted.family = Some(NftFamily::Ip);
    }
    if let What::Objects(_) = what
        && wanted.table.is_some()
    {
        what = wanted.what;
    }
    wanted.what = what;
    Ok(wanted)
}

impl Wanted {
    pub(super) fn table(&self, family: NftFamily, name: &str) -> bool {
        self.family.is_none_or(|wanted| wanted == family)
            && self.table.as_deref().is_none_or(|wanted| wanted == name)
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    /// Whether a set is listed with its elements.
    pub(super) fn set(&self, set: &NftSet) -> bool {
        // Anonymous sets stand in their rules.
        let listed = match self.what {
            What::Ruleset | What::Table => true,
            What::Sets => set.data_type.is_none() && set.flags & OBJECT_MAP == 0,
            What::Maps => set.data_type.is_some() || set.flags & OBJECT_MAP != 0,
            What::Meters => false,
            What::Set => self.is_named(&set.name),
            _ => false,
        };
        listed && set.flags & 1 == 0 && self.table(set.family, &set.table)
    }
}

/// `NFT_SET_CONSTANT`: the size says no more than how many elements there are.
const CONSTANT: u32 = 0x2;
/// `NFT_SET_OBJECT`.
const OBJECT_MAP: u32 = 0x40;

pub(super) fn run(session: &mut Session<'_>, options: &Options, words: &[&str]) -> Result<u8, ToolError> {
    let wanted = parse(&options.command, words)?;
    let collector = session.collector()?;
    let listing = collector.nft_listing(&|set| !options.terse && wanted.set(set))?;
    found(&listing, &wanted, &options.command)?;
    let style = Words::new(&collector, options);
    let mut lister = Lister { listing, options, style, wanted };
    lister.sort();
    if options.json {
        super::json::write(&lister, session.out)?;
    } else {
        lister.write(session.out)?;
    }
    Ok(0)
}

/// What is named must be there.
fn found(listing: &NftListing, wanted: &Wanted, text: &str) -> Result<(), ToolError> {
    let nft = &listing.nft;
    let Some(table) = &wanted.table else { return Ok(()) };
    if !nft.tables.iter().any(|one| wanted.table(one.family, &one.name)) {
        return Err(missing(text, table));
    }
    let Some(name) = &wanted.name else { return Ok(()) };
    let there = match wanted.what {
        What::Chain => nft.chains.iter().any(|one| wanted.table(one.family, &one.table) && one.name == *name),
        What::Set => nft.sets.iter().any(|one| wanted.table(one.family, &one.table) && one.name == *name),
        What::Flowtable => {
            nft.flowtables.iter().any(|one| wanted.table(one.family, &one.table) && one.name == *name)
        }
        What::Object(kind) => nft
            .objects
            .iter()
            .any(|one| wanted.table(one.family, &one.table) && one.name == *name && one.obj_type == kind),
        _ => true,
    };
    if there { Ok(()) } else { Err(missing(text, name)) }
}

/// Writes a listing.
pub(super) struct Lister<'a> {
    pub(super) listing: NftListing,
    pub(super) options: &'a Options,
    pub(super) style: Words,
    pub(super) wanted: Wanted,
}

impl Lister<'_> {
    /// Elements in the order of their values.
    fn sort(&mut self) {
        for (set, elements) in self.listing.nft.sets.iter().zip(&mut self.listing.elements) {
            if let Some(elements) = elements {
                let host_order = SetWriter::new(set, &self.style, true).host_order();
                elements.sort(host_order);
            }
        }
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let tables = self.listing.nft.tables.iter().filter(|one| self.wanted.table(one.family, &one.name));
        for table in tables {
            self.table(out, table)?;
        }
        Ok(())
    }

    /// A duration, in seconds alone with `-n`.
    fn time(&self, ms: u64) -> String {
        if self.options.numeric { format!("{}s", ms / 1000) } else { duration(ms) }
    }

    fn handle(&self, handle: u64) -> String {
        if self.options.handle { format!(" # handle {handle}") } else { String::new() }
    }

    fn table(&self, out: &mut dyn Write, table: &NftTable) -> std::io::Result<()> {
        let (family, name) = (table.family.name(), &table.name);
        match self.wanted.what {
            What::Tables => return writeln!(out, "table {family} {name}"),
            What::Objects(_) if !self.has_objects(table) => return Ok(()),
            _ => {}
        }
        // A listing of one kind of thing says nothing else of the table, and leaves out blank lines.
        let whole = matches!(self.wanted.what, What::Ruleset | What::Table);
        let handle = if whole { self.handle(table.handle) } else { String::new() };
        writeln!(out, "table {family} {name} {{{handle}")?;
        let mut delimiter = "";
        if whole {
            if let Some(comment) = &table.comment {
                writeln!(out, "\tcomment {}", quoted(comment))?;
            }
            let flags: Vec<&str> = [(1, "dormant"), (2, "owner")]
                .iter()
                .filter(|(bit, _)| table.flags & bit != 0)
                .map(|(_, word)| *word)
                .collect();
            if !flags.is_empty() {
                writeln!(out, "\tflags {}", flags.join(","))?;
                delimiter = "\n";
            }
        }
        let mut next = |out: &mut dyn Write| {
            let written = out.write_all(delimiter.as_bytes());
            delimiter = if whole { "\n" } else { "" };
            written
        };
        let nft = &self.listing.nft;
        let of_table = |family, name: &str| family == table.family && name == table.name;
        for object in nft.objects.iter().filter(|one| of_table(one.family, &one.table)) {
            let listed = match self.wanted.what {
                What::Ruleset | What::Table => true,
                What::Objects(kind) | What::Object(kind) => {
                    object.obj_type == kind && self.wanted.is_named(&object.name)
                }
                _ => false,
            };
            if listed {
                next(out)?;
                self.object(out, object)?;
            }
        }
        for (set, elements) in nft.sets.iter().zip(&self.listing.elements) {
            if of_table(set.family, &set.table) && self.wanted.set(set) {
                next(out)?;
                self.set(out, set, elements.as_ref())?;
            }
        }
        for flowtable in nft.flowtables.iter().filter(|one| of_table(one.family, &one.table)) {
            let listed = whole
                || (matches!(self.wanted.what, What::Flowtables | What::Flowtable)
                    && self.wanted.is_named(&flowtable.name));
            if listed {
                next(out)?;
                self.flowtable(out, flowtable)?;
            }
        }
        for chain in nft.chains.iter().filter(|one| of_table(one.family, &one.table)) {
            let listed = whole
                || self.wanted.what == What::Chains
                || (self.wanted.what == What::Chain && self.wanted.is_named(&chain.name));
            if listed {
                next(out)?;
                self.chain(out, chain)?;
            }
        }
        writeln!(out, "}}")
    }

    fn has_objects(&self, table: &NftTable) -> bool {
        let What::Objects(kind) = self.wanted.what else { return true };
        let mut objects = self.listing.nft.objects.iter();
        objects.any(|one| one.family == table.family && one.table == table.name && one.obj_type == kind)
            || self.wanted.table.is_some()
    }

    fn chain(&self, out: &mut dyn Write, chain: &NftChain) -> std::io::Result<()> {
        writeln!(out, "\tchain {} {{{}", chain.name, self.handle(chain.handle))?;
        if let Some(comment) = &chain.comment {
            writeln!(out, "\t\tcomment {}", quoted(comment))?;
        }
        if let Some(hook) = &chain.hook {
            let word = style::hook(chain);
            let numeric = self.options.numeric || self.options.numeric_priority;
            let priority = style::priority(chain.family, word, hook.priority, numeric);
            let devices = match hook.devices.as_slice() {
                [] => String::new(),
                [one] => format!(" device {}", quoted(one)),
                many => {
                    let names: Vec<String> = many.iter().map(|name| quoted(name)).collect();
                    format!(" devices = {{ {} }}", names.join(", "))
                }
            };
            let policy = match chain.policy {
                Some(0) => " policy drop;",
                Some(_) => " policy accept;",
                None => "",
            };
            let kind = chain.chain_type.as_deref().unwrap_or("filter");
            writeln!(out, "\t\ttype {kind} hook {word}{devices} priority {priority};{policy}")?;
        }
        if self.wanted.what != What::Chains {
            let nft = &self.listing.nft;
            for rule in nft.rules_of(chain.family, &chain.table, &chain.name) {
                let text = rule_text_styled(nft, rule, &self.style, !self.options.stateless);
                writeln!(out, "\t\t{text}{}", self.handle(rule.handle))?;
            }
        }
        writeln!(out, "\t}}")
    }

    fn set(&self, out: &mut dyn Write, set: &NftSet, elements: Option<&NftElements>) -> std::io::Result<()> {
        let is_map = set.data_type.is_some() || set.flags & OBJECT_MAP != 0;
        let word = if is_map { "map" } else { "set" };
        writeln!(out, "\t{word} {} {{{}", set.name, self.handle(set.handle))?;
        let more = set.more.as_deref();
        writeln!(out, "\t\t{}", declared(set))?;
        if more.and_then(|more| more.policy) == Some(1) {
            writeln!(out, "\t\tpolicy memory")?;
        }
        if let Some(size) = set.size.filter(|size| *size > 0 && set.flags & CONSTANT == 0) {
            writeln!(out, "\t\tsize {size}")?;
        }
        let flags = flag_words(set);
        if !flags.is_empty() {
            writeln!(out, "\t\tflags {}", flags.join(","))?;
        }
        for expr in more.into_iter().flat_map(|more| &more.exprs) {
            writeln!(out, "\t\t{}", stateful(expr))?;
        }
        if more.is_some_and(|more| more.auto_merge) {
            writeln!(out, "\t\tauto-merge")?;
        }
        if let Some(timeout) = set.timeout_ms.filter(|ms| *ms > 0) {
            writeln!(out, "\t\ttimeout {}", self.time(timeout))?;
        }
        if let Some(interval) = more.and_then(|more| more.gc_interval_ms).filter(|ms| *ms > 0) {
            writeln!(out, "\t\tgc-interval {}", self.time(interval.into()))?;
        }
        if let Some(comment) = more.and_then(|more| more.comment.as_ref()) {
            writeln!(out, "\t\tcomment {}", quoted(comment))?;
        }
        if let Some(elements) = elements.filter(|elements| !elements.is_empty()) {
            self.elements(out, set, elements)?;
        }
        writeln!(out, "\t}}")
    }

    /// Element by element: only two of them are decoded at a time.
    fn elements(&self, out: &mut dyn Write, set: &NftSet, elements: &NftElements) -> std::io::Result<()> {
        let writer = SetWriter::new(set, &self.style, !self.options.stateless);
        let per_line = writer.per_line();
        let mut shown = 0_usize;
        let mut all = elements.iter().peekable();
        while let Some(elem) = all.next() {
            let Some(text) = writer.element(&elem, all.peek()) else { continue };
            let before = match shown {
                0 => "\t\telements = { ",
                // What stands beside an element makes lines uneven, so those are not broken.
                _ if shown.is_multiple_of(per_line) && !self.keeps_lines(set, elements) => ",\n\t\t\t     ",
                _ => ", ",
            };
            out.write_all(before.as_bytes())?;
            out.write_all(text.as_bytes())?;
            shown += 1;
        }
        if shown > 0 { out.write_all(b" }\n") } else { Ok(()) }
    }

    /// Elements that carry time, state or comments stand on one line.
    fn keeps_lines(&self, set: &NftSet, _elements: &NftElements) -> bool {
        let more = set.more.as_deref();
        set.flags & 0x10 != 0 || more.is_some_and(|more| !more.exprs.is_empty())
    }

    fn object(&self, out: &mut dyn Write, object: &NftObject) -> std::io::Result<()> {
        let (word, lines) = object_lines(object, !self.options.stateless, self.options.numeric);
        writeln!(out, "\t{word} {} {{{}", object.name, self.handle(object.handle))?;
        if let Some(comment) = &object.comment {
            writeln!(out, "\t\tcomment {}", quoted(comment))?;
        }
        for line in lines {
            writeln!(out, "\t\t{line}")?;
        }
        writeln!(out, "\t}}")
    }

    fn flowtable(&self, out: &mut dyn Write, flowtable: &NftFlowtable) -> std::io::Result<()> {
        writeln!(out, "\tflowtable {} {{{}", flowtable.name, self.handle(flowtable.handle))?;
        let numeric = self.options.numeric || self.options.numeric_priority;
        let priority = style::priority(NftFamily::Netdev, "ingress", flowtable.priority, numeric);
        writeln!(out, "\t\thook ingress priority {priority}")?;
        if !flowtable.devices.is_empty() {
            let mut devices = flowtable.devices.clone();
            devices.sort();
            writeln!(out, "\t\tdevices = {{ {} }}", devices.join(", "))?;
        }
        if flowtable.flags & 1 != 0 {
            writeln!(out, "\t\tflags offload")?;
        }
        if flowtable.flags & 2 != 0 {
            writeln!(out, "\t\tcounter")?;
        }
        writeln!(out, "\t}}")
    }
}

/// `type KEY [: DATA]`, or `typeof` where nft wrote down the expressions.
fn declared(set: &NftSet) -> String {
    let more = set.more.as_deref();
    let object = more.and_then(|more| more.obj_type).filter(|_| set.flags & OBJECT_MAP != 0);
    let data_typeof = more.and_then(|more| more.data_typeof.as_deref()).and_then(typeof_words);
    let key_typeof = more.and_then(|more| more.key_typeof.as_deref()).and_then(typeof_words);
    let data = match (set.data_type, object) {
        (_, Some(kind)) => Some(object_word(kind).to_owned()),
        (Some(kind), None) => {
            let interval = if more.is_some_and(|more| more.data_interval) { "interval " } else { "" };
            Some(format!(
                "{interval}{}",
                data_typeof.filter(|_| key_typeof.is_some()).unwrap_or_else(|| type_words(kind))
            ))
        }
        (None, None) => None,
    };
    let data = data.map(|data| format!(" : {data}")).unwrap_or_default();
    match key_typeof {
        Some(key) => format!("typeof {key}{data}"),
        None => format!("type {}{data}", type_words(set.key_type)),
    }
}

/// The flags a set was declared with.
pub(super) fn flag_words(set: &NftSet) -> Vec<&'static str> {
    // A default timeout says the last flag by itself.
    if set.flags & (0x2 | 0x4 | 0x20) == 0 && set.timeout_ms.is_some_and(|ms| ms > 0) {
        return Vec::new();
    }
    let flags = [(0x2, "constant"), (0x20, "dynamic"), (0x4, "interval"), (0x10, "timeout")];
    flags.iter().filter(|(bit, _)| set.flags & bit != 0).map(|(_, word)| *word).collect()
}

/// A stateful expression of a set's declaration.
fn stateful(expr: &Expr) -> String {
    match expr {
        Expr::Counter { .. } => "counter".into(),
        Expr::Quota { bytes, over, .. } => {
            format!("quota {}{}", if *over { "over " } else { "" }, size(*bytes))
        }
        Expr::Connlimit { count, over } => format!("ct count {}{count}", if *over { "over " } else { "" }),
        Expr::Limit { .. } => format!("limit {}", limit_words(expr).unwrap_or_default()),
        Expr::Last { .. } => "last".into(),
        _ => "[expression]".into(),
    }
}

/// The word of a kind of object.
pub(super) fn object_word(kind: u32) -> &'static str {
    match kind {
        1 => "counter",
        2 => "quota",
        3 => "ct helper",
        4 => "limit",
        5 => "ct count",
        7 => "ct timeout",
        8 => "secmark",
        9 => "ct expectation",
        10 => "synproxy",
        _ => "object",
    }
}

/// The kind of an object and the lines of its block.
fn object_lines(object: &NftObject, state: bool, numeric: bool) -> (&'static str, Vec<String>) {
    let word = object_word(object.obj_type);
    let l3 = |number: &Option<u16>| match number {
        Some(2) => vec!["l3proto ip".to_owned()],
        Some(10) => vec!["l3proto ip6".to_owned()],
        Some(1) => vec!["l3proto inet".to_owned()],
        _ => Vec::new(),
    };
    let lines = match (&object.expr, &object.detail) {
        (Some(Expr::Counter { packets, bytes }), _) if state => {
            vec![format!("packets {packets} bytes {bytes}")]
        }
        (Some(Expr::Counter { .. }), _) => Vec::new(),
        (Some(Expr::Quota { bytes, consumed, over }), _) => {
            let used =
                if *consumed > 0 && state { format!(" used {}", size(*consumed)) } else { String::new() };
            vec![format!("{}{}{used}", if *over { "over " } else { "" }, size(*bytes))]
        }
        (Some(limit @ Expr::Limit { .. }), _) => vec![limit_words(limit).unwrap_or_default()],
        (Some(Expr::Connlimit { count, over }), _) => {
            vec![format!("{}{count}", if *over { "over " } else { "" })]
        }
        (Some(Expr::Synproxy { mss, wscale, flags }), _) => {
            let mut lines = Vec::new();
            if flags & 1 != 0 {
                lines.push(format!("mss {mss}"));
            }
            if flags & 2 != 0 {
                lines.push(format!("wscale {wscale}"));
            }
            let words: Vec<&str> = [(8, "timestamp"), (4, "sack-perm")]
                .iter()
                .filter(|(bit, _)| flags & bit != 0)
                .map(|(_, word)| *word)
                .collect();
            if !words.is_empty() {
                lines.push(words.join(" "));
            }
            lines
        }
        (_, Some(NftObjectDetail::CtHelper { helper, l3proto, l4proto })) => {
            let mut lines = vec![format!("type {} protocol {}", quoted(helper), proto_name(*l4proto))];
            lines.extend(l3(l3proto));
            lines
        }
        (_, Some(NftObjectDetail::CtTimeout { l3proto, l4proto, seconds })) => {
            let mut lines = vec![format!("protocol {}", proto_name(*l4proto))];
            lines.extend(l3(l3proto));
            let changed: Vec<String> = seconds
                .iter()
                .filter_map(|(state, seconds)| {
                    let (name, usual) = timeout_state(*l4proto, *state)?;
                    (*seconds != usual).then(|| format!("{name} : {seconds}"))
                })
                .collect();
            if !changed.is_empty() {
                lines.push(format!("policy = {{ {} }}", changed.join(", ")));
            }
            lines
        }
        (_, Some(NftObjectDetail::CtExpect { l3proto, l4proto, dport, timeout_ms, size })) => {
            let mut lines = vec![
                format!("protocol {}", proto_name(*l4proto)),
                format!("dport {dport}"),
                match numeric {
                    true => format!("timeout {}s", timeout_ms / 1000),
                    false => format!("timeout {}", duration((*timeout_ms).into())),
                },
                format!("size {size}"),
            ];
            lines.extend(l3(l3proto));
            lines
        }
        (_, Some(NftObjectDetail::Secmark { context })) => vec![quoted(context)],
        _ => Vec::new(),
    };
    (word, lines)
}

/// The name of a protocol's state (`CTA_TIMEOUT_TCP_*`, `CTA_TIMEOUT_UDP_*`) and the seconds the kernel gives it.
pub(super) fn timeout_state(l4proto: u8, state: u16) -> Option<(&'static str, u32)> {
    let table: &[(&str, u32)] = match l4proto {
        6 => &[
            ("syn_sent", 120),
            ("syn_recv", 60),
            ("established", 432_000),
            ("fin_wait", 120),
            ("close_wait", 60),
            ("last_ack", 30),
            ("time_wait", 120),
            ("close", 10),
            ("syn_sent2", 120),
            ("retrans", 300),
            ("unack", 300),
        ],
        17 => &[("unreplied", 30), ("replied", 120)],
        _ => return None,
    };
    table.get(usize::from(state.checked_sub(1)?)).copied()
}

/// Text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let shown = netwhy_render::escape::escape_terminal(text);
    format!("\"{shown}\"")
}

/// A number of bytes in the largest unit that divides it.
pub(super) fn size(bytes: u64) -> String {
    let mut number = bytes;
    for unit in ["bytes", "kbytes", "mbytes"] {
        if number == 0 || !number.is_multiple_of(1024) {
            return format!("{number} {unit}");
        }
        number /= 1024;
    }
    format!("{number} gbytes")
}

/// Milliseconds as `1d2h3m4s5ms`.
pub(super) fn duration(ms: u64) -> String {
    let mut out = String::new();
    let mut rest = ms;
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}
