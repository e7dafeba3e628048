//! `nft add`, `insert`, `replace`, `delete`, `flush` and files of such commands: one transaction, all or
//! nothing.

use std::collections::BTreeMap;

use netwhy_change::ChangeError;
use netwhy_change::nft::{BaseHook, ElementSpec, Place, SetSpec, Transaction};
use netwhy_collect::Collector;
use netwhy_collect::nft::NftListing;
use netwhy_facts::nft::{Expr, NftFamily, NftSet};
use netwhy_sys::netlink::{BatchError, Protocol, Socket};
use netwhy_walk::rule_text_styled;
use netwhy_walk::text::parse::{NftType, nft_type};
use serde_json::Value;

use super::list::family;
use super::lower::{INTERVAL, MAP, Maker, VERDICT, interval_elements};
use super::options::Options;
use super::style::{self, Words};
use super::syntax::{self, Reader, Wrong};
use super::token::{self, Token};
use crate::{Session, ToolError};

type Done<T> = Result<T, ToolError>;

/// What a command says before it is carried out and how it is taken back.
struct Note {
    what: String,
    /// `HANDLE` stands for the handle of the rule that is added.
    undo: Option<String>,
    /// Which of the transaction's rules it adds.
    rule: Option<usize>,
}

/// Carries out commands of a text.
pub(super) fn run(session: &mut Session<'_>, options: &Options, text: &str) -> Done<u8> {
    let tokens = token::cut(text).map_err(|why| ToolError::usage(format!("Error: {why}"), 1))?;
    let tokens = defined(tokens, &options.defines)?;
    let collector = session.collector()?;
    let listing = collector.nft_listing(&|_| true)?;
    let style = Words::new(&collector, options);
    let links = collector.links();
    let device = |name: &str| {
        links.value().and_then(|links| links.0.iter().find(|link| link.name == name)).map(|link| link.index)
    };
    let mut commands = Commands {
        reader: Reader::new(tokens),
        transaction: Transaction::new(),
        notes: Vec::new(),
        listing,
        sets: BTreeMap::new(),
        style,
        device: &device,
        next_set: 0,
        rules: 0,
    };
    let parsed = commands.all();
    parsed.map_err(|error| error.into_tool(text))?;
    let Commands { transaction, notes, .. } = commands;
    if transaction.is_empty() {
        return Ok(0);
    }
    for note in &notes {
        writeln!(session.err, "change: {}", netwhy_render::escape::escape_terminal(&note.what))?;
    }
    let mut socket = open(&collector)?;
    let handles = transaction.commit(&mut socket).map_err(|error| refused(&error, text))?;
    for note in &notes {
        let handle =
            note.rule.and_then(|rule| handles.get(rule)).map_or_else(|| "?".to_owned(), u64::to_string);
        let undo = note.undo.as_deref().unwrap_or("none: what it removes cannot be made again");
        for line in undo.replace("HANDLE", &handle).lines() {
            writeln!(session.err, "undo:   {}", netwhy_render::escape::escape_terminal(line))?;
        }
    }
    Ok(0)
}

fn open(collector: &Collector) -> Done<Socket> {
    let socket = collector.inside(|| Socket::open(Protocol::Netfilter))?;
    socket.map_err(|error| ToolError::failed(format!("Error: {error}"), 1))
}

/// The kernel's refusal in nft's words, with its own text where it gave one.
fn refused(error: &ChangeError, text: &str) -> ToolError {
    let reason = match error {
        ChangeError::Batch(BatchError::Refused(all)) => match all.first() {
            Some((_, refusal)) => match &refusal.message {
                Some(message) => format!("{} ({message})", refusal.errno.description()),
                None => refusal.errno.description().to_owned(),
            },
            None => error.to_string(),
        },
        other => other.to_string(),
    };
    let line = text.trim();
    let mark = "^".repeat(line.lines().next().map_or(0, |line| line.chars().count()));
    ToolError::failed(format!("Error: Could not process rule: {reason}\n{line}\n{mark}"), 1)
}

/// Puts the values of `define NAME = VALUE` and `-D` where `$NAME` stands.
fn defined(tokens: Vec<Token>, given: &[(String, String)]) -> Done<Vec<Token>> {
    let mut known: BTreeMap<String, Vec<Token>> = BTreeMap::new();
    for (name, value) in given {
        let value = token::cut(value).map_err(|why| ToolError::usage(format!("Error: {why}"), 1))?;
        known.insert(name.clone(), value);
    }
    let mut out: Vec<Token> = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let starts = matches!(out.last(), None | Some(Token::Sign("\n" | ";" | "{" | "}")));
        match &token {
            Token::Word(word) if word == "define" && starts => {
                let name = match tokens.next() {
                    Some(Token::Word(name)) => name,
                    _ => return Err(ToolError::usage("Error: syntax error: define NAME = VALUE", 1)),
                };
                if tokens.next() != Some(Token::Sign("=")) {
                    return Err(ToolError::usage("Error: syntax error: define NAME = VALUE", 1));
                }
                let (mut value, mut depth) = (Vec::new(), 0_i32);
                while let Some(next) = tokens.peek() {
                    match next {
                        Token::Sign("\n" | ";") if depth == 0 => break,
                        Token::Sign("{") => depth += 1,
                        Token::Sign("}") => depth -= 1,
                        _ => {}
                    }
                    value.extend(tokens.next());
                }
                known.insert(name, value);
            }
            Token::Word(word) => match word.strip_prefix('$') {
                Some(name) => match known.get(name) {
                    Some(value) => out.extend(value.iter().cloned()),
                    None => return Err(ToolError::usage(format!("Error: unknown identifier '{name}'"), 1)),
                },
                None => out.push(token),
            },
            _ => out.push(token),
        }
    }
    Ok(out)
}

/// Why a command is not carried out.
enum Trouble {
    Syntax(Wrong),
    Text(String),
    Change(ChangeError),
}

impl From<Wrong> for Trouble {
    fn from(wrong: Wrong) -> Self {
        Trouble::Syntax(wrong)
    }
}

impl From<ChangeError> for Trouble {
    fn from(error: ChangeError) -> Self {
        Trouble::Change(error)
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Trouble::Text(text)
    }
}

impl Trouble {
    fn into_tool(self, text: &str) -> ToolError {
        match self {
            Trouble::Syntax(Wrong { word, expected }) => {
                let line = text.lines().find(|line| line.contains(&word)).unwrap_or_else(|| text.trim());
                super::options::syntax(line, &word, &expected)
            }
            Trouble::Text(why) => ToolError::failed(format!("Error: {why}\n{}", text.trim()), 1),
            Trouble::Change(error) => refused(&error, text),
        }
    }
}

type Parsed<T> = Result<T, Trouble>;

/// What is known of a set that elements are added to.
#[derive(Clone)]
struct Known {
    key: Vec<NftType>,
    flags: u32,
    verdicts: bool,
    id: u32,
}

struct Commands<'a> {
    reader: Reader,
    transaction: Transaction,
    notes: Vec<Note>,
    listing: NftListing,
    /// Sets that this text declares.
    sets: BTreeMap<(NftFamily, String, String), Known>,
    style: Words,
    device: &'a dyn Fn(&str) -> Option<u32>,
    next_set: u32,
    /// Rules written so far.
    rules: usize,
}

impl Commands<'_> {
    fn all(&mut self) -> Parsed<()> {
        loop {
            while self.reader.take_sign("\n") || self.reader.take_sign(";") {}
            if self.reader.peek().is_none() {
                return Ok(());
            }
            self.command()?;
        }
    }

    fn note(&mut self, what: String, undo: Option<String>) {
        self.notes.push(Note { what, undo, rule: None });
    }

    fn command(&mut self) -> Parsed<()> {
        let verb = self.reader.text("add, insert, replace, delete, flush or table")?;
        match verb.as_str() {
            "table" => self.table_block(false),
            "add" | "create" => self.add(verb == "create"),
            "insert" => {
                self.reader.expect_word("rule")?;
                self.rule(false, false)
            }
            "replace" => {
                self.reader.expect_word("rule")?;
                self.rule(false, true)
            }
            "delete" => self.delete(),
            "flush" => self.flush(),
            "include" => Err(Trouble::Text("include: files are read without includes".into())),
            "list" | "monitor" | "reset" | "rename" | "describe" | "destroy" | "export" => {
                Err(Trouble::Text(format!("{verb} is no command among changes here")))
            }
            _ => {
                Err(Wrong { word: verb, expected: "add, insert, replace, delete, flush or table".into() }
                    .into())
            }
        }
    }

    /// A family that is left out means IPv4.
    fn family(&mut self) -> NftFamily {
        let Some(Token::Word(word)) = self.reader.peek() else { return NftFamily::Ip };
        match family(word) {
            // A table may be called like a family.
            Some(family) => {
                let name = word.clone();
                self.reader.take_word(&name);
                family
            }
            None => NftFamily::Ip,
        }
    }

    fn has_table(&self, family: NftFamily, table: &str) -> bool {
        self.listing.nft.tables.iter().any(|one| one.family == family && one.name == table)
    }

    fn add(&mut self, only_new: bool) -> Parsed<()> {
        let kind = self.reader.text("table, chain, rule, set, map, element, counter or quota")?;
        match kind.as_str() {
            "table" => self.table_block(only_new),
            "rule" => self.rule(true, false),
            "chain" => {
                let (family, table) = (self.family(), self.reader.text("a table")?);
                let chain = self.reader.text("a chain")?;
                self.chain(family, &table, &chain, only_new, false)
            }
            "set" | "map" => {
                let (family, table) = (self.family(), self.reader.text("a table")?);
                let set = self.reader.text("a name")?;
                self.set(family, &table, &set, kind == "map", only_new)
            }
            "element" => self.element(true),
            "counter" | "quota" => {
                let (family, table) = (self.family(), self.reader.text("a table")?);
                let name = self.reader.text("a name")?;
                self.object(&kind, family, &table, &name, only_new)
            }
            _ => {
                let expected = "table, chain, rule, set, map, element, counter or quota".into();
                Err(Wrong { word: kind, expected }.into())
            }
        }
    }

    /// `table FAMILY NAME { ... }`, or without a block.
    fn table_block(&mut self, only_new: bool) -> Parsed<()> {
        let (family, table) = (self.family(), self.reader.text("the name of a table")?);
        let new = !self.has_table(family, &table);
        self.transaction.add_table(family, &table, only_new)?;
        let name = format!("{} {table}", family.name());
        let undo =
            if new { Some(format!("nft delete table {name}")) } else { Some("nothing: it was there".into()) };
        self.note(format!("add table {name}"), undo);
        if !self.reader.take_sign("{") {
            return Ok(());
        }
        let before = self.notes.len();
        loop {
            while self.reader.take_sign("\n") || self.reader.take_sign(";") {}
            if self.reader.take_sign("}") {
                break;
            }
            let kind = self.reader.text("chain, set, map, counter or quota")?;
            match kind.as_str() {
                "chain" => {
                    let chain = self.reader.text("a chain")?;
                    self.chain(family, &table, &chain, false, true)?;
                }
                "set" | "map" => {
                    let set = self.reader.text("a name")?;
                    self.set(family, &table, &set, kind == "map", false)?;
                }
                "counter" | "quota" => {
                    let name = self.reader.text("a name")?;
                    self.object(&kind, family, &table, &name, false)?;
                }
                "comment" => _ = self.reader.text("the comment")?,
                _ => {
                    let expected = "chain, set, map, counter or quota".into();
                    return Err(Wrong { word: kind, expected }.into());
                }
            }
        }
        if new {
            // Undoing the table undoes what is in it; its rules' handles need no lines of their own.
            self.notes.truncate(before);
        }
        Ok(())
    }

    fn chain(
        &mut self,
        family: NftFamily,
        table: &str,
        chain: &str,
        only_new: bool,
        with_rules: bool,
    ) -> Parsed<()> {
        let mut base: Option<BaseHook> = None;
        let mut policy = None;
        let mut rules = Vec::new();
        if self.reader.take_sign("{") {
            loop {
                while self.reader.take_sign("\n") || self.reader.take_sign(";") {}
                if self.reader.take_sign("}") {
                    break;
                }
                if self.reader.take_word("type") {
                    base = Some(self.hook(family)?);
                } else if self.reader.take_word("policy") {
                    let word = self.reader.text("accept or drop")?;
                    policy = match word.as_str() {
                        "accept" => Some(true),
                        "drop" => Some(false),
                        _ => return Err(Wrong { word, expected: "accept or drop".into() }.into()),
                    };
                } else if self.reader.is_word("comment") && rules.is_empty() {
                    self.reader.take_word("comment");
                    let _ = self.reader.text("the comment")?;
                } else if with_rules {
                    rules.push(self.reader.rule()?);
                } else {
                    return Err(self.reader.wrong::<()>("type, policy or }").unwrap_err().into());
                }
            }
        }
        match (&mut base, policy) {
            (Some(base), policy) => base.accept = policy,
            (None, Some(accept)) => {
                return Err(Trouble::Text(format!(
                    "a policy ({}) belongs to a chain with a hook",
                    if accept { "accept" } else { "drop" }
                )));
            }
            (None, None) => {}
        }
        let there = self.listing.nft.chain(family, table, chain).is_some();
        self.transaction.add_chain(family, table, chain, base.as_ref(), only_new)?;
        let name = format!("{} {table} {chain}", family.name());
        let undo =
            if there { "nothing: it was there".to_owned() } else { format!("nft delete chain {name}") };
        self.note(format!("add chain {name}"), Some(undo));
        for (statements, comment) in rules {
            self.put_rule(family, table, chain, Place::End, &statements, comment.as_deref())?;
        }
        Ok(())
    }

    /// `type TYPE hook HOOK [device D] priority P`, the first word being read.
    fn hook(&mut self, family: NftFamily) -> Parsed<BaseHook> {
        let kind = self.reader.text("filter, nat or route")?;
        self.reader.expect_word("hook")?;
        let word = self.reader.text("a hook")?;
        let number = style::hook_number(family, &word)
            .ok_or_else(|| Wrong { word: word.clone(), expected: "a hook of the family".into() })?;
        let mut devices = Vec::new();
        if self.reader.take_word("device") {
            devices.push(self.reader.text("a device")?);
        } else if self.reader.take_word("devices") {
            self.reader.expect_sign("=")?;
            for one in self.reader.elements()? {
                devices.extend(one.as_str().map(str::to_owned));
            }
        }
        self.reader.expect_word("priority")?;
        let priority = self.priority(family)?;
        Ok(BaseHook { kind, number, priority, devices, accept: None })
    }

    /// `0`, `-5`, `filter`, `filter + 5`.
    fn priority(&mut self, family: NftFamily) -> Parsed<i32> {
        let word = self.reader.text("a priority")?;
        let wrong = || Wrong { word: word.clone(), expected: "a priority".into() };
        if let Ok(number) = word.parse() {
            return Ok(number);
        }
        let base = style::priority_number(family, &word).ok_or_else(wrong)?;
        let sign = if self.reader.take_word("+") {
            1
        } else if self.reader.take_sign("-") {
            -1
        } else {
            return Ok(base);
        };
        let offset = i32::try_from(self.reader.number("a number")?).map_err(|_| wrong())?;
        Ok(base.saturating_add(sign * offset))
    }

    fn rule(&mut self, end: bool, replace: bool) -> Parsed<()> {
        let (family, table) = (self.family(), self.reader.text("a table")?);
        let chain = self.reader.text("a chain")?;
        let mut place = if end { Place::End } else { Place::Start };
        if self.reader.take_word("handle") || self.reader.take_word("position") {
            let handle = self.reader.number("a handle")?;
            place = match (replace, end) {
                (true, _) => Place::Instead(handle),
                (false, true) => Place::After(handle),
                (false, false) => Place::Before(handle),
            };
        } else if self.reader.take_word("index") {
            let index = self.reader.number("an index")?;
            let mut rules = self.listing.nft.rules_of(family, &table, &chain);
            let rule = usize::try_from(index).ok().and_then(|index| rules.nth(index));
            let Some(rule) = rule else {
                return Err(Trouble::Text(format!("the chain has no rule {index}")));
            };
            place = if end { Place::After(rule.handle) } else { Place::Before(rule.handle) };
        }
        if replace && !matches!(place, Place::Instead(_)) {
            return Err(self.reader.wrong::<()>("handle").unwrap_err().into());
        }
        let (statements, comment) = self.reader.rule()?;
        self.put_rule(family, &table, &chain, place, &statements, comment.as_deref())
    }

    fn put_rule(
        &mut self,
        family: NftFamily,
        table: &str,
        chain: &str,
        place: Place,
        statements: &[Value],
        comment: Option<&str>,
    ) -> Parsed<()> {
        let made = Maker::new(family, self.device, self.next_set).make(statements)?;
        for (spec, elements) in &made.sets {
            self.next_set = self.next_set.max(spec.id);
            self.transaction.add_set(family, table, spec, false)?;
            self.transaction.add_elements(family, table, &spec.name, spec.id, elements)?;
        }
        // Sets of this transaction are found by number; their names are given by the kernel.
        self.transaction.add_rule(family, table, chain, place, &made.exprs, comment, &made.set_ids())?;
        let name = format!("{} {table} {chain}", family.name());
        let verb = match place {
            Place::Instead(_) => "replace",
            Place::End | Place::After(_) => "add",
            Place::Start | Place::Before(_) => "insert",
        };
        let undo = match place {
            Place::Instead(handle) => self
                .rule_text(family, table, handle)
                .map(|text| format!("nft replace rule {name} handle {handle} {text}")),
            _ => Some(format!("nft delete rule {name} handle HANDLE")),
        };
        self.notes.push(Note { what: format!("{verb} rule {name}"), undo, rule: Some(self.rules) });
        self.rules += 1;
        Ok(())
    }

    fn rule_text(&self, family: NftFamily, table: &str, handle: u64) -> Option<String> {
        let nft = &self.listing.nft;
        let rule = nft.rule(family, table, handle)?;
        Some(rule_text_styled(nft, rule, &self.style, true))
    }

    fn delete(&mut self) -> Parsed<()> {
        let kind = self.reader.text("table, chain, rule, set, map, element, counter or quota")?;
        if kind == "element" {
            return self.element(false);
        }
        let (family, table) = (self.family(), self.reader.text("a table")?);
        let prefix = format!("{} {table}", family.name());
        match kind.as_str() {
            "table" => {
                self.transaction.delete_table(family, &table)?;
                let rules =
                    self.listing.nft.rules.iter().filter(|one| one.family == family && one.table == table);
                let count = rules.count();
                let undo = format!("`nft list table {prefix} > FILE` first, then `nft -f FILE`");
                self.note(format!("delete table {prefix} with {count} rules"), Some(undo));
            }
            "chain" => {
                let chain = self.reader.text("a chain")?;
                self.transaction.delete_chain(family, &table, &chain)?;
                let undo = self.listing.nft.chain(family, &table, &chain).map(|one| match &one.hook {
                    None => format!("nft add chain {prefix} {chain}"),
                    Some(hook) => format!(
                        "nft 'add chain {prefix} {chain} {{ type {} hook {} priority {}; policy {}; }}'",
                        one.chain_type.as_deref().unwrap_or("filter"),
                        style::hook(one),
                        hook.priority,
                        if one.policy == Some(0) { "drop" } else { "accept" }
                    ),
                });
                self.note(format!("delete chain {prefix} {chain}"), undo);
            }
            "rule" => {
                let chain = self.reader.text("a chain")?;
                self.reader.expect_word("handle")?;
                let handle = self.reader.number("a handle")?;
                self.transaction.delete_rule(family, &table, &chain, handle)?;
                let before: Vec<u64> = self
                    .listing
                    .nft
                    .rules_of(family, &table, &chain)
                    .map(|one| one.handle)
                    .take_while(|one| *one != handle)
                    .collect();
                let place = match before.last() {
                    Some(previous) => format!("nft add rule {prefix} {chain} position {previous}"),
                    None => format!("nft insert rule {prefix} {chain}"),
                };
                let undo = self.rule_text(family, &table, handle).map(|text| format!("{place} {text}"));
                self.note(format!("delete rule {prefix} {chain} handle {handle}"), undo);
            }
            "set" | "map" => {
                let set = self.reader.text("a name")?;
                self.transaction.delete_set(family, &table, &set)?;
                let undo = format!("`nft list {kind} {prefix} {set} > FILE` first, then `nft -f FILE`");
                self.note(format!("delete {kind} {prefix} {set}"), Some(undo));
            }
            "counter" | "quota" => {
                let name = self.reader.text("a name")?;
                let number = if kind == "counter" { 1 } else { 2 };
                self.transaction.delete_object(family, &table, &name, number)?;
                self.note(
                    format!("delete {kind} {prefix} {name}"),
                    Some(format!("nft add {kind} {prefix} {name}")),
                );
            }
            _ => {
                let expected = "table, chain, rule, set, map, element, counter or quota".into();
                return Err(Wrong { word: kind, expected }.into());
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Parsed<()> {
        let kind = self.reader.text("ruleset, table, chain, set or map")?;
        if kind == "ruleset" {
            let only = match self.reader.peek() {
                Some(Token::Word(word)) => family(word),
                _ => None,
            };
            if let Some(only) = only {
                self.reader.take_word(only.name());
            }
            self.transaction.flush_ruleset(only)?;
            let undo = "`nft list ruleset > FILE` first, then `nft -f FILE`".to_owned();
            self.note(format!("delete {} tables", self.listing.nft.tables.len()), Some(undo));
            return Ok(());
        }
        let (family, table) = (self.family(), self.reader.text("a table")?);
        let prefix = format!("{} {table}", family.name());
        match kind.as_str() {
            "table" => {
                self.transaction.flush_chain(family, &table, None)?;
                let undo = format!("`nft list table {prefix} > FILE` first, then `nft -f FILE`");
                self.note(format!("delete every rule of {prefix}"), Some(undo));
            }
            "chain" => {
                let chain = self.reader.text("a chain")?;
                self.transaction.flush_chain(family, &table, Some(&chain))?;
                let nft = &self.listing.nft;
                let lines: Vec<String> = nft
                    .rules_of(family, &table, &chain)
                    .map(|rule| rule_text_styled(nft, rule, &self.style, true))
                    .map(|text| format!("nft add rule {prefix} {chain} {text}"))
                    .collect();
                let count = lines.len();
                let undo = match count {
                    0 => "nothing: it was empty".to_owned(),
                    _ => lines.join("\n"),
                };
                self.note(format!("delete {count} rules of {prefix} {chain}"), Some(undo));
            }
            "set" | "map" => {
                let set = self.reader.text("a name")?;
                self.transaction.flush_set(family, &table, &set)?;
                let undo = format!("`nft list {kind} {prefix} {set} > FILE` first, then `nft -f FILE`");
                self.note(format!("delete every element of {prefix} {set}"), Some(undo));
            }
            _ => {
                let expected = "ruleset, table, chain, set or map".into();
                return Err(Wrong { word: kind, expected }.into());
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        kind: &str,
        family: NftFamily,
        table: &str,
        name: &str,
        only_new: bool,
    ) -> Parsed<()> {
        let block = self.reader.take_sign("{");
        while block && self.reader.take_sign("\n") {}
        let object = if kind == "counter" {
            let mut counter = Expr::Counter { packets: 0, bytes: 0 };
            if self.reader.take_word("packets") {
                let packets = self.reader.number("a number of packets")?;
                self.reader.expect_word("bytes")?;
                counter = Expr::Counter { packets, bytes: self.reader.number("a number of bytes")? };
            }
            counter
        } else {
            let value = self.reader.quota()?;
            let body = value.get("quota").cloned().unwrap_or_default();
            super::lower::quota(&body).ok_or_else(|| Trouble::Text("this is no quota".into()))?
        };
        while block && (self.reader.take_sign("\n") || self.reader.take_sign(";")) {}
        if block {
            self.reader.expect_sign("}")?;
        }
        self.transaction.add_object(family, table, name, &object, only_new)?;
        let name = format!("{} {table} {name}", family.name());
        self.note(format!("add {kind} {name}"), Some(format!("nft delete {kind} {name}")));
        Ok(())
    }

    fn set(&mut self, family: NftFamily, table: &str, name: &str, map: bool, only_new: bool) -> Parsed<()> {
        self.reader.expect_sign("{")?;
        let mut known = Known { key: Vec::new(), flags: 0, verdicts: false, id: 0 };
        let (mut key_type, mut timeout_ms, mut size) = (0, None, None);
        let mut elements = None;
        loop {
            while self.reader.take_sign("\n") || self.reader.take_sign(";") {}
            if self.reader.take_sign("}") {
                break;
            }
            let word = self.reader.text("type, flags, timeout, size or elements")?;
            match word.as_str() {
                "type" => loop {
                    let word = self.reader.text("a type")?;
                    let expected = "a type such as ipv4_addr".into();
                    let (number, kind) = nft_type(&word).ok_or(Wrong { word, expected })?;
                    key_type = key_type << 6 | number;
                    known.key.push(kind);
                    if self.reader.take_sign(":") {
                        self.reader.expect_word("verdict")?;
                        known.verdicts = true;
                    }
                    if !self.reader.take_sign(".") {
                        break;
                    }
                },
                "flags" => loop {
                    let word = self.reader.text("a flag")?;
                    known.flags |= match word.as_str() {
                        "constant" => 0x2,
                        "interval" => INTERVAL,
                        "timeout" => 0x10,
                        "dynamic" => 0x20,
                        _ => {
                            let expected = "constant, interval, timeout or dynamic".into();
                            return Err(Wrong { word, expected }.into());
                        }
                    };
                    if !self.reader.take_sign(",") {
                        break;
                    }
                },
                "timeout" => {
                    let word = self.reader.text("a time")?;
                    let expected = "a time such as 30s".into();
                    timeout_ms = Some(syntax::duration(&word).ok_or(Wrong { word, expected })?);
                    known.flags |= 0x10;
                }
                "size" => size = u32::try_from(self.reader.number("a number")?).ok(),
                "comment" => _ = self.reader.text("the comment")?,
                "elements" => {
                    self.reader.expect_sign("=")?;
                    elements = Some(self.reader.elements()?);
                }
                _ => {
                    let expected = "type, flags, timeout, size or elements".into();
                    return Err(Wrong { word, expected }.into());
                }
            }
        }
        if known.key.is_empty() || map != known.verdicts {
            let what = if map { "maps are made from a type to verdict" } else { "a set needs a type" };
            return Err(Trouble::Text(what.into()));
        }
        let padded = known.key.len() > 1;
        if padded && known.flags & INTERVAL != 0 {
            return Err(Trouble::Text("intervals of concatenations are listed, but not made here".into()));
        }
        let length = |kind: &NftType| if padded { kind.len.next_multiple_of(4) } else { kind.len };
        self.next_set += 1;
        known.id = self.next_set;
        let spec = SetSpec {
            name: name.to_owned(),
            flags: known.flags | if map { MAP } else { 0 },
            key_type,
            key_len: u32::try_from(known.key.iter().map(length).sum::<usize>()).unwrap_or(0),
            data: map.then_some((VERDICT, 0)),
            fields: Vec::new(),
            host_order: matches!(known.key.as_slice(), [kind] if kind.host_order() || kind.is_name()),
            timeout_ms,
            size,
            id: known.id,
        };
        self.transaction.add_set(family, table, &spec, only_new)?;
        let full = format!("{} {table} {name}", family.name());
        let word = if map { "map" } else { "set" };
        self.note(format!("add {word} {full}"), Some(format!("nft delete {word} {full}")));
        self.sets.insert((family, table.to_owned(), name.to_owned()), known.clone());
        if let Some(elements) = elements {
            let elements = self.elements(&known, &elements)?;
            self.transaction.add_elements(family, table, name, known.id, &elements)?;
        }
        Ok(())
    }

    /// What is known of a set, from this text or from the kernel.
    fn known(&self, family: NftFamily, table: &str, name: &str) -> Parsed<Known> {
        if let Some(known) = self.sets.get(&(family, table.to_owned(), name.to_owned())) {
            return Ok(known.clone());
        }
        let set: Option<&NftSet> = self.listing.nft.set(family, table, name);
        let Some(set) = set else {
            return Err(Trouble::Text(format!("No such file or directory: set {name}")));
        };
        let words = netwhy_walk::type_words(set.key_type);
        let key: Option<Vec<NftType>> = words.split(" . ").map(|word| Some(nft_type(word)?.1)).collect();
        let key = key.ok_or_else(|| format!("the set's type {words} is listed, but not written here"))?;
        let verdicts = set.data_type == Some(VERDICT);
        if set.data_type.is_some() && !verdicts {
            return Err(Trouble::Text("elements of maps other than to verdicts are not written here".into()));
        }
        Ok(Known { key, flags: set.flags, verdicts, id: 0 })
    }

    fn elements(&self, known: &Known, values: &[Value]) -> Parsed<Vec<ElementSpec>> {
        let device = self.device;
        let one = |kind: &NftType, value: &Value| -> Result<Vec<u8>, String> {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if kind.is_device_index()
                && let Some(index) = device(&text)
            {
                return kind.bytes_of(index.into()).ok_or_else(|| format!("{text} is no device"));
            }
            kind.parse(&text).ok_or_else(|| format!("{text} is not of the set's type"))
        };
        let parse = |value: &Value| -> Result<Vec<u8>, String> {
            if let [kind] = known.key.as_slice() {
                return one(kind, value);
            }
            let parts = value.get("concat").and_then(Value::as_array);
            let parts = parts.filter(|parts| parts.len() == known.key.len());
            let parts = parts.ok_or_else(|| format!("{value} does not have the set's fields"))?;
            let mut key = Vec::new();
            for (kind, part) in known.key.iter().zip(parts) {
                key.extend(one(kind, part)?);
                key.resize(key.len().next_multiple_of(4), 0);
            }
            Ok(key)
        };
        let len = known.key.first().map_or(0, |kind| kind.len);
        let (mut elements, ranges) = interval_elements(values, known.verdicts, &parse, len)?;
        if known.flags & INTERVAL != 0 && !ranges {
            // A set of intervals holds single values as intervals of one.
            let spans = elements.into_iter().map(|one| (one.key.clone(), one.key.clone(), one)).collect();
            elements = super::lower::spread(spans, true);
        } else if ranges && known.flags & INTERVAL == 0 {
            return Err(Trouble::Text("You must add 'flags interval' to your set declaration".into()));
        }
        Ok(elements)
    }

    fn element(&mut self, add: bool) -> Parsed<()> {
        let (family, table) = (self.family(), self.reader.text("a table")?);
        let set = self.reader.text("a set")?;
        let values = self.reader.elements()?;
        let known = self.known(family, &table, &set)?;
        let elements = self.elements(&known, &values)?;
        let name = format!("{} {table} {set}", family.name());
        let count = values.len();
        let shown: Vec<String> = values.iter().map(element_words).collect();
        let shown = shown.join(", ");
        if add {
            self.transaction.add_elements(family, &table, &set, known.id, &elements)?;
            let undo = format!("nft 'delete element {name} {{ {shown} }}'");
            self.note(format!("add {count} elements to {name}"), Some(undo));
        } else {
            self.transaction.delete_elements(family, &table, &set, &elements)?;
            let undo = format!("nft 'add element {name} {{ {shown} }}'");
            self.note(format!("delete {count} elements of {name}"), Some(undo));
        }
        Ok(())
    }
}

/// An element as a command line has it.
fn element_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(pair) => {
            let key = pair.first().map(element_words).unwrap_or_default();
            let data = pair.get(1).and_then(Value::as_object).and_then(|data| data.iter().next());
            match data {
                Some((name, body)) => match body.get("target").and_then(Value::as_str) {
                    Some(target) => format!("{key} : {name} {target}"),
                    None => format!("{key} : {name}"),
                },
                None => key,
            }
        }
        Value::Object(object) => {
            let list = |name: &str, between: &str| {
                let all = object.get(name).and_then(Value::as_array);
                all.map(|all| all.iter().map(element_words).collect::<Vec<_>>().join(between))
            };
            if let Some(text) = list("range", "-").or_else(|| list("concat", " . ")) {
                return text;
            }
            if let Some(prefix) = object.get("prefix") {
                let part = |name: &str| prefix.get(name).map(element_words).unwrap_or_default();
                return format!("{}/{}", part("addr"), part("len"));
            }
            object.get("elem").and_then(|elem| elem.get("val")).map(element_words).unwrap_or_default()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_said_as_they_are_typed() {
        let values =
            syntax::Reader::new(token::cut("{ 22, 80-90, 10.0.0.0/8, 1.2.3.4 . 5, 6 : jump x }").unwrap())
                .elements()
                .unwrap();
        let words: Vec<String> = values.iter().map(element_words).collect();
        assert_eq!(words, ["22", "80-90", "10.0.0.0/8", "1.2.3.4 . 5", "6 : jump x"]);
    }
}
