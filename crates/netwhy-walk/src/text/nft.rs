//! Turns the expressions of a rule back into the words of nft(8).
//!
//! Registers hold what was loaded into them, in words. A comparison or a lookup turns such words into a
//! statement. Statements that only say which protocol the next header field belongs to are left out again
//! when that field names the protocol itself.
//!
//! Longer than 1,000 lines because every kind of expression reads and writes the one register state.

use netwhy_facts::nft::{
    BitwiseOp, CmpOp, Data, Expr, Nft, NftElem, NftFamily, NftRule, NftSet, NftVerdict, PayloadBase,
};

use super::fields::{self, Header};
use super::values::{self, Style, Ty, bytes_unit, duration, number, ordered, quoted};

/// What a register holds.
#[derive(Debug, Clone)]
struct Sym {
    what: What,
    ty: Ty,
    /// Bytes it fills.
    len: u32,
    /// Converted to network order.
    big_endian: bool,
    /// Bits taken: mask and what is xored after.
    mask: Option<(Vec<u8>, Vec<u8>)>,
    /// Shifts, in words.
    tail: String,
    /// The protocol it tells, when it is one: `meta l4proto` and its like.
    tells: Option<Tells>,
}

#[derive(Debug, Clone)]
enum What {
    /// In words.
    Words(String),
    /// Header bytes: base, offset, length.
    Payload(PayloadBase, u32, u32),
    /// IPv6 extension header: number, offset, length.
    Extension(u8, u32, u32),
    Const(Vec<u8>),
}

/// What a comparison with a constant would settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Network,
    Transport,
    Ether,
}

/// How one field of a set's key is written.
#[derive(Debug, Clone, Copy)]
struct Column {
    ty: Ty,
    big_endian: bool,
    len: u32,
    /// Bits below the field in what was loaded.
    shift: u32,
}

/// A finished part of the rule.
struct Stmt {
    text: String,
    /// Left out when a later field implies it.
    implied_by: Option<Tells>,
    gone: bool,
}

/// Decompiles one rule.
pub(crate) struct Decompiler<'a> {
    nft: &'a Nft,
    rule: &'a NftRule,
    style: &'a dyn Style,
    regs: Vec<(u32, Sym)>,
    out: Vec<Stmt>,
    network: Option<Header>,
    transport: Option<Header>,
    vlan: bool,
    /// Whether the link header is known to be Ethernet's.
    ether: bool,
    /// The name of the ICMP field that the message type just told gives to its place.
    renamed: Option<&'static str>,
    /// Whether counters and the like are told with their numbers.
    state: bool,
}

/// First 4-byte word of a register.
fn word(reg: u32) -> u32 {
    match reg {
        1..=4 => (reg - 1) * 4,
        n => n.saturating_sub(8),
    }
}

/// Zero-padded text of an attribute.
fn is_zero(b: &[u8]) -> bool {
    b.iter().all(|b| *b == 0)
}

/// Length of the run of ones a mask begins with, when nothing else is set.
fn prefix_len(mask: &[u8]) -> Option<u32> {
    let ones = mask
        .iter()
        .map(|b| b.leading_ones())
        .fold((0, true), |(n, open), l| if open { (n + l, l == 8) } else { (n, false) });
    let total: u32 = mask.iter().map(|b| b.count_ones()).sum();
    (ones.0 == total).then_some(total)
}

/// Bytes of a hostile program may be any number: too many stay too many.
fn in_bits(bytes: impl std::borrow::Borrow<u32>) -> u32 {
    bytes.borrow().saturating_mul(8)
}

/// First set bit and number of bits of a mask that is one run.
fn run_of(mask: &[u8]) -> Option<(u32, u32)> {
    let bit = |i: u32| mask.get((i / 8) as usize).is_some_and(|b| b & (0x80 >> (i % 8)) != 0);
    let total = u32::try_from(mask.len()).ok()? * 8;
    let first = (0..total).find(|i| bit(*i))?;
    let last = (0..total).rfind(|i| bit(*i))?;
    (first..=last).all(bit).then_some((first, last - first + 1))
}

/// Bytes shifted right so that the run of a mask ends at bit 0.
fn shifted(data: &[u8], mask: &[u8]) -> Option<Vec<u8>> {
    let n = number(data)?;
    let (first, bits) = run_of(mask)?;
    let down = u32::try_from(mask.len()).ok()? * 8 - first - bits;
    let v = n.checked_shr(down)?;
    Some(vec![u8::try_from(v & 0xff).ok()?]).filter(|_| v <= 0xff).or_else(|| Some(v.to_be_bytes().to_vec()))
}

pub(super) fn verdict_text(v: &NftVerdict) -> String {
    match v {
        NftVerdict::Accept => "accept".into(),
        NftVerdict::Drop => "drop".into(),
        NftVerdict::Queue(n) => format!("queue to {n}"),
        NftVerdict::Continue => "continue".into(),
        NftVerdict::Break => "break".into(),
        NftVerdict::Return => "return".into(),
        NftVerdict::Jump(c) => format!("jump {c}"),
        NftVerdict::Goto(c) => format!("goto {c}"),
        NftVerdict::Other(n) => format!("verdict {n}"),
    }
}

fn nat_flags(flags: u32) -> String {
    let mut words = Vec::new();
    for (bit, word) in [(4, "random"), (16, "fully-random"), (8, "persistent")] {
        if flags & bit != 0 {
            words.push(word);
        }
    }
    if words.is_empty() { String::new() } else { format!(" {}", words.join(",")) }
}

impl<'a> Decompiler<'a> {
    pub(crate) fn new(nft: &'a Nft, rule: &'a NftRule, style: &'a dyn Style) -> Self {
        let network = match rule.family {
            NftFamily::Ip => Some(Header::Ip),
            NftFamily::Ip6 => Some(Header::Ip6),
            NftFamily::Arp => Some(Header::Arp),
            _ => None,
        };
        Self {
            nft,
            rule,
            style,
            regs: Vec::new(),
            out: Vec::new(),
            network,
            transport: None,
            vlan: false,
            renamed: None,
            ether: matches!(rule.family, NftFamily::Bridge | NftFamily::Netdev),
            state: true,
        }
    }

    /// Leaves out what changes while the rule works.
    pub(crate) fn without_state(mut self) -> Self {
        self.state = false;
        self
    }

    /// The rule's text.
    pub(crate) fn text(mut self) -> String {
        let exprs = &self.rule.exprs;
        let mut i = 0;
        while let Some(expr) = exprs.get(i) {
            i += 1 + self.expr(expr, exprs.get(i + 1..).unwrap_or_default());
        }
        let mut words: Vec<String> = self.out.into_iter().filter(|s| !s.gone).map(|s| s.text).collect();
        if let Some(comment) = &self.rule.comment {
            words.push(format!("comment {}", quoted(comment)));
        }
        words.join(" ")
    }

    fn say(&mut self, text: impl Into<String>) {
        self.out.push(Stmt { text: text.into(), implied_by: None, gone: false });
    }

    fn put(&mut self, reg: u32, sym: Sym) {
        let (first, words) = (word(reg), sym.len.div_ceil(4).max(1));
        let end = |from: u32, words: u32| from.saturating_add(words);
        self.regs.retain(|(w, s)| end(*w, s.len.div_ceil(4).max(1)) <= first || *w >= end(first, words));
        self.regs.push((first, sym));
    }

    fn load(&self, reg: u32) -> Option<Sym> {
        let at = word(reg);
        self.regs.iter().find(|(w, _)| *w == at).map(|(_, s)| s.clone())
    }

    /// The values a concatenation of `len` bytes is made of.
    fn parts(&self, reg: u32, len: u32) -> Vec<Sym> {
        let (mut at, end) = (word(reg), word(reg).saturating_add(len.div_ceil(4)));
        let mut out = Vec::new();
        while at < end {
            let Some((_, sym)) = self.regs.iter().find(|(w, _)| *w == at) else { break };
            at = at.saturating_add(sym.len.div_ceil(4).max(1));
            out.push(sym.clone());
        }
        out
    }

    fn words(&mut self, words: impl Into<String>, ty: Ty, len: u32) -> Sym {
        Sym {
            what: What::Words(words.into()),
            ty,
            len,
            big_endian: false,
            mask: None,
            tail: String::new(),
            tells: None,
        }
    }

    /// Marks the statement that told a protocol as implied.
    fn imply(&mut self, tells: Tells) {
        if let Some(s) = self.out.iter_mut().rev().find(|s| s.implied_by == Some(tells)) {
            s.gone = true;
        }
    }

    /// The header a payload access is in, by what is known so far.
    fn header(&self, base: PayloadBase) -> Option<Header> {
        match base {
            PayloadBase::Link if self.vlan => Some(Header::Vlan),
            PayloadBase::Link => self.ether.then_some(Header::Ether),
            PayloadBase::Network => self.network,
            PayloadBase::Transport => Some(self.transport.unwrap_or(Header::Th)),
            _ => None,
        }
    }

    /// Names header bits; the second part is the field's width when the access is only its beginning.
    fn field(&mut self, base: PayloadBase, at: u32, bits: u32) -> Option<(String, Ty, Option<u32>)> {
        let header = self.header(base)?;
        let mut found = header.exactly(at, bits).map(|f| (f, None));
        if found.is_none() {
            found = header.begins(at, bits).filter(|_| bits.is_multiple_of(8)).map(|f| (f, Some(f.2)));
        }
        let mut named = header;
        if found.is_none() && base == PayloadBase::Link {
            named = Header::Ether;
            found = named.exactly(at, bits).map(|f| (f, None));
        }
        if found.is_none() && base == PayloadBase::Transport {
            named = Header::Th;
            found = named.exactly(at, bits).map(|f| (f, None));
        }
        let (field, wide) = found?;
        if named == header {
            match base {
                PayloadBase::Network => self.imply(Tells::Network),
                PayloadBase::Transport if named != Header::Th => {
                    self.imply(Tells::Transport);
                    // These two say the family as well.
                    let family = match named {
                        Header::Icmp => Some(Header::Ip),
                        Header::Icmp6 => Some(Header::Ip6),
                        _ => None,
                    };
                    if family.is_some() && family == self.network {
                        self.imply(Tells::Network);
                    }
                }
                PayloadBase::Link => {
                    self.imply(Tells::Ether);
                    // Written with `vlan type`, the protocol it follows stays.
                    if named == Header::Vlan && field.0 != "type" {
                        self.imply(Tells::Network);
                    }
                }
                _ => {}
            }
        }
        let mut word = field.0;
        // Fields of one message type say the type themselves; two share their place with others.
        let of_type = |text: &str| match (text, named, field.0) {
            ("icmpv6 type packet-too-big" | "icmpv6 type 2", Header::Icmp6, "mtu") => Some("mtu"),
            ("icmp type destination-unreachable" | "icmp type 3", Header::Icmp, "sequence") => Some("mtu"),
            ("icmp type redirect" | "icmp type 5", Header::Icmp, "gateway") => Some("gateway"),
            _ => None,
        };
        if let Some(said) = self.out.iter_mut().rfind(|said| !said.gone)
            && let Some(renamed) = of_type(&said.text)
        {
            said.gone = true;
            self.renamed = Some(renamed);
        }
        if matches!(field.0, "sequence" | "mtu" | "gateway") && bits != 32 || field.0 == "gateway" {
            word = self.renamed.unwrap_or(word);
        }
        Some((format!("{} {word}", named.name()), field.3, wide))
    }

    /// Whole-byte fields that together fill the bits, when no single field does.
    fn neighbours(&self, base: PayloadBase, at: u32, bits: u32) -> Option<Vec<(u32, u32)>> {
        let header = self.header(base)?;
        if header == Header::Th || header.exactly(at, bits).is_some() {
            return None;
        }
        let (mut next, end) = (at, at + bits);
        let mut out = Vec::new();
        while next < end {
            let field = header.fields().iter().find(|f| f.1 == next && f.2 % 8 == 0 && next + f.2 <= end)?;
            out.push((next, field.2));
            next += field.2;
        }
        (out.len() > 1).then_some(out)
    }

    fn raw(base: PayloadBase, at: u32, bits: u32) -> String {
        let base = match base {
            PayloadBase::Link => "ll",
            PayloadBase::Network => "nh",
            PayloadBase::Transport => "th",
            PayloadBase::Inner => "ih",
            PayloadBase::Tunnel => "tun",
        };
        format!("@{base},{at},{bits}")
    }

    /// The words of a value as the left side of a relation, its type, and bits to compare (mask).
    fn left(&mut self, sym: &Sym) -> (String, Ty) {
        let (words, ty) = match &sym.what {
            What::Words(w) => (w.clone(), sym.ty),
            What::Payload(base, offset, len) => match self.field(*base, in_bits(offset), in_bits(len)) {
                Some((w, ty, _)) => (w, ty),
                None => (Self::raw(*base, in_bits(offset), in_bits(len)), Ty::Raw),
            },
            What::Extension(kind, offset, len) => {
                self.imply(Tells::Network);
                match fields::exthdr(*kind, in_bits(offset), in_bits(len)) {
                    Some((header, field, ty)) => (format!("{header} {field}"), ty),
                    None => (format!("{kind} @{},{}", in_bits(offset), in_bits(len)), Ty::Raw),
                }
            }
            What::Const(c) => (values::value(sym.ty, c, sym.big_endian, self.style), sym.ty),
        };
        (format!("{words}{}", sym.tail), ty)
    }

    fn value(&self, ty: Ty, bytes: &[u8], big_endian: bool) -> String {
        values::value(ty, bytes, big_endian, self.style)
    }

    fn expr(&mut self, expr: &Expr, rest: &[Expr]) -> usize {
        match expr {
            Expr::Payload { base, offset, len, dreg } => {
                let sym = Sym {
                    what: What::Payload(*base, *offset, *len),
                    ty: Ty::Int,
                    len: *len,
                    big_endian: false,
                    mask: None,
                    tail: String::new(),
                    tells: match (self.header(*base), offset, len) {
                        (Some(Header::Ip), 9, 1) | (Some(Header::Ip6), 6, 1) => Some(Tells::Transport),
                        (Some(Header::Ether | Header::Vlan), 12 | 16, 2) => Some(Tells::Network),
                        _ => None,
                    },
                };
                self.put(*dreg, sym);
            }
            Expr::Meta { key, dreg } => {
                let (name, ty, bare) = fields::meta(*key).unwrap_or(("", Ty::Raw, false));
                let words = match (name, bare) {
                    ("", _) => format!("meta {key}"),
                    (name, true) => name.to_string(),
                    (name, false) => format!("meta {name}"),
                };
                let len = match key {
                    6 | 7 | 17 | 18 | 26 | 27 | 34 => 16,
                    30 => 8,
                    _ => 4,
                };
                let mut sym = self.words(words, ty, len);
                sym.tells = match key {
                    1 | 15 => Some(Tells::Network),
                    8 | 9 => Some(Tells::Ether),
                    16 => Some(Tells::Transport),
                    _ => None,
                };
                self.put(*dreg, sym);
            }
            Expr::Ct { key, dir, dreg } => {
                let (name, ty) = fields::ct(*key, self.network == Some(Header::Ip6)).unwrap_or(("", Ty::Raw));
                let name = if name.is_empty() { key.to_string() } else { name.to_string() };
                let words = match dir {
                    Some(0) => format!("ct original {name}"),
                    Some(_) => format!("ct reply {name}"),
                    None => format!("ct {name}"),
                };
                let len = match key {
                    21 | 22 | 13 | 6 => 16,
                    8 | 9 if ty == Ty::Ip6 => 16,
                    14..=16 => 8,
                    _ => 4,
                };
                if matches!(key, 8 | 9) {
                    self.imply(Tells::Network);
                }
                let sym = self.words(words, ty, len);
                self.put(*dreg, sym);
            }
            Expr::Rt { key, dreg } => {
                let (name, ty, len) = match key {
                    0 => ("rt classid", Ty::Host, 4),
                    1 => ("rt ip nexthop", Ty::Ip4, 4),
                    2 => ("rt ip6 nexthop", Ty::Ip6, 16),
                    3 => ("rt mtu", Ty::Host, 2),
                    _ => ("rt ipsec", Ty::Exists, 1),
                };
                if matches!(key, 1 | 2) {
                    self.imply(Tells::Network);
                }
                let sym = self.words(name, ty, len);
                self.put(*dreg, sym);
            }
            Expr::Socket { key, level, dreg } => {
                let (name, ty, len) = match key {
                    0 => ("socket transparent".to_string(), Ty::Bool, 1),
                    1 => ("socket mark".to_string(), Ty::Mark, 4),
                    2 => ("socket wildcard".to_string(), Ty::Bool, 1),
                    _ => (format!("socket cgroupv2 level {level}"), Ty::Host, 8),
                };
                let sym = self.words(name, ty, len);
                self.put(*dreg, sym);
            }
            Expr::Fib { dreg, result, flags } => {
                let keys: Vec<&str> = [(1, "saddr"), (2, "daddr"), (4, "mark"), (8, "iif"), (16, "oif")]
                    .iter()
                    .filter(|(bit, _)| flags & bit != 0)
                    .map(|(_, w)| *w)
                    .collect();
                let (name, mut ty, len) = match result {
                    1 => ("oif", Ty::IfIndex, 4),
                    2 => ("oifname", Ty::IfName, 16),
                    _ => ("type", Ty::FibType, 4),
                };
                if flags & 32 != 0 {
                    ty = Ty::Exists;
                }
                let sym = self.words(format!("fib {} {name}", keys.join(" . ")), ty, len);
                self.put(*dreg, sym);
            }
            Expr::Exthdr { dreg, hdr_type, offset, len, op, present } => {
                let sym = self.exthdr(*hdr_type, *offset, *len, *op, *present);
                self.put(*dreg, sym);
            }
            Expr::Numgen { dreg, modulus, ng_type, offset } => {
                let kind = if *ng_type == 0 { "inc" } else { "random" };
                let offset = if *offset > 0 { format!(" offset {offset}") } else { String::new() };
                let sym = self.words(format!("numgen {kind} mod {modulus}{offset}"), Ty::Host, 4);
                self.put(*dreg, sym);
            }
            Expr::Hash { sreg, dreg, len, modulus, seed, offset, hash_type } => {
                let mut t = match (hash_type, sreg) {
                    (0, Some(reg)) => {
                        let parts = self.parts(*reg, *len);
                        let words: Vec<String> = parts.iter().map(|s| self.left(s).0).collect();
                        format!("jhash {} mod {modulus}", words.join(" . "))
                    }
                    _ => format!("symhash mod {modulus}"),
                };
                if let (Some(seed), 0) = (seed, hash_type) {
                    t.push_str(&format!(" seed {seed:#x}"));
                }
                if *offset > 0 {
                    t.push_str(&format!(" offset {offset}"));
                }
                let sym = self.words(t, Ty::Host, 4);
                self.put(*dreg, sym);
            }
            Expr::Osf { dreg, ttl, .. } => {
                let ttl = match ttl {
                    1 => " ttl loose",
                    2 => " ttl skip",
                    _ => "",
                };
                let sym = self.words(format!("osf{ttl} name"), Ty::Text, 16);
                self.put(*dreg, sym);
            }
            Expr::Xfrm { key, dir, spnum, dreg } => {
                let dir = if *dir == 0 { "in" } else { "out" };
                let sp = if *spnum > 0 { format!(" spnum {spnum}") } else { String::new() };
                let (name, ty) = match key {
                    1 => ("ip daddr", Ty::Ip4),
                    2 => ("ip6 daddr", Ty::Ip6),
                    3 => ("ip saddr", Ty::Ip4),
                    4 => ("ip6 saddr", Ty::Ip6),
                    5 => ("reqid", Ty::Host),
                    _ => ("spi", Ty::Int),
                };
                let sym = self.words(format!("ipsec {dir}{sp} {name}"), ty, 4);
                self.put(*dreg, sym);
            }
            Expr::Tunnel { key, dreg, .. } => {
                let sym = self.words(if *key == 0 { "tunnel path" } else { "tunnel id" }, Ty::Host, 4);
                self.put(*dreg, sym);
            }
            Expr::Bitwise { sreg, dreg, op, .. } => {
                if let Some(mut sym) = self.load(*sreg) {
                    match op {
                        BitwiseOp::MaskXor { mask, xor } if sym.mask.is_none() => {
                            sym.mask = Some((mask.clone(), xor.clone()));
                        }
                        BitwiseOp::MaskXor { mask, xor } => {
                            let words = self.masked_words(&sym);
                            let ty = sym.ty;
                            sym = Sym {
                                mask: Some((mask.clone(), xor.clone())),
                                ..self.words(words, ty, sym.len)
                            };
                        }
                        BitwiseOp::Lshift(n) => sym.tail.push_str(&format!(" << {n}")),
                        BitwiseOp::Rshift(n) => sym.tail.push_str(&format!(" >> {n}")),
                        BitwiseOp::And { sreg2 } | BitwiseOp::Or { sreg2 } | BitwiseOp::Xor { sreg2 } => {
                            let sign = match op {
                                BitwiseOp::And { .. } => "&",
                                BitwiseOp::Or { .. } => "|",
                                _ => "^",
                            };
                            let other = self.load(*sreg2).map(|s| self.left(&s).0).unwrap_or_default();
                            sym.tail.push_str(&format!(" {sign} {other}"));
                        }
                    }
                    self.put(*dreg, sym);
                }
            }
            Expr::Byteorder { sreg, dreg, op, .. } => {
                if let Some(mut sym) = self.load(*sreg) {
                    sym.big_endian = *op == 1;
                    self.put(*dreg, sym);
                }
            }
            Expr::Immediate { dreg, data: Data::Value(bytes) } => {
                let len = u32::try_from(bytes.len()).unwrap_or(4);
                let sym = Sym { what: What::Const(bytes.clone()), ..self.words("", Ty::Raw, len) };
                self.put(*dreg, sym);
            }
            Expr::Immediate { data: Data::Verdict(v), .. } => self.say(verdict_text(v)),
            Expr::Cmp { op, sreg, data } => return self.cmp(*op, *sreg, data, rest),
            Expr::Range { negate, sreg, from, to } => {
                if let Some(sym) = self.load(*sreg) {
                    let (left, ty) = self.left(&sym);
                    let not = if *negate { "!= " } else { "" };
                    let from = self.value(ty, from, sym.big_endian);
                    let to = self.value(ty, to, sym.big_endian);
                    self.say(format!("{left} {not}{from}-{to}"));
                } else {
                    self.say("[range]");
                }
            }
            Expr::Lookup { set, sreg, dreg, invert } => self.lookup(set, *sreg, *dreg, *invert),
            other => self.statement(other),
        }
        0
    }

    fn exthdr(&mut self, kind: u8, offset: u32, len: u32, op: u32, present: bool) -> Sym {
        match op {
            1 => {
                let name = fields::tcp_option(kind);
                self.imply(Tells::Transport);
                if present {
                    return self.words(format!("tcp option {name}"), Ty::Exists, 1);
                }
                match fields::tcp_option_field(kind, offset, len) {
                    Some(f) => self.words(format!("tcp option {name} {f}"), Ty::Int, len),
                    None => self.words(
                        format!("tcp option @{kind},{},{}", in_bits(offset), in_bits(len)),
                        Ty::Raw,
                        len,
                    ),
                }
            }
            0 => {
                if present {
                    self.imply(Tells::Network);
                    let name = fields::exthdr_name(kind).map_or_else(|| kind.to_string(), str::to_string);
                    return self.words(format!("exthdr {name}"), Ty::Exists, 1);
                }
                Sym { what: What::Extension(kind, offset, len), ..self.words("", Ty::Int, len) }
            }
            2 => {
                let name = match kind {
                    131 => "lsrr".to_string(),
                    7 => "rr".to_string(),
                    137 => "ssrr".to_string(),
                    148 => "ra".to_string(),
                    n => n.to_string(),
                };
                self.imply(Tells::Network);
                if present {
                    return self.words(format!("ip option {name}"), Ty::Exists, len);
                }
                match fields::ip_option_field(kind, offset, len) {
                    Some(field) => self.words(format!("ip option {name} {field}"), Ty::Int, len),
                    None => self.words(format!("ip option {name}"), Ty::Int, len),
                }
            }
            3 => {
                self.imply(Tells::Transport);
                let name = fields::sctp_chunk(kind);
                self.words(format!("sctp chunk {name}"), if present { Ty::Exists } else { Ty::Int }, len)
            }
            _ => self.words(format!("dccp option {kind}"), if present { Ty::Exists } else { Ty::Int }, len),
        }
    }

    /// A masked value in words: `meta mark & 0xff`, `meta mark | 0x10`.
    fn masked_words(&mut self, sym: &Sym) -> String {
        let (left, ty) = self.left(sym);
        let Some((mask, xor)) = &sym.mask else { return left };
        let ty = if ty == Ty::Port { Ty::Int } else { ty };
        let inverse: Vec<u8> = mask.iter().map(|m| !m).collect();
        if is_zero(xor) {
            return format!("{left} & {}", self.value(ty, mask, sym.big_endian));
        }
        if inverse == *xor {
            return format!("{left} | {}", self.value(ty, xor, sym.big_endian));
        }
        if is_zero(&inverse) {
            return format!("{left} ^ {}", self.value(ty, xor, sym.big_endian));
        }
        if mask.iter().zip(xor).all(|(m, x)| m & x == 0) {
            let both: Vec<u8> = mask.iter().zip(xor).map(|(m, x)| m | x).collect();
            let (m, x) = (self.value(ty, &both, sym.big_endian), self.value(ty, xor, sym.big_endian));
            return format!("{left} & {m} | {x}");
        }
        let (m, x) = (self.value(ty, mask, sym.big_endian), self.value(ty, xor, sym.big_endian));
        format!("{left} & {m} ^ {x}")
    }

    fn cmp(&mut self, op: CmpOp, sreg: u32, data: &[u8], rest: &[Expr]) -> usize {
        let Some(sym) = self.load(sreg) else {
            self.say("[cmp]");
            return 0;
        };
        let sign = match op {
            CmpOp::Eq => "",
            CmpOp::Neq => "!= ",
            CmpOp::Lt => "< ",
            CmpOp::Lte => "<= ",
            CmpOp::Gt => "> ",
            CmpOp::Gte => ">= ",
        };
        // A range is two comparisons of one value.
        if let (CmpOp::Gte, Some(Expr::Cmp { op: CmpOp::Lte, sreg: second, data: to })) = (op, rest.first())
            && *second == sreg
        {
            let (left, ty) = self.left(&sym);
            let ty = if ty == Ty::Port { Ty::Int } else { ty };
            let (from, to) = (self.value(ty, data, sym.big_endian), self.value(ty, to, sym.big_endian));
            self.say(format!("{left} {from}-{to}"));
            return 1;
        }
        if let Some((mask, _)) = sym.mask.clone().filter(|(_, x)| is_zero(x)) {
            self.cmp_masked(op, sign, &sym, &mask, data);
            return 0;
        }
        if sym.mask.is_some() {
            let left = self.masked_words(&sym);
            let value = self.value(sym.ty, data, sym.big_endian);
            let sign = if op == CmpOp::Eq { "== " } else { sign };
            self.say(format!("{left} {sign}{value}"));
            return 0;
        }
        // The first bytes of an address: a prefix.
        if let What::Payload(base, offset, len) = &sym.what
            && matches!(op, CmpOp::Eq | CmpOp::Neq)
            && let Some((words, ty, Some(width))) = self.field(*base, in_bits(offset), in_bits(len))
        {
            let mut whole = data.to_vec();
            whole.resize((width / 8) as usize, 0);
            let value = self.value(ty, &whole, false);
            self.say(format!("{words} {sign}{value}/{}", in_bits(len)));
            return 0;
        }
        // Two fields side by side, compared at once.
        if let (What::Payload(base, offset, len), CmpOp::Eq) = (&sym.what, op)
            && let Some(parts) = self.neighbours(*base, in_bits(offset), in_bits(len))
        {
            for (at, bits) in parts {
                let part = Sym { what: What::Payload(*base, at / 8, bits / 8), len: bits / 8, ..sym.clone() };
                let from = (at / 8 - offset) as usize;
                let bytes = data.get(from..from + (bits / 8) as usize).unwrap_or_default();
                let (left, ty) = self.left(&part);
                let value = self.value(ty, bytes, false);
                self.say(format!("{left} {value}"));
            }
            return 0;
        }
        self.learn(&sym, op, data);
        let (left, ty) = self.left(&sym);
        let mut value = self.value(ty, data, sym.big_endian);
        if ty == Ty::IfIndex && left.starts_with("fib ") && is_zero(data) {
            value = match op {
                CmpOp::Neq => "!= 0".into(),
                _ if self.style.numeric() => "0".into(),
                _ => "missing".into(),
            };
            self.say(format!("{left} {value}"));
            return 0;
        }
        if ty == Ty::Mark && op != CmpOp::Eq && op != CmpOp::Neq {
            value = self.value(Ty::Mark, data, sym.big_endian);
        }
        // `ip protocol` is only ever written by people: it stays.
        let by_hand = matches!(sym.what, What::Payload(PayloadBase::Network, ..));
        let implied_by = if op == CmpOp::Eq && !by_hand { sym.tells } else { None };
        let sign = if op == CmpOp::Eq && ty.is_flags() { "== " } else { sign };
        self.out.push(Stmt { text: format!("{left} {sign}{value}"), implied_by, gone: false });
        0
    }

    /// What an equality settles about later headers.
    fn learn(&mut self, sym: &Sym, op: CmpOp, data: &[u8]) {
        if op != CmpOp::Eq {
            return;
        }
        match (sym.tells, data) {
            (Some(Tells::Transport), [proto]) => self.transport = Header::of_proto(*proto),
            (Some(Tells::Ether), _) => self.ether = ordered(Ty::HwType, false, data) == Some(1),
            (Some(Tells::Network), [2]) => self.network = Some(Header::Ip),
            (Some(Tells::Network), [10]) => self.network = Some(Header::Ip6),
            (Some(Tells::Network), [0x08, 0x00]) => self.network = Some(Header::Ip),
            (Some(Tells::Network), [0x86, 0xdd]) => self.network = Some(Header::Ip6),
            (Some(Tells::Network), [0x08, 0x06]) => self.network = Some(Header::Arp),
            (Some(Tells::Network), [0x81, 0x00] | [0x88, 0xa8]) => self.vlan = true,
            _ => {}
        }
    }

    fn cmp_masked(&mut self, op: CmpOp, sign: &str, sym: &Sym, mask: &[u8], data: &[u8]) {
        // A part of a byte that is a field of its own: dscp, version, more-fragments.
        if let What::Payload(base, offset, _) = &sym.what
            && let Some((first, bits)) = run_of(mask)
        {
            if let Some((words, ty, None)) = self.field(*base, in_bits(offset).saturating_add(first), bits) {
                let whole = in_bits(sym.len) == bits;
                if !whole {
                    let value = shifted(data, mask).unwrap_or_else(|| data.to_vec());
                    self.say(format!("{words} {sign}{}", self.value(ty, &value, false)));
                    return;
                }
            }
            if let (Some((words, ty @ (Ty::Ip4 | Ty::Ip6 | Ty::Mac), None)), Some(len)) =
                (self.field(*base, in_bits(offset), in_bits(sym.len)), prefix_len(mask))
                && matches!(op, CmpOp::Eq | CmpOp::Neq)
                && ty != Ty::Mac
            {
                self.say(format!("{words} {sign}{}/{len}", self.value(ty, data, false)));
                return;
            }
        }
        if let What::Extension(kind, offset, _) = &sym.what
            && let Some((first, bits)) = run_of(mask)
            && let Some((header, field, ty)) =
                fields::exthdr(*kind, in_bits(offset).saturating_add(first), bits)
            && let Some(value) = shifted(data, mask)
        {
            self.imply(Tells::Network);
            self.say(format!("{header} {field} {sign}{}", self.value(ty, &value, false)));
            return;
        }
        let (left, ty) = self.left(sym);
        if ty == Ty::CtLabel
            && is_zero(data)
            && let Some(bit) = values::label(mask)
        {
            let sign = if op == CmpOp::Eq { "! " } else { "" };
            self.say(format!("{left} {sign}{bit}"));
            return;
        }
        // Flags: any of them, or these out of those.
        if ty.is_flags() && !matches!(&sym.what, What::Payload(..) if ty != Ty::TcpFlags) {
            if op == CmpOp::Neq && is_zero(data) {
                let value = self.value(ty, mask, sym.big_endian);
                self.say(format!("{left} {value}"));
                return;
            }
            if op == CmpOp::Eq && is_zero(data) {
                let value = self.value(ty, mask, sym.big_endian);
                self.say(format!("{left} ! {value}"));
                return;
            }
            if ty == Ty::TcpFlags {
                let (value, mask) = (self.value(ty, data, false), self.value(ty, mask, false));
                self.say(format!("{left} {sign}{value} / {mask}"));
                return;
            }
        }
        if ty == Ty::IfName {
            let value = self.value(ty, data, false);
            self.say(format!("{left} {sign}{value}"));
            return;
        }
        let mask = self.value(ty, mask, sym.big_endian);
        let value = self.value(ty, data, sym.big_endian);
        let sign = if op == CmpOp::Eq { "== " } else { sign };
        self.say(format!("{left} & {mask} {sign}{value}"));
    }

    fn set(&self, name: &str) -> Option<&'a NftSet> {
        self.nft.set(self.rule.family, &self.rule.table, name)
    }

    fn lookup(&mut self, name: &str, sreg: u32, dreg: Option<u32>, invert: bool) {
        let set = self.set(name);
        let len = set.map_or(4, |s| s.key_len);
        let parts = self.parts(sreg, len);
        if parts.is_empty() {
            self.say("[lookup]");
            return;
        }
        let mut types: Vec<Column> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for part in &parts {
            // A masked field of its own, such as dscp.
            let masked = match (&part.what, &part.mask) {
                (What::Payload(base, offset, _), Some((mask, xor))) if is_zero(xor) => run_of(mask)
                    .and_then(|(first, bits)| self.field(*base, in_bits(offset).saturating_add(first), bits))
                    .filter(|f| f.2.is_none()),
                _ => None,
            };
            let mut shift = 0;
            let (w, ty) = match masked {
                Some((w, ty, _)) => {
                    let mask = part.mask.as_ref().map(|m| m.0.as_slice()).unwrap_or_default();
                    shift = mask.iter().rev().take_while(|b| **b == 0).count() as u32 * 8
                        + mask.iter().rev().find(|b| **b != 0).map_or(0, |b| b.trailing_zeros());
                    (w, ty)
                }
                None if part.mask.is_some() => (self.masked_words(part), part.ty),
                None => self.left(part),
            };
            words.push(w);
            types.push(Column { ty, big_endian: part.big_endian, len: part.len, shift });
        }
        let left = words.join(" . ");
        let shown = match set {
            Some(s) if s.flags & 1 != 0 => self.elements(s, &types),
            _ => format!("@{name}"),
        };
        match dreg {
            None => {
                let not = if invert { "!= " } else { "" };
                self.say(format!("{left} {not}{shown}"));
            }
            Some(0) => self.say(format!("{left} vmap {shown}")),
            Some(dreg) => {
                let data = set.and_then(|s| s.data_type).unwrap_or(0);
                let len = set.and_then(|s| s.data_len).unwrap_or(4);
                let ty = Ty::of_number(data).unwrap_or(Ty::Raw);
                let sym = self.words(format!("{left} map {shown}"), ty, len);
                self.put(dreg, sym);
            }
        }
    }

    /// Elements of an anonymous set in braces, in the order of their values.
    fn elements(&self, set: &NftSet, types: &[Column]) -> String {
        let interval = set.flags & 4 != 0;
        let concat = types.len() > 1;
        let first =
            types.first().copied().unwrap_or(Column { ty: Ty::Raw, big_endian: false, len: 4, shift: 0 });
        let order = |e: &NftElem| -> (u64, Vec<u8>) {
            let n =
                if concat { 0 } else { ordered(first.ty, first.big_endian || interval, &e.key).unwrap_or(0) };
            let mut key = e.key.clone();
            if first.ty == Ty::IfName && !interval && !concat {
                key.reverse();
            }
            (n, key)
        };
        let mut elems: Vec<&NftElem> = set.elements.iter().filter(|e| e.flags & 2 == 0).collect();
        // Ranges of concatenations stay in the order they were written in.
        if !(concat && interval) {
            elems.sort_by(|a, b| order(a).cmp(&order(b)).then((b.flags & 1).cmp(&(a.flags & 1))));
        }
        let mut out: Vec<String> = Vec::new();
        let mut i = 0;
        while let Some(e) = elems.get(i) {
            i += 1;
            if e.flags & 1 != 0 {
                continue;
            }
            let mut text = if concat {
                self.concat_text(e, types)
            } else if interval && e.key_end.is_none() {
                let end = elems.get(i).copied();
                self.interval_text(first.ty, &e.key, end.map(|n| n.key.as_slice()))
            } else {
                match &e.key_end {
                    Some(end) => self.span(first.ty, &e.key, end, true),
                    None if first.shift > 0 => {
                        let n = number(&e.key).unwrap_or(0) >> first.shift;
                        self.value(first.ty, &n.to_be_bytes(), true)
                    }
                    None => self.value(first.ty, &e.key, first.big_endian || interval),
                }
            };
            if let Some(ms) = e.expires_ms {
                text.push_str(&format!(" expires {}", duration(ms)));
            }
            if let Some(data) = &e.data {
                text.push_str(&format!(" : {}", self.data_text(set, data)));
            }
            if let Some(object) = &e.object {
                text.push_str(&format!(" : {}", quoted(object)));
            }
            out.push(text);
        }
        if let Some(e) = set.elements.iter().find(|e| e.flags & 2 != 0) {
            let data = e.data.as_ref().map(|d| format!(" : {}", self.data_text(set, d))).unwrap_or_default();
            out.push(format!("*{data}"));
        }
        if !set.elements_read {
            out.push("…".into());
        }
        format!("{{ {} }}", out.join(", "))
    }

    fn data_text(&self, set: &NftSet, data: &Data) -> String {
        match data {
            Data::Verdict(v) => verdict_text(v),
            Data::Value(bytes) if set.more.as_ref().is_some_and(|more| more.data_interval) => {
                let ty = set.data_type.and_then(Ty::of_number).unwrap_or(Ty::Raw);
                let (from, to) = bytes.split_at(bytes.len() / 2);
                self.span(ty, from, to, false)
            }
            Data::Value(bytes) => {
                let n = set.data_type.unwrap_or(0);
                let mut types = Vec::new();
                let mut rest = n;
                while rest > 0 {
                    types.push(Ty::of_number(rest & 0x3f).unwrap_or(Ty::Raw));
                    rest >>= 6;
                }
                types.reverse();
                if types.len() < 2 {
                    return self.value(types.first().copied().unwrap_or(Ty::Raw), bytes, false);
                }
                let mut at = 0;
                let mut words = Vec::new();
                for ty in types {
                    let len = type_len(ty);
                    words.push(self.value(ty, bytes.get(at..at + len).unwrap_or_default(), false));
                    at += len.div_ceil(4) * 4;
                }
                words.join(" . ")
            }
        }
    }

    /// One range of an interval set: `end` is exclusive.
    fn interval_text(&self, ty: Ty, start: &[u8], end: Option<&[u8]>) -> String {
        let last = match end {
            None => vec![0xff; start.len()],
            Some(end) => {
                let mut last = end.to_vec();
                for b in last.iter_mut().rev() {
                    let (v, borrow) = b.overflowing_sub(1);
                    *b = v;
                    if !borrow {
                        break;
                    }
                }
                last
            }
        };
        self.span(ty, start, &last, true)
    }

    /// A span from one value to another: a single value, a prefix, or a range.
    fn span(&self, ty: Ty, from: &[u8], to: &[u8], big_endian: bool) -> String {
        if from == to {
            return self.value(ty, from, big_endian);
        }
        if matches!(ty, Ty::Ip4 | Ty::Ip6) {
            let diff: Vec<u8> = from.iter().zip(to).map(|(a, b)| !(a ^ b)).collect();
            let host_zero = from.iter().zip(&diff).all(|(a, d)| a & !d == 0);
            let host_ones = to.iter().zip(&diff).all(|(b, d)| b & !d == !d);
            if let (Some(len), true, true) = (prefix_len(&diff), host_zero, host_ones) {
                return format!("{}/{len}", self.value(ty, from, big_endian));
            }
        }
        let ty = if ty == Ty::Port { Ty::Int } else { ty };
        format!("{}-{}", self.value(ty, from, big_endian), self.value(ty, to, big_endian))
    }

    fn concat_text(&self, e: &NftElem, types: &[Column]) -> String {
        let mut at = 0usize;
        let mut words = Vec::new();
        for Column { ty, big_endian, len, .. } in types {
            let len = type_len(*ty).max(1).min((*len).max(1) as usize);
            let from = e.key.get(at..at + len).unwrap_or_default();
            let to = e.key_end.as_ref().and_then(|k| k.get(at..at + len)).unwrap_or(from);
            words.push(self.span(*ty, from, to, *big_endian));
            at += len.div_ceil(4) * 4;
        }
        words.join(" . ")
    }

    /// Words of what a register holds, as a value of the given type.
    fn operand(&mut self, reg: u32, ty: Ty) -> String {
        match self.load(reg) {
            Some(sym) => match &sym.what {
                What::Const(c) => {
                    let len = type_len(ty).min(c.len());
                    self.value(ty, c.get(..len).unwrap_or(c), false)
                }
                _ if sym.mask.is_some() => self.masked_words(&sym),
                _ => self.left(&sym).0,
            },
            None => "[register]".into(),
        }
    }

    fn statement(&mut self, expr: &Expr) {
        let text = match expr {
            Expr::Counter { .. } if !self.state => "counter".into(),
            Expr::Last { .. } if !self.state => "last".into(),
            Expr::Counter { packets, bytes } => format!("counter packets {packets} bytes {bytes}"),
            Expr::Limit { rate, unit_s, burst, per_packet, over } => {
                limit_text(*rate, *unit_s, *burst, *per_packet, *over)
            }
            Expr::Quota { bytes, consumed, over } => {
                let (n, unit) = bytes_unit(*bytes);
                let used = match bytes_unit(*consumed) {
                    (n, _) if n == 0 || !self.state => String::new(),
                    (n, unit) => format!(" used {n} {unit}"),
                };
                format!("quota {}{n} {unit}{used}", if *over { "over " } else { "" })
            }
            Expr::Connlimit { count, over } => {
                format!("ct count {}{count}", if *over { "over " } else { "" })
            }
            Expr::Last { set, ms } => {
                format!("last used {}", if *set { duration(*ms) } else { "never".into() })
            }
            Expr::Log { group, prefix, snaplen, level, flags, queue_threshold } => {
                log_text(*group, prefix, (*snaplen, *queue_threshold), *level, *flags)
            }
            Expr::Reject { reject_type, code } => self.reject_text(*reject_type, *code),
            Expr::Notrack => "notrack".into(),
            Expr::MetaSet { key, sreg } => {
                let (name, ty, _) = fields::meta(*key).unwrap_or(("?", Ty::Raw, false));
                let value = self.operand(*sreg, ty);
                format!("meta {name} set {value}")
            }
            Expr::CtSet { key, sreg, dir } => {
                let (name, ty) = fields::ct(*key, false).unwrap_or(("?", Ty::Raw));
                let value = self.operand(*sreg, ty);
                let dir = match dir {
                    Some(0) => "original ",
                    Some(_) => "reply ",
                    None => "",
                };
                format!("ct {dir}{name} set {value}")
            }
            Expr::PayloadSet { base, offset, len, sreg, .. } => self.payload_set(*base, *offset, *len, *sreg),
            Expr::ExthdrSet { sreg, hdr_type, offset, len, .. } => {
                self.imply(Tells::Transport);
                let value = self.operand(*sreg, Ty::Int);
                let name = fields::tcp_option(*hdr_type);
                match fields::tcp_option_field(*hdr_type, *offset, *len) {
                    Some(f) => format!("tcp option {name} {f} set {value}"),
                    None => {
                        format!("tcp option @{hdr_type},{},{} set {value}", in_bits(offset), in_bits(len))
                    }
                }
            }
            Expr::ExthdrReset { hdr_type, .. } => {
                format!("reset tcp option {}", fields::tcp_option(*hdr_type))
            }
            Expr::Nat { nat_type, family, addr_min, addr_max, proto_min, proto_max, flags } => {
                let word = if *nat_type == 0 { "snat" } else { "dnat" };
                let to = self.nat_target(*family, *addr_min, *addr_max, *proto_min, *proto_max, *flags);
                format!("{word}{to}{}", nat_flags(*flags))
            }
            Expr::Masq { flags, proto_min, proto_max } => {
                let ports =
                    self.ports(*proto_min, *proto_max).map(|p| format!(" to :{p}")).unwrap_or_default();
                format!("masquerade{ports}{}", nat_flags(*flags))
            }
            Expr::Redir { flags, proto_min, proto_max } => {
                let ports =
                    self.ports(*proto_min, *proto_max).map(|p| format!(" to :{p}")).unwrap_or_default();
                format!("redirect{ports}{}", nat_flags(*flags))
            }
            Expr::Tproxy { family, addr, port } => {
                let inet = self.rule.family == NftFamily::Inet;
                let word = match (inet, family) {
                    (true, 2) => " ip",
                    (true, 10) => " ip6",
                    _ => "",
                };
                let ty = if *family == 10 || self.network == Some(Header::Ip6) { Ty::Ip6 } else { Ty::Ip4 };
                let mut to = addr.map(|r| self.operand(r, ty)).unwrap_or_default();
                if ty == Ty::Ip6 && !to.is_empty() {
                    to = format!("[{to}]");
                }
                let port = port.map(|r| format!(":{}", self.operand(r, Ty::Port))).unwrap_or_default();
                format!("tproxy{word} to {to}{port}")
            }
            Expr::Queue { num, total, flags, sreg } => {
                let mut words = Vec::new();
                if flags & 1 != 0 {
                    words.push("bypass");
                }
                if flags & 2 != 0 {
                    words.push("fanout");
                }
                let flags =
                    if words.is_empty() { String::new() } else { format!(" flags {}", words.join(",")) };
                let to = match sreg {
                    Some(reg) => self.operand(*reg, Ty::Int),
                    None if *total > 1 => format!("{num}-{}", num.saturating_add(total - 1)),
                    None => num.to_string(),
                };
                format!("queue{flags} to {to}")
            }
            Expr::Dup { addr, dev } => {
                let ty = if self.network == Some(Header::Ip6) { Ty::Ip6 } else { Ty::Ip4 };
                match (addr, dev) {
                    (Some(a), Some(d)) => {
                        format!("dup to {} device {}", self.operand(*a, ty), self.operand(*d, Ty::IfIndex))
                    }
                    (Some(a), None) => format!("dup to {}", self.operand(*a, ty)),
                    (None, Some(d)) => format!("dup to {}", self.operand(*d, Ty::IfIndex)),
                    (None, None) => "dup".into(),
                }
            }
            Expr::Fwd { dev, addr, family } => {
                let dev = self.operand(*dev, Ty::IfIndex);
                match addr {
                    Some(a) => {
                        let v6 = *family == Some(10);
                        let to = self.operand(*a, if v6 { Ty::Ip6 } else { Ty::Ip4 });
                        format!("fwd {} to {to} device {dev}", if v6 { "ip6" } else { "ip" })
                    }
                    None => format!("fwd to {dev}"),
                }
            }
            Expr::Dynset { set, op, key, data, timeout_ms, exprs, .. } => {
                let s = self.set(set);
                let parts = self.parts(*key, s.map_or(4, |s| s.key_len));
                let mut inside = parts.iter().map(|p| self.left(p).0).collect::<Vec<_>>().join(" . ");
                if let Some(ms) = timeout_ms.filter(|t| *t > 0) {
                    inside.push_str(&format!(" timeout {}", duration(ms)));
                }
                for e in exprs {
                    let n = self.out.len();
                    if matches!(e, Expr::Counter { .. }) {
                        self.say("counter");
                    } else {
                        self.statement(e);
                    }
                    for s in self.out.drain(n..) {
                        inside.push(' ');
                        inside.push_str(&s.text);
                    }
                }
                if let Some(reg) = data {
                    let ty = s.and_then(|s| s.data_type).and_then(Ty::of_number).unwrap_or(Ty::Raw);
                    inside.push_str(&format!(" : {}", self.operand(*reg, ty)));
                }
                let word = match op {
                    0 => "add",
                    1 => "update",
                    _ => "delete",
                };
                format!("{word} @{set} {{ {inside} }}")
            }
            Expr::Objref { obj_type, name } => {
                let name = quoted(name);
                match obj_type {
                    1 => format!("counter name {name}"),
                    2 => format!("quota name {name}"),
                    3 => format!("ct helper set {name}"),
                    4 => format!("limit name {name}"),
                    5 => format!("ct count name {name}"),
                    7 => format!("ct timeout set {name}"),
                    8 => format!("meta secmark set {name}"),
                    9 => format!("ct expectation set {name}"),
                    10 => format!("synproxy name {name}"),
                    n => format!("object {n} name {name}"),
                }
            }
            Expr::ObjrefMap { set, sreg } => {
                let s = self.set(set);
                let parts = self.parts(*sreg, s.map_or(4, |s| s.key_len));
                let mut types = Vec::new();
                let mut words = Vec::new();
                for p in &parts {
                    let (w, ty) = self.left(p);
                    words.push(w);
                    types.push(Column { ty, big_endian: p.big_endian, len: p.len, shift: 0 });
                }
                let shown = match s {
                    Some(s) if s.flags & 1 != 0 => self.elements(s, &types),
                    _ => format!("@{set}"),
                };
                format!("counter name {} map {shown}", words.join(" . "))
            }
            Expr::Synproxy { mss, wscale, flags } => {
                let mut t = String::from("synproxy");
                if flags & 1 != 0 {
                    t.push_str(&format!(" mss {mss}"));
                }
                if flags & 2 != 0 {
                    t.push_str(&format!(" wscale {wscale}"));
                }
                if flags & 8 != 0 {
                    t.push_str(" timestamp");
                }
                if flags & 4 != 0 {
                    t.push_str(" sack-perm");
                }
                t
            }
            Expr::FlowOffload { table } => format!("flow add @{table}"),
            Expr::Match { name, .. } => format!("xt match {}", quoted(name)),
            Expr::Target { name, .. } => format!("xt target {}", quoted(name)),
            Expr::Inner { .. } => "[inner]".into(),
            Expr::Unknown { name, .. } => format!("[{}]", name.escape_debug()),
            _ => "[expression]".into(),
        };
        self.say(text);
    }

    fn ports(&mut self, min: Option<u32>, max: Option<u32>) -> Option<String> {
        // The ends of a range keep their numbers.
        let kind = if max.is_some_and(|max| Some(max) != min) { Ty::Int } else { Ty::Port };
        let constant = min.and_then(|min| self.load(min)).filter(|sym| matches!(sym.what, What::Const(_)));
        let low = match constant {
            Some(Sym { what: What::Const(bytes), .. }) => {
                self.value(kind, bytes.get(..2).unwrap_or(&bytes), false)
            }
            _ => self.operand(min?, Ty::Port),
        };
        match max.filter(|m| Some(*m) != min) {
            Some(max) => {
                let high = self.load(max).map(|sym| sym.what);
                let high = match high {
                    Some(What::Const(bytes)) => self.value(Ty::Int, bytes.get(..2).unwrap_or(&bytes), false),
                    _ => self.operand(max, Ty::Port),
                };
                Some(format!("{low}-{high}"))
            }
            None => Some(low),
        }
    }

    fn nat_target(
        &mut self,
        family: u32,
        addr_min: Option<u32>,
        addr_max: Option<u32>,
        proto_min: Option<u32>,
        proto_max: Option<u32>,
        flags: u32,
    ) -> String {
        let v6 = family == 10;
        let ty = if v6 { Ty::Ip6 } else { Ty::Ip4 };
        let inet = self.rule.family == NftFamily::Inet;
        let mut word = match (inet && addr_min.is_some(), v6) {
            (true, false) => " ip",
            (true, true) => " ip6",
            _ => "",
        };
        if addr_min.is_some() {
            self.imply(Tells::Network);
        }
        let mut out = String::new();
        let mut map_of_both = false;
        if let Some(reg) = addr_min {
            let from = self.operand(reg, ty);
            let constant = self.load(reg).is_some_and(|s| matches!(s.what, What::Const(_)));
            // One map that gives address and port together.
            if !constant && proto_min.is_some_and(|p| self.load(p).is_none()) {
                map_of_both = true;
                if word.is_empty() {
                    word = if v6 { " ip6" } else { " ip" };
                }
            }
            let bracket = v6 && constant && proto_min.is_some();
            let open = |a: String| if bracket { format!("[{a}]") } else { a };
            out.push_str(&open(from));
            if let Some(max) = addr_max.filter(|m| *m != reg)
                && !map_of_both
                && constant
            {
                let same = matches!((self.load(reg), self.load(max)), (Some(a), Some(b)) if matches!((&a.what, &b.what), (What::Const(x), What::Const(y)) if x == y));
                if !same {
                    let to = self.operand(max, ty);
                    out.push_str(&format!("-{}", open(to)));
                }
            }
        }
        if !map_of_both && let Some(ports) = self.ports(proto_min, proto_max) {
            out.push_str(&format!(":{ports}"));
        }
        let prefix = if flags & 64 != 0 { " prefix" } else { "" };
        if !prefix.is_empty() && word.is_empty() {
            word = if v6 { " ip6" } else { " ip" };
        }
        if out.is_empty() { String::new() } else { format!("{word}{prefix} to {out}") }
    }

    fn reject_text(&mut self, reject_type: u32, code: u8) -> String {
        match (reject_type, self.rule.family) {
            // The protocol told for it stays: `reject with tcp reset` does not name it to nft.
            (1, _) => "reject with tcp reset".into(),
            (2, _) => match code {
                1 => "reject".into(),
                n if self.style.numeric() => format!("reject with icmpx {n}"),
                0 => "reject with icmpx no-route".into(),
                2 => "reject with icmpx host-unreachable".into(),
                3 => "reject with icmpx admin-prohibited".into(),
                n => format!("reject with icmpx {n}"),
            },
            (_, NftFamily::Ip) if code == 3 => "reject".into(),
            (_, NftFamily::Ip6) if code == 4 => "reject".into(),
            _ => {
                let v6 = self.network == Some(Header::Ip6);
                self.imply(Tells::Network);
                if self.style.numeric() {
                    format!("reject with {} {code}", if v6 { "icmpv6" } else { "icmp" })
                } else if v6 {
                    format!("reject with icmpv6 {}", super::icmp6_unreach(code))
                } else {
                    format!("reject with icmp {}", super::icmp_unreach(code))
                }
            }
        }
    }

    /// A header change: which field the changed bits are.
    fn payload_set(&mut self, base: PayloadBase, offset: u32, len: u32, sreg: u32) -> String {
        let sym = self.load(sreg);
        if let Some(sym) = &sym
            && let (What::Payload(b, o, _), Some((mask, xor))) = (&sym.what, &sym.mask)
            && (*b, *o) == (base, offset)
        {
            let changed: Vec<u8> = mask.iter().map(|m| !m).collect();
            if let Some((first, bits)) = run_of(&changed)
                && let Some((words, ty, None)) = self.field(base, in_bits(offset).saturating_add(first), bits)
                && let Some(value) = shifted(xor, &changed)
            {
                return format!("{words} set {}", self.value(ty, &value, false));
            }
        }
        match self.field(base, in_bits(offset), in_bits(len)) {
            Some((words, ty, None)) => format!("{words} set {}", self.operand(sreg, ty)),
            _ => {
                let raw = Self::raw(base, in_bits(offset), in_bits(len));
                format!("{raw} set {}", self.operand(sreg, Ty::Raw))
            }
        }
    }
}

/// Bytes a value of a type has.
pub(crate) fn type_len(ty: Ty) -> usize {
    match ty {
        Ty::Ip4 => 4,
        Ty::Ip6 | Ty::IfName | Ty::Text => 16,
        Ty::Mac => 6,
        Ty::Port | Ty::EtherType | Ty::ArpOp | Ty::HwType => 2,
        Ty::Proto
        | Ty::NfProto
        | Ty::IcmpType
        | Ty::Icmp6Type
        | Ty::IcmpCode
        | Ty::Icmp6Code
        | Ty::TcpFlags
        | Ty::PktType
        | Ty::Dscp
        | Ty::Ecn
        | Ty::CtDir
        | Ty::Bool
        | Ty::Exists
        | Ty::Day => 1,
        Ty::Int => 8,
        _ => 4,
    }
}

pub(super) fn limit_text(rate: u64, unit_s: u64, burst: u32, per_packet: bool, over: bool) -> String {
    let unit = match unit_s {
        1 => "second".to_string(),
        60 => "minute".into(),
        3600 => "hour".into(),
        86_400 => "day".into(),
        604_800 => "week".into(),
        n => format!("{n}s"),
    };
    let over = if over { "over " } else { "" };
    if per_packet {
        let burst = if burst == 5 { String::new() } else { format!(" burst {burst} packets") };
        return format!("limit rate {over}{rate}/{unit}{burst}");
    }
    let (n, size) = bytes_unit(rate);
    let burst = if burst == 0 {
        String::new()
    } else {
        let (n, size) = bytes_unit(burst.into());
        format!(" burst {n} {size}")
    };
    format!("limit rate {over}{n} {size}/{unit}{burst}")
}

fn log_text(
    group: Option<u16>,
    prefix: &str,
    (snaplen, threshold): (u32, u16),
    level: Option<u32>,
    flags: u32,
) -> String {
    let mut t = String::from("log");
    if !prefix.is_empty() {
        t.push_str(&format!(" prefix {}", quoted(prefix)));
    }
    if let Some(group) = group {
        t.push_str(&format!(" group {group}"));
        if snaplen > 0 {
            t.push_str(&format!(" snaplen {snaplen}"));
        }
        if threshold > 0 {
            t.push_str(&format!(" queue-threshold {threshold}"));
        }
    }
    if let Some(level) = level.filter(|l| *l != 4 && group.is_none()) {
        let names = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
        let name = usize::try_from(level).ok().and_then(|l| names.get(l)).copied().unwrap_or("?");
        t.push_str(&format!(" level {name}"));
    }
    if flags & 0x2f == 0x2f {
        t.push_str(" flags all");
    } else {
        match flags & 3 {
            1 => t.push_str(" flags tcp sequence"),
            2 => t.push_str(" flags tcp options"),
            3 => t.push_str(" flags tcp sequence,options"),
            _ => {}
        }
        for (bit, word) in [(4, "ip options"), (8, "skuid"), (32, "ether")] {
            if flags & bit != 0 {
                t.push_str(&format!(" flags {word}"));
            }
        }
    }
    t
}
