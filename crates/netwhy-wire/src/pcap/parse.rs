//! Tokens to tree. `not` binds tightest; `and` and `or` bind alike and to the left, as pcap-filter(7) says.

use std::net::{IpAddr, Ipv4Addr};

use super::lex::{Tok, Token, tokens};
use super::{Arith, Dir, Expr, Header, Net, Op, PcapError, Relation, Test, names};

type Result<T> = std::result::Result<T, PcapError>;

/// How deep parentheses may nest.
const DEPTH: u32 = 64;
/// Longest expression.
const LONGEST: usize = 64 << 10;

/// What an identifier is taken as: the kind of the last qualifiers, so that `port 80 or 443` means what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Qualifiers {
    net: Option<Net>,
    proto: Option<u8>,
    dir: Option<Dir>,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    last: Qualifiers,
}

/// Parses an expression; an empty one holds for every packet.
pub fn parse(text: &str) -> Result<Expr> {
    if text.len() > LONGEST {
        return Err(PcapError { start: 0, end: 0, message: "the expression is longer than 64 KiB".into() });
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, last: Qualifiers::default() };
    if parser.peek() == &Tok::End {
        return Ok(Expr::All);
    }
    let expr = parser.expr()?;
    match parser.peek() {
        Tok::End => Ok(expr),
        Tok::Sign(")") => Err(parser.error("this parenthesis was never opened")),
        _ => Err(parser.error("expected `and`, `or` or the end")),
    }
}

impl Parser {
    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at).or(self.tokens.last())
    }

    fn peek(&self) -> &Tok {
        self.token().map_or(&Tok::End, |token| &token.tok)
    }

    fn ahead(&self, by: usize) -> &Tok {
        self.tokens.get(self.at + by).map_or(&Tok::End, |token| &token.tok)
    }

    fn advance(&mut self) -> Tok {
        let tok = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len());
        tok
    }

    fn error(&self, message: impl Into<String>) -> PcapError {
        let (start, end) = self.token().map_or((0, 0), |token| (token.start, token.end));
        PcapError { start, end, message: message.into() }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Tok::Sign(s) if *s == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Tok::Word(w) if w == word)
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.accept(sign) { Ok(()) } else { Err(self.error(format!("expected `{sign}`"))) }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return Err(self.error("too deeply nested"));
        }
        self.depth += 1;
        let out = parse(self);
        self.depth -= 1;
        out
    }

    fn expr(&mut self) -> Result<Expr> {
        self.deeper(|p| {
            let mut left = p.unary()?;
            loop {
                if p.accept_word("and") || p.accept("&&") {
                    let right = p.unary()?;
                    left = Expr::And(Box::new(left), Box::new(right));
                } else if p.accept_word("or") || p.accept("||") {
                    let right = p.unary()?;
                    left = Expr::Or(Box::new(left), Box::new(right));
                } else {
                    return Ok(left);
                }
            }
        })
    }

    fn unary(&mut self) -> Result<Expr> {
        if self.accept_word("not") || self.accept("!") {
            let inner = self.deeper(Self::unary)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if self.is("(") && !self.arithmetic_in_parentheses() {
            self.advance();
            let inner = self.expr()?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.primitive()
    }

    /// After `(`: whether the parenthesis belongs to arithmetic, as in `(tcp[0] + 1) * 2 > 5`: then an operator or
    /// a relation follows its end.
    fn arithmetic_in_parentheses(&self) -> bool {
        let mut open = 0_u32;
        for by in 0.. {
            match self.ahead(by) {
                Tok::Sign("(") => open += 1,
                Tok::Sign(")") => {
                    open = open.saturating_sub(1);
                    if open == 0 {
                        return matches!(self.ahead(by + 1), Tok::Sign(s) if is_operator(s));
                    }
                }
                Tok::End => return false,
                _ => {}
            }
        }
        false
    }

    /// Whether a byte expression, a number or a relation begins here.
    fn at_arithmetic(&self) -> bool {
        let follows = |by: usize| matches!(self.ahead(by), Tok::Sign(s) if is_operator(s));
        match self.peek() {
            Tok::Word(word) => match self.ahead(1) {
                Tok::Sign("[") => header(word).is_some(),
                _ => word == "len" || (names::constant(word).is_some() && follows(1)),
            },
            Tok::Number(_) => follows(1) && !matches!(self.ahead(1), Tok::Sign("-" | "/")),
            Tok::Sign("(" | "-") => true,
            _ => false,
        }
    }

    fn primitive(&mut self) -> Result<Expr> {
        if self.at_arithmetic() {
            let left = self.arith(0)?;
            let relation = match self.peek() {
                Tok::Sign("==") => Relation::Eq,
                Tok::Sign("!=") => Relation::Ne,
                Tok::Sign("<") => Relation::Lt,
                Tok::Sign("<=") => Relation::Le,
                Tok::Sign(">") => Relation::Gt,
                Tok::Sign(">=") => Relation::Ge,
                _ => return Err(self.error("expected `=`, `!=`, `<`, `<=`, `>` or `>=`")),
            };
            self.advance();
            let right = self.arith(0)?;
            return Ok(Expr::Test(Test::Compare(left, relation, right)));
        }
        match self.peek().clone() {
            Tok::Word(word) if word == "less" || word == "greater" => {
                self.advance();
                let Tok::Number(n) = self.advance() else { return Err(self.error("expected a length")) };
                let relation = if word == "less" { Relation::Le } else { Relation::Ge };
                Ok(Expr::Test(Test::Compare(Arith::Len, relation, Arith::Number(n))))
            }
            Tok::Word(_) => self.qualified(),
            // An identifier alone: with the qualifiers of the one before.
            Tok::Number(_) | Tok::Addr(_) | Tok::Partial(_) => {
                let last = self.last;
                self.identifier(last)
            }
            Tok::End => Err(self.error("expected an expression")),
            _ => Err(self.error("expected a protocol, an address, a port or a relation")),
        }
    }

    /// `[protocol] [direction] [kind] [identifier]`
    fn qualified(&mut self) -> Result<Expr> {
        let mut q = Qualifiers::default();
        let first = self.at;
        while let Tok::Word(word) = self.peek().clone() {
            match word.as_str() {
                "ip" | "ip6" | "arp" | "rarp" if q == Qualifiers::default() => {
                    q.net = Some(match word.as_str() {
                        "ip" => Net::Ip,
                        "ip6" => Net::Ip6,
                        "arp" => Net::Arp,
                        _ => Net::Rarp,
                    });
                }
                "src" | "dst" if q.dir.is_none() => {
                    self.advance();
                    let other = if word == "src" { "dst" } else { "src" };
                    let joined = |p: &Self, joint: &str| {
                        p.is_word(joint) && matches!(p.ahead(1), Tok::Word(w) if w == other)
                    };
                    q.dir = Some(if joined(self, "or") {
                        self.at += 2;
                        Dir::Either
                    } else if joined(self, "and") {
                        self.at += 2;
                        Dir::Both
                    } else if word == "src" {
                        Dir::Src
                    } else {
                        Dir::Dst
                    });
                    continue;
                }
                "host" if q.kind.is_none() => q.kind = Some(Kind::Host),
                "net" if q.kind.is_none() => q.kind = Some(Kind::Net),
                "port" if q.kind.is_none() => q.kind = Some(Kind::Port),
                "portrange" if q.kind.is_none() => q.kind = Some(Kind::PortRange),
                "proto" if q.kind.is_none() => q.kind = Some(Kind::Proto),
                "and" | "or" | "not" => break,
                _ => match names::protocol(&word) {
                    Some((number, true)) if q == Qualifiers::default() => q.proto = Some(number),
                    _ => break,
                },
            }
            self.advance();
        }
        if self.at == first {
            // A word that is no keyword: a service after `port`, else a name nobody may look up here.
            if matches!(self.last.kind, Some(Kind::Port | Kind::PortRange | Kind::Proto)) {
                let last = self.last;
                return self.identifier(last);
            }
            return Err(self.unknown());
        }
        let names_something = match self.peek() {
            Tok::Number(_) | Tok::Addr(_) | Tok::Partial(_) => true,
            Tok::Word(word) => !matches!(word.as_str(), "and" | "or"),
            _ => false,
        };
        match (q, names_something) {
            (Qualifiers { net: Some(net), proto: None, dir: None, kind: None }, false) => {
                Ok(Expr::Test(Test::Net(net)))
            }
            (Qualifiers { net: None, proto: Some(proto), dir: None, kind: None }, false) => {
                let net = match proto {
                    1 | 2 | 112 => Some(Net::Ip),
                    58 => Some(Net::Ip6),
                    _ => None,
                };
                Ok(Expr::Test(Test::Proto(net, proto)))
            }
            (_, false) => Err(self.error("expected an address, a port or a protocol")),
            _ => {
                self.last = q;
                self.identifier(q)
            }
        }
    }

    fn unknown(&self) -> PcapError {
        let Tok::Word(word) = self.peek() else { return self.error("expected an expression") };
        match word.as_str() {
            "vlan" | "mpls" | "ether" | "wlan" | "link" | "broadcast" | "multicast" | "gateway"
            | "inbound" | "outbound" | "pppoed" | "pppoes" | "geneve" | "ifname" | "on" | "atalk"
            | "aarp" | "decnet" | "iso" | "stp" | "ipx" | "netbeui" | "llc" | "protochain" => {
                self.error(format!("`{word}` is not supported: below the network layer nothing is looked at"))
            }
            _ => self
                .error(format!("`{word}` is no keyword; names of hosts are not resolved, give an address")),
        }
    }

    /// What follows the qualifiers.
    fn identifier(&mut self, q: Qualifiers) -> Result<Expr> {
        let dir = q.dir.unwrap_or(Dir::Either);
        let test = match q.kind {
            Some(Kind::Port | Kind::PortRange) => self.ports(q, dir)?,
            Some(Kind::Proto) => {
                let number = match self.peek().clone() {
                    Tok::Number(n) => u8::try_from(n).ok(),
                    Tok::Word(word) => names::protocol(&word).map(|(n, _)| n),
                    _ => None,
                };
                let Some(number) = number else {
                    return Err(self.error("expected a protocol: 0 to 255, or a name"));
                };
                self.advance();
                match q.net {
                    Some(Net::Arp | Net::Rarp) => return Err(self.error("ARP carries no protocol")),
                    net => Test::Proto(net, number),
                }
            }
            Some(Kind::Net) => self.network(q, dir)?,
            Some(Kind::Host) => match self.advance() {
                Tok::Addr(address) => self.host(q, dir, address)?,
                _ => {
                    self.at = self.at.saturating_sub(1);
                    return Err(match self.peek() {
                        Tok::Word(_) => self.unknown(),
                        _ => self.error("expected an address"),
                    });
                }
            },
            None => match (self.peek().clone(), self.ahead(1)) {
                (Tok::Addr(_), Tok::Sign("/")) => self.network(q, dir)?,
                (Tok::Addr(address), _) => {
                    self.advance();
                    self.host(q, dir, address)?
                }
                (Tok::Word(_), _) => return Err(self.unknown()),
                _ => {
                    return Err(
                        self.error("expected an address; a port is written `port 80`, a network `net 10`")
                    );
                }
            },
        };
        Ok(Expr::Test(test))
    }

    fn family(&self, q: Qualifiers, address: IpAddr) -> Result<()> {
        if q.proto.is_some() {
            return Err(self.error("a transport protocol has ports, not addresses: write `tcp and host ...`"));
        }
        match (q.net, address) {
            (Some(Net::Ip6), IpAddr::V4(_)) => Err(self.error("this is an address of IPv4, not of IPv6")),
            (Some(Net::Ip | Net::Arp | Net::Rarp), IpAddr::V6(_)) => {
                Err(self.error("this is an address of IPv6, not of IPv4"))
            }
            _ => Ok(()),
        }
    }

    fn host(&self, q: Qualifiers, dir: Dir, address: IpAddr) -> Result<Test> {
        self.family(q, address)?;
        Ok(Test::Host(q.net, dir, address))
    }

    fn network(&mut self, q: Qualifiers, dir: Dir) -> Result<Test> {
        let (address, bits) = match self.peek().clone() {
            Tok::Addr(IpAddr::V4(address)) => {
                // Trailing zeroes count, but a network of only zeroes is all of them.
                (IpAddr::V4(address), if address.is_unspecified() { 0 } else { 32 })
            }
            Tok::Addr(address) => (address, 128),
            Tok::Partial(parts) => (padded(&parts), parts.len() as u8 * 8),
            Tok::Number(n) => match u8::try_from(n) {
                Ok(n) => (padded(&[n]), 8),
                Err(_) => return Err(self.error("a network begins with a number up to 255")),
            },
            Tok::Word(_) => return Err(self.unknown()),
            _ => return Err(self.error("expected a network, such as 10.0.0.0/8")),
        };
        self.family(q, address)?;
        self.advance();
        if self.accept("/") {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let Tok::Number(n) = *self.peek() else { return Err(self.error("expected a number of bits")) };
            let Some(n) = u8::try_from(n).ok().filter(|n| *n <= most) else {
                return Err(self.error(format!("a prefix has at most {most} bits")));
            };
            if beyond(address, n) {
                return Err(self.error("the address has bits beyond the prefix"));
            }
            self.advance();
            return Ok(Test::Prefix(q.net, dir, address, n));
        }
        if self.accept_word("mask") {
            let (Tok::Addr(IpAddr::V4(mask)), IpAddr::V4(address)) = (self.peek().clone(), address) else {
                return Err(self.error("expected a mask such as 255.255.0.0; only IPv4 has them"));
            };
            let (address, mask) = (u32::from(address), u32::from(mask));
            if address & !mask != 0 {
                return Err(self.error("the address has bits beyond the mask"));
            }
            self.advance();
            return Ok(Test::Mask(q.net, dir, address, mask));
        }
        Ok(Test::Prefix(q.net, dir, address, bits))
    }

    fn ports(&mut self, q: Qualifiers, dir: Dir) -> Result<Test> {
        if !matches!(q.proto, None | Some(6 | 17 | 132)) {
            return Err(self.error("only TCP, UDP and SCTP have ports"));
        }
        if matches!(q.net, Some(Net::Arp | Net::Rarp)) {
            return Err(self.error("ARP has no ports"));
        }
        let low = self.port()?;
        let mut high = low;
        if q.kind == Some(Kind::PortRange) && self.accept("-") {
            high = self.port()?;
        }
        Ok(Test::Ports(q.net, q.proto, dir, low.min(high), low.max(high)))
    }

    fn port(&mut self) -> Result<u16> {
        let found = match self.peek() {
            Tok::Number(n) => u16::try_from(*n).ok(),
            Tok::Word(name) => names::service(name),
            _ => None,
        };
        let Some(port) = found else {
            return Err(self.error("expected a port: 0 to 65535, or the name of a well-known service"));
        };
        self.advance();
        Ok(port)
    }

    /// `* / %` bind tightest, then `+ -`, then shifts, then `&`, then `^`, then `|`.
    fn arith(&mut self, least: u8) -> Result<Arith> {
        self.deeper(|p| {
            let mut left = p.operand()?;
            loop {
                let Tok::Sign(sign) = p.peek() else { return Ok(left) };
                let (level, op) = match *sign {
                    "|" => (1, Op::Or),
                    "^" => (2, Op::Xor),
                    "&" => (3, Op::And),
                    "<<" => (4, Op::Shl),
                    ">>" => (4, Op::Shr),
                    "+" => (5, Op::Add),
                    "-" => (5, Op::Sub),
                    "*" => (6, Op::Mul),
                    "/" => (6, Op::Div),
                    "%" => (6, Op::Mod),
                    _ => return Ok(left),
                };
                if level <= least {
                    return Ok(left);
                }
                let at = p.at;
                p.advance();
                let right = p.arith(level)?;
                if matches!(op, Op::Div | Op::Mod) && right == Arith::Number(0) {
                    p.at = at;
                    return Err(p.error("division by zero"));
                }
                left = Arith::Binary(op, Box::new(left), Box::new(right));
            }
        })
    }

    fn operand(&mut self) -> Result<Arith> {
        if self.accept("-") {
            let inner = self.deeper(Self::operand)?;
            return Ok(Arith::Binary(Op::Sub, Box::new(Arith::Number(0)), Box::new(inner)));
        }
        if self.accept("(") {
            let inner = self.arith(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.peek().clone() {
            Tok::Number(n) => {
                self.advance();
                Ok(Arith::Number(n))
            }
            Tok::Word(word) if word == "len" => {
                self.advance();
                Ok(Arith::Len)
            }
            Tok::Word(word) if matches!(self.ahead(1), Tok::Sign("[")) => {
                let Some(header) = header(&word) else {
                    return Err(self.error(format!("the bytes of `{word}` cannot be looked at")));
                };
                self.at += 2;
                let offset = self.arith(0)?;
                let mut size = 1;
                if self.accept(":") {
                    size = match self.peek() {
                        Tok::Number(n @ (1 | 2 | 4)) => *n as u8,
                        _ => return Err(self.error("1, 2 or 4 bytes can be read at a time")),
                    };
                    self.advance();
                }
                self.expect("]")?;
                Ok(Arith::Bytes(header, Box::new(offset), size))
            }
            Tok::Word(word) => match names::constant(&word) {
                Some(n) => {
                    self.advance();
                    Ok(Arith::Number(n))
                }
                None => Err(self.error(format!("`{word}` is no number"))),
            },
            _ => Err(self.error("expected a number or bytes such as `tcp[13]`")),
        }
    }
}

fn is_operator(sign: &str) -> bool {
    matches!(
        sign,
        "|" | "^" | "&" | "<<" | ">>" | "+" | "-" | "*" | "/" | "%" | "==" | "!=" | "<" | "<=" | ">" | ">="
    )
}

fn header(word: &str) -> Option<Header> {
    Some(match word {
        "ip" => Header::Net(Net::Ip),
        "ip6" => Header::Net(Net::Ip6),
        "arp" => Header::Net(Net::Arp),
        "rarp" => Header::Net(Net::Rarp),
        "icmp6" => Header::Icmp6,
        "tcp" | "udp" | "icmp" | "igmp" | "sctp" | "pim" | "vrrp" | "carp" => {
            Header::Above(names::protocol(word).map(|(n, _)| n)?)
        }
        _ => return None,
    })
}

fn padded(parts: &[u8]) -> IpAddr {
    let mut all = [0; 4];
    for (to, from) in all.iter_mut().zip(parts) {
        *to = *from;
    }
    Ipv4Addr::from(all).into()
}

/// Whether an address has bits set after so many.
fn beyond(address: IpAddr, bits: u8) -> bool {
    match address {
        IpAddr::V4(a) => u32::from(a).checked_shl(bits.into()).unwrap_or(0) != 0,
        IpAddr::V6(a) => u128::from(a).checked_shl(bits.into()).unwrap_or(0) != 0,
    }
}
