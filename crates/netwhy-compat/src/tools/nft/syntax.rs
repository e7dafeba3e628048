//! Rules from nft's words to libnftables' JSON, in which `-j` writes them and from which they are made.
//!
//! Longer than 1,000 lines because it is one grammar, a function for each of its words.

use serde_json::{Map, Value, json};

use super::token::{Token, cut};

/// Where the parser is, and what it read.
pub(super) struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

/// What does not fit: the word, and what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) word: String,
    pub(super) expected: String,
}

type Parsed<T> = Result<T, Wrong>;

/// Headers with fields.
const HEADERS: &[&str] = &[
    "ether", "vlan", "arp", "ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp",
    "ah", "esp", "comp", "th",
];

/// Keys of `meta` that may be written without the word.
const BARE: &[&str] = &[
    "iif",
    "iifname",
    "iiftype",
    "iifgroup",
    "oif",
    "oifname",
    "oiftype",
    "oifgroup",
    "mark",
    "skuid",
    "skgid",
    "nftrace",
    "rtclassid",
    "ibrname",
    "obrname",
    "pkttype",
    "cpu",
    "cgroup",
    "ibriport",
    "obriport",
];

fn one(name: &str, value: Value) -> Value {
    let mut map = Map::new();
    map.insert(name.to_owned(), value);
    Value::Object(map)
}

/// A rule: its statements and its comment.
pub(super) fn rule(text: &str) -> Parsed<(Vec<Value>, Option<String>)> {
    let tokens = cut(text).map_err(|expected| Wrong { word: text.to_owned(), expected })?;
    let mut reader = Reader::new(tokens);
    let rule = reader.rule()?;
    match reader.peek() {
        None => Ok(rule),
        Some(token) => Err(Wrong { word: token.shown(), expected: "end of the rule".into() }),
    }
}

impl Reader {
    pub(super) const fn new(tokens: Vec<Token>) -> Self {
        Reader { tokens, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn ahead(&self, by: usize) -> Option<&Token> {
        self.tokens.get(self.at + by)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn wrong<T>(&self, expected: &str) -> Parsed<T> {
        let word = self.peek().map_or_else(|| "end of command".to_owned(), Token::shown);
        Err(Wrong { word, expected: expected.to_owned() })
    }

    pub(super) fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.take_sign(sign) { Ok(()) } else { self.wrong(sign) }
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) { Ok(()) } else { self.wrong(word) }
    }

    /// A word or quoted text.
    pub(super) fn text(&mut self, what: &str) -> Parsed<String> {
        match self.peek() {
            Some(Token::Word(text) | Token::Quoted(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => self.wrong(what),
        }
    }

    pub(super) fn number(&mut self, what: &str) -> Parsed<u64> {
        match self.peek() {
            Some(Token::Word(word)) => match integer(word) {
                Some(number) => {
                    self.at += 1;
                    Ok(number)
                }
                None => self.wrong(what),
            },
            _ => self.wrong(what),
        }
    }

    /// The end of a rule in a file or a command.
    fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Token::Sign("\n" | ";" | "}")))
    }

    pub(super) fn rule(&mut self) -> Parsed<(Vec<Value>, Option<String>)> {
        let mut statements = Vec::new();
        let mut comment = None;
        while !self.at_end() {
            if self.take_word("comment") {
                comment = Some(self.text("the comment")?);
                continue;
            }
            statements.push(self.statement()?);
        }
        if statements.is_empty() {
            return self.wrong("a rule");
        }
        Ok((statements, comment))
    }

    fn statement(&mut self) -> Parsed<Value> {
        let Some(Token::Word(word)) = self.peek().cloned() else { return self.wrong("a statement") };
        if matches!(word.as_str(), "accept" | "drop" | "return" | "continue" | "notrack") {
            self.at += 1;
            return Ok(one(&word, Value::Null));
        }
        match word.as_str() {
            "jump" | "goto" => {
                self.at += 1;
                Ok(one(&word, json!({ "target": self.text("a chain")? })))
            }
            "counter" => self.counter(),
            "limit" => {
                self.at += 1;
                if self.take_word("name") {
                    return Ok(one("limit", json!(self.text("a limit")?)));
                }
                self.limit()
            }
            "quota" => {
                self.at += 1;
                if self.take_word("name") {
                    return Ok(one("quota", json!(self.text("a quota")?)));
                }
                self.quota()
            }
            "log" => self.log(),
            "reject" => self.reject(),
            "snat" | "dnat" | "masquerade" | "redirect" | "tproxy" => self.nat(&word),
            "queue" => self.queue(),
            "dup" => self.dup(),
            "fwd" => self.fwd(),
            "add" | "update" | "delete" if matches!(self.ahead(1), Some(Token::Word(set)) if set.starts_with('@')) => {
                self.dynset(&word)
            }
            "last" => {
                self.at += 1;
                let mut used = Map::new();
                if self.take_word("used") {
                    let word = self.text("a time")?;
                    if let Some(ms) = duration(&word) {
                        used.insert("used".into(), json!(ms));
                    }
                }
                Ok(one("last", if used.is_empty() { Value::Null } else { Value::Object(used) }))
            }
            "flow" => {
                self.at += 1;
                self.expect_word("add")?;
                let name = self.text("a flowtable")?;
                Ok(one("flow", json!({ "op": "add", "flowtable": name })))
            }
            "synproxy" => self.synproxy(),
            "reset" => {
                self.at += 1;
                self.expect_word("tcp")?;
                self.expect_word("option")?;
                Ok(one("reset", one("tcp option", json!({ "name": self.text("an option")? }))))
            }
            "ct" => self.ct(),
            _ => self.relation(),
        }
    }

    fn counter(&mut self) -> Parsed<Value> {
        self.at += 1;
        if self.take_word("name") {
            if let Some(Token::Quoted(name)) = self.peek().cloned() {
                self.at += 1;
                return Ok(one("counter", json!(name)));
            }
            let before = self.at;
            if let Ok(key) = self.concat()
                && self.take_word("map")
            {
                let data = self.set_or_name()?;
                return Ok(one("counter", one("map", json!({ "key": key, "data": data }))));
            }
            self.at = before;
            return Ok(one("counter", json!(self.text("a counter")?)));
        }
        if self.take_word("packets") {
            let packets = self.number("a number of packets")?;
            self.expect_word("bytes")?;
            let bytes = self.number("a number of bytes")?;
            return Ok(one("counter", json!({ "packets": packets, "bytes": bytes })));
        }
        Ok(one("counter", Value::Null))
    }

    /// Behind the word `limit`.
    pub(super) fn limit(&mut self) -> Parsed<Value> {
        self.expect_word("rate")?;
        let inverted = self.take_word("over");
        if !inverted {
            self.take_word("until");
        }
        let word = self.text("a rate such as 10/second")?;
        let mut out = Map::new();
        let (rate, per, unit) = match word.split_once('/') {
            Some((rate, per)) => (rate.to_owned(), per.to_owned(), None),
            None => {
                let unit = self.text("packets/second or a number of bytes")?;
                let Some((unit, per)) = unit.split_once('/') else { return self.wrong("UNIT/TIME") };
                (word, per.to_owned(), Some(unit.to_owned()))
            }
        };
        let Some(rate) = integer(&rate) else { return self.wrong("a rate") };
        out.insert("rate".into(), json!(rate));
        out.insert("per".into(), json!(per));
        out.insert("burst".into(), json!(if unit.is_some() { 0 } else { 5 }));
        if unit.is_some() {
            out.insert("burst_unit".into(), json!("bytes"));
        }
        if let Some(unit) = unit.filter(|unit| unit != "packets") {
            out.insert("rate_unit".into(), json!(unit));
        }
        if self.take_word("burst") {
            out.insert("burst".into(), json!(self.number("a burst")?));
            let unit = self.text("packets or a number of bytes")?;
            if unit != "packets" {
                out.insert("burst_unit".into(), json!(unit));
            }
        }
        if inverted {
            out.insert("inv".into(), json!(true));
        }
        Ok(one("limit", Value::Object(out)))
    }

    /// Behind the word `quota`.
    pub(super) fn quota(&mut self) -> Parsed<Value> {
        let mut out = Map::new();
        if self.take_word("over") {
            out.insert("inv".into(), json!(true));
        } else {
            self.take_word("until");
        }
        out.insert("val".into(), json!(self.number("a number of bytes")?));
        out.insert("val_unit".into(), json!(self.text("bytes, kbytes or mbytes")?));
        if self.take_word("used") {
            out.insert("used".into(), json!(self.number("a number of bytes")?));
            out.insert("used_unit".into(), json!(self.text("bytes, kbytes or mbytes")?));
        }
        Ok(one("quota", Value::Object(out)))
    }

    fn log(&mut self) -> Parsed<Value> {
        self.at += 1;
        let mut out = Map::new();
        let mut flags: Vec<String> = Vec::new();
        loop {
            if self.take_word("prefix") {
                out.insert("prefix".into(), json!(self.text("the prefix")?));
            } else if self.take_word("level") {
                out.insert("level".into(), json!(self.text("a level")?));
            } else if self.take_word("group") {
                out.insert("group".into(), json!(self.number("a group")?));
            } else if self.take_word("snaplen") {
                out.insert("snaplen".into(), json!(self.number("a length")?));
            } else if self.take_word("queue-threshold") {
                out.insert("queue-threshold".into(), json!(self.number("a number of packets")?));
            } else if self.take_word("flags") {
                let word = self.text("a flag")?;
                match word.as_str() {
                    "tcp" | "ip" => loop {
                        flags.push(format!("{word} {}", self.text("sequence or options")?));
                        if !self.take_sign(",") {
                            break;
                        }
                    },
                    _ => flags.push(word),
                }
            } else {
                break;
            }
        }
        match flags.as_slice() {
            [] => {}
            [only] => _ = out.insert("flags".into(), json!(only)),
            many => _ = out.insert("flags".into(), json!(many)),
        }
        Ok(one("log", if out.is_empty() { Value::Null } else { Value::Object(out) }))
    }

    fn reject(&mut self) -> Parsed<Value> {
        self.at += 1;
        if !self.take_word("with") {
            return Ok(one("reject", Value::Null));
        }
        let kind = self.text("icmp, icmpv6, icmpx or tcp reset")?;
        if kind == "tcp" {
            self.expect_word("reset")?;
            return Ok(one("reject", json!({ "type": "tcp reset" })));
        }
        self.take_word("type");
        let code = self.text("a reason")?;
        Ok(one("reject", json!({ "type": kind, "expr": code })))
    }

    fn nat(&mut self, word: &str) -> Parsed<Value> {
        self.at += 1;
        let mut out = Map::new();
        for family in ["ip", "ip6"] {
            if matches!(self.ahead(1), Some(Token::Word(next)) if matches!(next.as_str(), "to" | "prefix" | "addr"))
                && self.take_word(family)
            {
                out.insert("family".into(), json!(family));
            }
        }
        if self.take_word("prefix") {
            out.insert("flags".into(), json!("netmap"));
            out.insert("type_flags".into(), json!("prefix"));
        }
        if self.take_word("to") {
            self.nat_target(&mut out)?;
        }
        let mut flags: Vec<String> = Vec::new();
        while let Some(Token::Word(flag)) = self.peek()
            && matches!(flag.as_str(), "random" | "fully-random" | "persistent")
        {
            flags.push(flag.clone());
            self.at += 1;
            self.take_sign(",");
        }
        match flags.as_slice() {
            [] => {}
            [only] => _ = out.insert("flags".into(), json!(only)),
            many => _ = out.insert("flags".into(), json!(many)),
        }
        let empty = out.is_empty() && matches!(word, "masquerade" | "redirect");
        Ok(one(word, if empty { Value::Null } else { Value::Object(out) }))
    }

    fn nat_target(&mut self, out: &mut Map<String, Value>) -> Parsed<()> {
        let before = self.at;
        // A map or another expression gives the address.
        if let Ok(key) = self.concat() {
            let value = self.mapped(key)?;
            out.insert("addr".into(), value);
            if self.take_sign(":") {
                out.insert("port".into(), self.value()?);
            }
            return Ok(());
        }
        self.at = before;
        let word = self.text("an address, :PORT or a map")?;
        let (address, port) = split_port(&word);
        if let Some(address) = address {
            out.insert("addr".into(), scalar_or_range(&address));
        }
        if let Some(port) = port {
            out.insert("port".into(), scalar_or_range(&port));
        } else if self.take_sign(":") {
            out.insert("port".into(), self.value()?);
        }
        Ok(())
    }

    fn queue(&mut self) -> Parsed<Value> {
        self.at += 1;
        let mut out = Map::new();
        let mut flags: Vec<String> = Vec::new();
        loop {
            if self.take_word("flags") {
                continue;
            }
            if self.take_word("num") || self.take_word("to") {
                out.insert("num".into(), self.value()?);
            } else if self.is_word("bypass") || self.is_word("fanout") {
                flags.push(self.text("a flag")?);
                self.take_sign(",");
            } else {
                break;
            }
        }
        match flags.as_slice() {
            [] => {}
            [only] => _ = out.insert("flags".into(), json!(only)),
            many => _ = out.insert("flags".into(), json!(many)),
        }
        Ok(one("queue", if out.is_empty() { Value::Null } else { Value::Object(out) }))
    }

    fn dup(&mut self) -> Parsed<Value> {
        self.at += 1;
        self.expect_word("to")?;
        let mut out = Map::new();
        out.insert("addr".into(), self.value()?);
        if self.take_word("device") {
            out.insert("dev".into(), self.value()?);
        }
        Ok(one("dup", Value::Object(out)))
    }

    fn fwd(&mut self) -> Parsed<Value> {
        self.at += 1;
        let mut out = Map::new();
        for family in ["ip", "ip6"] {
            if self.take_word(family) {
                out.insert("family".into(), json!(family));
            }
        }
        self.expect_word("to")?;
        let first = self.value()?;
        if self.take_word("device") {
            out.insert("dev".into(), self.value()?);
            out.insert("addr".into(), first);
        } else {
            out.insert("dev".into(), first);
        }
        Ok(one("fwd", Value::Object(out)))
    }

    fn synproxy(&mut self) -> Parsed<Value> {
        self.at += 1;
        if self.take_word("name") {
            return Ok(one("synproxy", json!(self.text("a synproxy")?)));
        }
        let mut out = Map::new();
        let mut flags: Vec<&str> = Vec::new();
        loop {
            if self.take_word("mss") {
                out.insert("mss".into(), json!(self.number("a size")?));
            } else if self.take_word("wscale") {
                out.insert("wscale".into(), json!(self.number("a scale")?));
            } else if self.take_word("timestamp") {
                flags.push("timestamp");
            } else if self.take_word("sack-perm") {
                flags.push("sack-perm");
            } else {
                break;
            }
        }
        match flags.as_slice() {
            [] => {}
            [only] => _ = out.insert("flags".into(), json!(only)),
            many => _ = out.insert("flags".into(), json!(many)),
        }
        Ok(one("synproxy", Value::Object(out)))
    }

    fn dynset(&mut self, op: &str) -> Parsed<Value> {
        self.at += 1;
        let set = self.text("a set")?;
        self.expect_sign("{")?;
        let key = self.concat()?;
        let mut elem = Map::new();
        let mut statements = Vec::new();
        loop {
            if self.take_word("timeout") {
                let word = self.text("a time")?;
                let Some(ms) = duration(&word) else { return self.wrong("a time such as 30s") };
                elem.insert("timeout".into(), json!(ms / 1000));
            } else if self.is_sign("}") || self.is_sign(":") {
                break;
            } else {
                statements.push(self.statement()?);
            }
        }
        let mut out = Map::new();
        out.insert("op".into(), json!(op));
        out.insert(
            "elem".into(),
            if elem.is_empty() {
                key
            } else {
                elem.insert("val".into(), key);
                one("elem", Value::Object(elem))
            },
        );
        if self.take_sign(":") {
            out.insert("data".into(), self.value()?);
            out.insert("map".into(), json!(set));
        } else {
            out.insert("set".into(), json!(set));
        }
        if !statements.is_empty() {
            out.insert("stmt".into(), Value::Array(statements));
        }
        self.expect_sign("}")?;
        Ok(one(if out.contains_key("map") { "map" } else { "set" }, Value::Object(out)))
    }

    /// `ct` begins statements of its own: `ct count`, `ct helper set`.
    fn ct(&mut self) -> Parsed<Value> {
        let word = |by: usize| match self.ahead(by) {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        let (second, third) = (word(1), word(2));
        if second == "count" {
            self.at += 2;
            let inverted = self.take_word("over");
            let mut out = Map::new();
            out.insert("val".into(), json!(self.number("a number of connections")?));
            if inverted {
                out.insert("inv".into(), json!(true));
            }
            return Ok(one("ct count", Value::Object(out)));
        }
        if third == "set" && matches!(second.as_str(), "helper" | "timeout" | "expectation") {
            self.at += 3;
            return Ok(one(&format!("ct {second}"), json!(self.text("the name of an object")?)));
        }
        self.relation()
    }

    /// A comparison, a lookup, a verdict map or a change of what the left side names.
    fn relation(&mut self) -> Parsed<Value> {
        let left = self.concat()?;
        if self.take_word("vmap") {
            let data = self.set_or_name()?;
            return Ok(one("vmap", json!({ "key": left, "data": data })));
        }
        if self.take_word("set") {
            let value = self.expression()?;
            return Ok(one("mangle", json!({ "key": left, "value": value })));
        }
        let left = self.arithmetic(left)?;
        let mut op = None;
        for sign in ["==", "!=", "<=", ">=", "<", ">", "!"] {
            if self.take_sign(sign) {
                op = Some(sign.to_owned());
                break;
            }
        }
        for (word, sign) in [("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")]
        {
            if op.is_none() && self.take_word(word) {
                op = Some(sign.to_owned());
            }
        }
        let mut right = if self.is_sign("{") { self.set_or_name()? } else { self.value_for(&left)? };
        // `tcp flags syn / syn,ack`: the value, then the bits that count.
        let mut left = left;
        if self.take_sign("/") {
            let mask = self.value_for(&left)?;
            left = one("&", json!([left, mask]));
            op = op.or_else(|| Some("==".into()));
        }
        let flags = is_flags(&left);
        let op = op.unwrap_or_else(|| {
            let in_set =
                right.get("set").is_some() || matches!(&right, Value::String(text) if text.starts_with('@'));
            if flags && !in_set { "in" } else { "==" }.to_owned()
        });
        if is_time(&left) {
            each_value(&mut right, &|value| {
                if let Some(ms) = value.as_str().and_then(duration) {
                    *value = json!(ms / 1000);
                }
            });
        }
        // Numbers of what has names are text.
        if is_named(&left) {
            each_value(&mut right, &|value| {
                if let Some(number) = value.as_u64() {
                    *value = json!(number.to_string());
                }
            });
        }
        Ok(one("match", json!({ "op": op, "left": left, "right": right })))
    }

    /// `A . B . C`, or one.
    fn concat(&mut self) -> Parsed<Value> {
        let first = self.primary()?;
        if !self.is_sign(".") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take_sign(".") {
            all.push(self.primary()?);
        }
        Ok(one("concat", Value::Array(all)))
    }

    fn arithmetic(&mut self, mut left: Value) -> Parsed<Value> {
        loop {
            let signs = [("&", "and"), ("|", "or"), ("^", "xor"), ("<<", "lshift"), (">>", "rshift")];
            let Some((sign, _)) =
                signs.iter().find(|(sign, word)| self.is_sign(sign) || self.is_word(word)).copied()
            else {
                return Ok(left);
            };
            self.at += 1;
            let parenthesis = self.take_sign("(");
            let right = if parenthesis { self.flag_bits()? } else { self.value()? };
            left = one(sign, json!([left, right]));
        }
    }

    /// `syn | ack )`: bits by name.
    fn flag_bits(&mut self) -> Parsed<Value> {
        let mut all = vec![json!(self.text("a flag")?)];
        while self.take_sign("|") {
            all.push(json!(self.text("a flag")?));
        }
        self.expect_sign(")")?;
        Ok(if let [only] = all.as_slice() { only.clone() } else { Value::Array(all) })
    }

    /// What is written into a field: a value, an expression, a map.
    fn expression(&mut self) -> Parsed<Value> {
        let before = self.at;
        if let Ok(key) = self.concat() {
            let key = self.arithmetic(key)?;
            return self.mapped(key);
        }
        self.at = before;
        let value = self.value()?;
        // `ct event set new,destroy`.
        if self.is_sign(",") {
            let mut all = vec![value];
            while self.take_sign(",") {
                all.push(self.value()?);
            }
            return Ok(Value::Array(all));
        }
        Ok(value)
    }

    fn mapped(&mut self, key: Value) -> Parsed<Value> {
        if self.take_word("map") {
            let data = self.set_or_name()?;
            return Ok(one("map", json!({ "key": key, "data": data })));
        }
        Ok(key)
    }

    /// Something of a packet or of the machine.
    fn primary(&mut self) -> Parsed<Value> {
        let Some(Token::Word(word)) = self.peek().cloned() else { return self.wrong("an expression") };
        let second = match self.ahead(1) {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        if BARE.contains(&word.as_str()) {
            self.at += 1;
            return Ok(one("meta", json!({ "key": word })));
        }
        match word.as_str() {
            "meta" => {
                self.at += 2;
                let second = if second == "secpath" { "ipsec".to_owned() } else { second };
                if second.is_empty() {
                    self.wrong("a key of meta")
                } else {
                    Ok(one("meta", json!({ "key": second })))
                }
            }
            "ct" => self.ct_key(),
            "tcp" | "ip" if second == "option" => {
                self.at += 2;
                let mut out = Map::new();
                out.insert("name".into(), json!(self.text("an option")?));
                let fields = [
                    "kind", "length", "size", "count", "tsval", "tsecr", "left", "right", "type", "ptr",
                    "addr", "value", "subtype",
                ];
                if let Some(field) = fields.iter().find(|field| self.is_word(field)) {
                    out.insert("field".into(), json!(field));
                    self.at += 1;
                }
                Ok(one(&format!("{word} option"), Value::Object(out)))
            }
            "sctp" if second == "chunk" => {
                self.at += 2;
                Ok(one("sctp chunk", json!({ "name": self.text("a chunk")? })))
            }
            "rt" if matches!(second.as_str(), "classid" | "nexthop" | "mtu" | "ipsec" | "ip" | "ip6") => {
                self.at += 1;
                let mut out = Map::new();
                for family in ["ip", "ip6"] {
                    if self.take_word(family) {
                        out.insert("family".into(), json!(family));
                    }
                }
                out.insert("key".into(), json!(self.text("a key of rt")?));
                Ok(one("rt", Value::Object(out)))
            }
            "exthdr" => {
                self.at += 2;
                Ok(one("exthdr", json!({ "name": second })))
            }
            "hbh" | "rt" | "frag" | "dst" | "mh" => {
                self.at += 2;
                Ok(one("exthdr", json!({ "name": word, "field": second })))
            }
            "fib" => self.fib(),
            "numgen" | "jhash" | "symhash" => self.hash(&word),
            "socket" => {
                self.at += 2;
                if second == "cgroupv2" {
                    self.expect_word("level")?;
                    let level = self.number("a level")?;
                    return Ok(one("socket", json!({ "key": second, "level": level })));
                }
                Ok(one("socket", json!({ "key": second })))
            }
            "osf" => {
                self.at += 1;
                let mut out = Map::new();
                if self.take_word("ttl") {
                    out.insert("ttl".into(), json!(self.text("loose or skip")?));
                }
                out.insert("key".into(), json!(self.text("name or version")?));
                Ok(one("osf", Value::Object(out)))
            }
            "ipsec" => {
                self.at += 2;
                let mut out = Map::new();
                out.insert("dir".into(), json!(second));
                out.insert(
                    "spnum".into(),
                    json!(if self.take_word("spnum") { self.number("a number")? } else { 0 }),
                );
                for family in ["ip", "ip6"] {
                    if self.take_word(family) {
                        out.insert("family".into(), json!(family));
                    }
                }
                out.insert("key".into(), json!(self.text("a key of ipsec")?));
                Ok(one("ipsec", Value::Object(out)))
            }
            raw if raw.starts_with('@') => {
                let base = raw.trim_start_matches('@').to_owned();
                if !matches!(base.as_str(), "ll" | "nh" | "th" | "ih") {
                    return self.wrong("an expression");
                }
                self.at += 1;
                self.expect_sign(",")?;
                let offset = self.number("an offset in bits")?;
                self.expect_sign(",")?;
                let len = self.number("a length in bits")?;
                Ok(one("payload", json!({ "base": base, "offset": offset, "len": len })))
            }
            header if HEADERS.contains(&header) && !second.is_empty() => {
                self.at += 2;
                let mut field = second;
                // Of ARP both protocols' addresses have a name.
                if header == "arp" && matches!(field.as_str(), "saddr" | "daddr") {
                    field = format!("{field} {}", self.text("ip or ether")?);
                }
                Ok(one("payload", json!({ "protocol": header, "field": field })))
            }
            _ => self.wrong("an expression"),
        }
    }

    fn ct_key(&mut self) -> Parsed<Value> {
        self.at += 1;
        let mut out = Map::new();
        for direction in ["original", "reply"] {
            if self.take_word(direction) {
                out.insert("dir".into(), json!(direction));
            }
        }
        let mut key = self.text("a key of ct")?;
        if matches!(key.as_str(), "ip" | "ip6") {
            key = format!("{key} {}", self.text("saddr or daddr")?);
        }
        out.insert("key".into(), json!(key));
        Ok(one("ct", Value::Object(out)))
    }

    fn fib(&mut self) -> Parsed<Value> {
        self.at += 1;
        let mut flags = vec![self.text("saddr, daddr, mark, iif or oif")?];
        while self.take_sign(".") {
            flags.push(self.text("saddr, daddr, mark, iif or oif")?);
        }
        let result = self.text("oif, oifname or type")?;
        Ok(one("fib", json!({ "result": result, "flags": flags })))
    }

    fn hash(&mut self, word: &str) -> Parsed<Value> {
        self.at += 1;
        let mut out = Map::new();
        match word {
            "numgen" => _ = out.insert("mode".into(), json!(self.text("inc or random")?)),
            "jhash" => _ = out.insert("expr".into(), self.concat()?),
            _ => {}
        }
        self.expect_word("mod")?;
        out.insert("mod".into(), json!(self.number("a number")?));
        if self.take_word("seed") {
            out.insert("seed".into(), json!(self.number("a number")?));
        }
        if self.take_word("offset") {
            out.insert("offset".into(), json!(self.number("a number")?));
        } else if word == "numgen" {
            out.insert("offset".into(), json!(0));
        }
        Ok(one(word, Value::Object(out)))
    }

    /// A value behind a comparison: flags may be several, joined by commas.
    fn value_for(&mut self, left: &Value) -> Parsed<Value> {
        let parenthesis = self.take_sign("(");
        if parenthesis {
            return self.flag_bits();
        }
        let first = self.value()?;
        if !is_flags(left) || !self.is_sign(",") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take_sign(",") {
            all.push(self.value()?);
        }
        Ok(Value::Array(all))
    }

    /// A number, a word, an address, a prefix, a range, `@SET`.
    pub(super) fn value(&mut self) -> Parsed<Value> {
        match self.peek().cloned() {
            Some(Token::Quoted(text)) => {
                self.at += 1;
                if self.take_sign("-") {
                    let to = self.text("the end of the range")?;
                    return Ok(one("range", json!([text, to])));
                }
                Ok(json!(text))
            }
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(scalar_or_range(&word))
            }
            _ => self.wrong("a value"),
        }
    }

    /// `{ ... }` or `@NAME`.
    fn set_or_name(&mut self) -> Parsed<Value> {
        if !self.is_sign("{") {
            return Ok(json!(self.text("a set")?));
        }
        Ok(one("set", Value::Array(self.elements()?)))
    }

    /// `{ element, element }`: values, or pairs of key and data.
    pub(super) fn elements(&mut self) -> Parsed<Vec<Value>> {
        self.expect_sign("{")?;
        let mut all = Vec::new();
        loop {
            while self.take_sign("\n") {}
            if self.take_sign("}") {
                return Ok(all);
            }
            all.push(self.element()?);
            while self.take_sign("\n") {}
            if !self.take_sign(",") && !self.is_sign("}") {
                return self.wrong(", or }");
            }
        }
    }

    fn element(&mut self) -> Parsed<Value> {
        let mut parts = vec![self.value()?];
        while self.take_sign(".") {
            parts.push(self.value()?);
        }
        let key =
            if let [only] = parts.as_slice() { only.clone() } else { one("concat", Value::Array(parts)) };
        let mut elem = Map::new();
        loop {
            if self.take_word("timeout") || self.is_word("expires") {
                let name = if self.take_word("expires") { "expires" } else { "timeout" };
                let word = self.text("a time")?;
                let Some(ms) = duration(&word) else { return self.wrong("a time such as 30s") };
                elem.insert(name.into(), json!(ms / 1000));
            } else if self.take_word("comment") {
                elem.insert("comment".into(), json!(self.text("the comment")?));
            } else if self.is_word("counter") {
                let Value::Object(counter) = self.counter()? else { continue };
                elem.extend(counter);
            } else if self.take_word("limit") {
                let Value::Object(limit) = self.limit()? else { continue };
                elem.extend(limit);
            } else if self.take_word("quota") {
                let Value::Object(quota) = self.quota()? else { continue };
                elem.extend(quota);
            } else if self.is_word("ct") || self.is_word("last") {
                let Value::Object(statement) = self.statement()? else { continue };
                elem.extend(statement);
            } else {
                break;
            }
        }
        let key = if elem.is_empty() {
            key
        } else {
            elem.insert("val".into(), key);
            one("elem", Value::Object(elem))
        };
        if !self.take_sign(":") {
            return Ok(key);
        }
        let data = match self.peek() {
            Some(Token::Word(word))
                if matches!(word.as_str(), "accept" | "drop" | "return" | "continue" | "jump" | "goto") =>
            {
                self.statement()?
            }
            _ => {
                let mut parts = vec![self.value()?];
                while self.take_sign(".") {
                    parts.push(self.value()?);
                }
                if let [only] = parts.as_slice() { only.clone() } else { one("concat", Value::Array(parts)) }
            }
        };
        Ok(json!([key, data]))
    }
}

/// Whether several values of the left side may stand side by side.
fn is_flags(left: &Value) -> bool {
    let masked = left.get("&").and_then(|pair| pair.get(0));
    let left = masked.unwrap_or(left);
    let ct = left.get("ct").and_then(|ct| ct.get("key")).and_then(Value::as_str);
    let payload = left.get("payload").and_then(|payload| payload.get("field")).and_then(Value::as_str);
    matches!(ct, Some("state" | "status" | "label" | "event")) || payload == Some("flags")
}

fn is_time(left: &Value) -> bool {
    left.get("ct").and_then(|ct| ct.get("key")).and_then(Value::as_str) == Some("expiration")
}

/// Whether the left side is a realm or a device's number, which libnftables writes as text.
fn is_named(left: &Value) -> bool {
    let key = |of: &str, key: &str| left.get(of).and_then(|left| left.get(key)).and_then(Value::as_str);
    key("meta", "key") == Some("rtclassid")
        || key("rt", "key") == Some("classid")
        || key("fib", "result") == Some("oif")
}

/// Changes a value, or every value of a set, the keys of a map among them.
fn each_value(value: &mut Value, change: &dyn Fn(&mut Value)) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(all)) = object.get_mut("set") {
                all.iter_mut().for_each(|one| match one {
                    Value::Array(pair) => pair.iter_mut().take(1).for_each(change),
                    one => change(one),
                });
            }
        }
        value => change(value),
    }
}

/// A decimal or hexadecimal number.
pub(super) fn integer(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// `1d2h3m4s5ms` in milliseconds; a plain number is seconds.
pub(super) fn duration(word: &str) -> Option<u64> {
    if let Ok(seconds) = word.parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let mut total = 0_u64;
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let size = match unit {
            "w" => 604_800_000,
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(size)?)?;
        rest = behind;
    }
    Some(total)
}

/// A word as a value: a number, a boolean, text, a prefix or a range of two.
fn scalar_or_range(word: &str) -> Value {
    if let Some((from, to)) = range(word) {
        return one("range", json!([scalar(from), scalar(to)]));
    }
    if let Some((address, length)) = word.split_once('/')
        && let Ok(length) = length.parse::<u8>()
        && (address.parse::<std::net::IpAddr>().is_ok() || integer(address).is_some())
    {
        return one("prefix", json!({ "addr": scalar(address), "len": length }));
    }
    scalar(word)
}

fn scalar(word: &str) -> Value {
    match (word, integer(word)) {
        ("exists", _) => json!(true),
        ("missing", _) => json!(false),
        (_, Some(number)) => json!(number),
        _ => json!(word),
    }
}

/// Two values with a `-` between them: numbers, addresses or hardware addresses.
fn range(word: &str) -> Option<(&str, &str)> {
    let (from, to) = word.split_once('-')?;
    let plain = |text: &str| {
        integer(text).is_some()
            || text.parse::<std::net::IpAddr>().is_ok()
            || (text.len() == 17 && text.split(':').count() == 6)
    };
    (plain(from) && plain(to)).then_some((from, to))
}

/// `ADDRESS:PORT`, `[ADDRESS]:PORT`, `:PORT`, either with ranges.
fn split_port(word: &str) -> (Option<String>, Option<String>) {
    if let Some(port) = word.strip_prefix(':').filter(|rest| !rest.starts_with(':')) {
        return (None, Some(port.to_owned()));
    }
    if let Some(rest) = word.strip_prefix('[')
        && let Some((address, port)) = rest.split_once(']')
    {
        let mut address = address.to_owned();
        let mut port = port;
        // A range of two addresses, each in brackets.
        if let Some((second, behind)) = port.strip_prefix("-[").and_then(|rest| rest.split_once(']')) {
            address = format!("{address}-{second}");
            port = behind;
        }
        return (Some(address), port.strip_prefix(':').map(str::to_owned));
    }
    if word.matches(':').count() == 1
        && let Some((address, port)) = word.split_once(':')
    {
        return (Some(address.to_owned()), Some(port.to_owned()));
    }
    (Some(word.to_owned()), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules as nft 1.0.6 listed them, each as text and as JSON.
    const LISTED: &str = include_str!("../../../fixtures/nft-rules.json");

    #[test]
    fn rules_read_as_nft_itself_writes_them_in_json() {
        let listed: Vec<(String, String, Value)> = serde_json::from_str(LISTED).unwrap();
        let mut wrong = Vec::new();
        for (family, text, expected) in &listed {
            let found = rule(text).map(|(statements, _)| super::super::json::finish(family, statements));
            match found {
                Ok(found) if Value::Array(found.clone()) == *expected => {}
                other => wrong.push(format!("{text}\n  {other:?}\n  {expected}")),
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), listed.len(), wrong.join("\n"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, word) in [
            ("tcp dport", "end of command"),
            ("tcp dport 22 nonsense", "nonsense"),
            ("limit rate x", "end of command"),
        ] {
            assert_eq!(rule(text).unwrap_err().word, word, "{text}");
        }
    }

    #[test]
    fn times_read_in_every_unit() {
        assert_eq!(duration("1d2h3m4s5ms"), Some(93_784_005));
        assert_eq!((duration("30"), duration("5x"), duration("s")), (Some(30_000), None, None));
    }
}
