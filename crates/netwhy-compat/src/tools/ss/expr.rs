//! The filter language of ss(8): predicates joined by `or`, `and`, `not`, in words.
//!
//! An expression is parsed once, turned into the program the kernel runs over IP sockets
//! ([`Expr::for_kernel`]), and tried here on sockets of other families ([`Expr::matches`]).

use std::net::{IpAddr, ToSocketAddrs};

use netwhy_wire::inet_diag::{Compare, End, Filter};

use crate::names::Names;
use crate::session::ToolError;
use crate::write::glob;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    /// A comparison with a port.
    Port(End, Compare, u32),
    /// An end's address, and its port.
    Host(End, Host),
    /// Bound to a device.
    Device(u32),
    /// A mark under a mask.
    Mark {
        value: u32,
        mask: u32,
    },
    /// In a cgroup (v2 id).
    Cgroup(u64),
    /// The local port or path was chosen by the kernel.
    AutoBound,
}

/// What an end must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// One of the prefixes (none: any), and a port.
    Inet(Vec<(IpAddr, u8)>, Option<u16>),
    /// A pattern of a path or abstract name.
    Unix(String),
    /// An Ethernet protocol, and a device.
    Link(Option<u16>, Option<u32>),
    /// A netlink protocol, and a port id.
    Netlink(Option<u32>, Option<u32>),
    /// A CID, and a port.
    Vsock(Option<u32>, Option<u32>),
}

/// The families whose hosts are told apart by how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Inet,
    Inet4,
    Inet6,
    Unix,
    Link,
    Netlink,
    Vsock,
}

impl Kind {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "inet" => Kind::Inet4,
            "inet6" => Kind::Inet6,
            "unix" => Kind::Unix,
            "link" => Kind::Link,
            "netlink" => Kind::Netlink,
            "vsock" => Kind::Vsock,
            _ => return None,
        })
    }
}

/// What words mean on this machine.
pub(super) struct Context<'a> {
    pub(super) names: &'a Names,
    /// The family of hosts that name none: that of `-f`.
    pub(super) kind: Kind,
    /// The index of a device.
    pub(super) device: &'a dyn Fn(&str) -> Option<u32>,
    /// The id of a cgroup's directory, or why there is none.
    pub(super) cgroup: &'a dyn Fn(&str) -> Result<u64, String>,
}

/// A parsed filter and the families its hosts named.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) expr: Option<Expr>,
    pub(super) kinds: Vec<Kind>,
}

/// Parses the words of a filter; none are no filter.
pub(super) fn parse(words: &[String], context: &Context<'_>) -> Result<Parsed, ToolError> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    let mut parser = Parser { words: &words, at: 0, context, kinds: Vec::new() };
    if words.is_empty() {
        return Ok(Parsed { expr: None, kinds: Vec::new() });
    }
    let expr = parser.any()?;
    if parser.at < words.len() {
        return Err(parser.syntax("an end"));
    }
    Ok(Parsed { expr: Some(expr), kinds: parser.kinds })
}

struct Parser<'a, 'c> {
    words: &'a [&'a str],
    at: usize,
    context: &'c Context<'c>,
    kinds: Vec<Kind>,
}

fn failed(text: String) -> ToolError {
    ToolError::failed(text, 1)
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn syntax(&self, wanted: &str) -> ToolError {
        let found = self.peek().map_or("the end of the line".to_owned(), |word| format!("'{word}'"));
        ToolError::usage(format!("ss: filter: {found} stands where {wanted} was expected"), 255)
    }

    fn any(&mut self) -> Result<Expr, ToolError> {
        let mut parts = vec![self.all()?];
        while matches!(self.peek(), Some("or" | "|" | "||")) {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self) -> Result<Expr, ToolError> {
        let mut parts = vec![self.one()?];
        loop {
            match self.peek() {
                Some("and" | "&" | "&&") => self.at += 1,
                None | Some("or" | "|" | "||" | ")") => break,
                // Two predicates side by side are joined by "and".
                Some(_) => {}
            }
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn one(&mut self) -> Result<Expr, ToolError> {
        match self.peek() {
            Some("not" | "!") => {
                self.at += 1;
                Ok(Expr::Not(Box::new(self.one()?)))
            }
            Some("(") => {
                self.at += 1;
                let inner = self.any()?;
                if self.next() != Some(")") {
                    self.at -= usize::from(self.at > 0);
                    return Err(self.syntax("')'"));
                }
                Ok(inner)
            }
            Some("dport") => self.port(End::Remote),
            Some("sport") => self.port(End::Local),
            Some("dst") => self.host(End::Remote),
            Some("src") => self.host(End::Local),
            Some("dev") => self.device(),
            Some("fwmark") => self.mark(),
            Some("cgroup") => self.cgroup(),
            Some("autobound") => {
                self.at += 1;
                Ok(Expr::AutoBound)
            }
            None | Some("and" | "&" | "&&" | "or" | "|" | "||" | ")" | "=" | "==" | "eq") => {
                Err(self.syntax("a predicate"))
            }
            Some(word) => Err(failed(format!(
                "ss: filter: '{word}' is no predicate (dst, src, dport, sport, dev, fwmark, cgroup, autobound)"
            ))),
        }
    }

    /// An operator, if one is next; `=` if not.
    fn compare(&mut self) -> Compare {
        let compare = match self.peek() {
            Some("=" | "==" | "eq") => Compare::Eq,
            Some("!=" | "ne" | "neq") => Compare::Ne,
            Some(">" | "gt") => Compare::Gt,
            Some("<" | "lt") => Compare::Lt,
            Some(">=" | "ge" | "geq") => Compare::Ge,
            Some("<=" | "le" | "leq") => Compare::Le,
            _ => return Compare::Eq,
        };
        self.at += 1;
        compare
    }

    fn equality(&mut self, may_differ: bool) -> Result<bool, ToolError> {
        let before = self.at;
        match self.compare() {
            Compare::Eq => Ok(true),
            Compare::Ne if may_differ => Ok(false),
            _ => {
                self.at = before;
                Err(self.syntax("'=' or a value"))
            }
        }
    }

    fn value(&mut self, wanted: &str) -> Result<&'a str, ToolError> {
        match self.peek() {
            None | Some("(" | ")" | "and" | "or" | "not" | "&" | "&&" | "|" | "||" | "!") => {
                Err(self.syntax(wanted))
            }
            Some(word) => {
                self.at += 1;
                Ok(word)
            }
        }
    }

    fn port(&mut self, end: End) -> Result<Expr, ToolError> {
        self.at += 1;
        let compare = self.compare();
        let word = self.value("a port")?;
        let (kind, rest) = self.family_of(word);
        let text = rest.strip_prefix(':').unwrap_or(rest);
        if text == "*" {
            return Ok(Expr::All(Vec::new()));
        }
        if kind == Kind::Link {
            let index = (self.context.device)(text)
                .ok_or_else(|| failed(format!("Error: \"{text}\" does not look like a port.")))?;
            return Ok(Expr::Port(end, compare, index));
        }
        if text == "kernel" && kind == Kind::Netlink {
            return Ok(Expr::Port(end, compare, 0));
        }
        let number = number(text).or_else(|| self.context.names.port(text).map(u32::from));
        let number = number.ok_or_else(|| failed(format!("Error: \"{text}\" does not look like a port.")))?;
        Ok(Expr::Port(end, compare, number))
    }

    /// The family a host names, and the rest of the word.
    fn family_of(&mut self, word: &'a str) -> (Kind, &'a str) {
        if let Some((family, rest)) = word.split_once(':')
            && let Some(kind) = Kind::from_word(family)
        {
            self.kinds.push(kind);
            return (kind, rest);
        }
        (self.context.kind, word)
    }

    fn host(&mut self, end: End) -> Result<Expr, ToolError> {
        self.at += 1;
        self.equality(false)?;
        let word = self.value("a host")?;
        let (kind, rest) = self.family_of(word);
        if word.starts_with(['/', '@']) && kind == Kind::Inet {
            self.kinds.push(Kind::Unix);
            return Ok(Expr::Host(end, Host::Unix(rest.to_owned())));
        }
        let bad = |text: &str| {
            failed(format!(
                "Error: an inet prefix is expected rather than \"{text}\".\nCannot parse dst/src address."
            ))
        };
        let host = match kind {
            Kind::Unix => Host::Unix(rest.to_owned()),
            Kind::Inet | Kind::Inet4 | Kind::Inet6 => self.inet(rest, kind)?,
            Kind::Link => {
                let (protocol, device) = rest.rsplit_once(':').unwrap_or((rest, ""));
                let protocol = match protocol {
                    "" | "*" => None,
                    word => Some(ethernet(word).ok_or_else(|| bad(word))?),
                };
                let device = match device {
                    "" | "*" => None,
                    word => Some((self.context.device)(word).ok_or_else(|| bad(word))?),
                };
                Host::Link(protocol, device)
            }
            Kind::Netlink => {
                let (protocol, pid) = rest.split_once(':').unwrap_or((rest, ""));
                let protocol = match protocol {
                    "" | "*" => None,
                    word => Some(super::names::netlink_number(word).ok_or_else(|| bad(word))?),
                };
                let pid = match pid {
                    "" | "*" => None,
                    "kernel" => Some(0),
                    word => Some(number(word).ok_or_else(|| bad(word))?),
                };
                Host::Netlink(protocol, pid)
            }
            Kind::Vsock => {
                let (cid, port) = rest.split_once(':').unwrap_or((rest, ""));
                let part = |word: &str| match word {
                    "" | "*" => Ok(None),
                    word => number(word).map(Some).ok_or_else(|| bad(word)),
                };
                Host::Vsock(part(cid)?, part(port)?)
            }
        };
        Ok(Expr::Host(end, host))
    }

    fn inet(&self, text: &str, kind: Kind) -> Result<Host, ToolError> {
        let bad = || {
            failed(format!(
                "Error: an inet prefix is expected rather than \"{text}\".\nCannot parse dst/src address."
            ))
        };
        // `[v6]/len:port`, `v4/len:port`, `name:port`, `:port`, `*:port`.
        let (address, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, rest)) => {
                let (length, port) = match rest.split_once(':') {
                    Some((length, port)) => (length, Some(port)),
                    None => (rest, None),
                };
                (format!("{inside}{length}"), port)
            }
            // A bare IPv6 prefix has more than one colon.
            None if text.matches(':').count() > 1 => (text.to_owned(), None),
            None => match text.split_once(':') {
                Some((address, port)) => (address.to_owned(), Some(port)),
                None => (text.to_owned(), None),
            },
        };
        let port = match port {
            None | Some("" | "*") => None,
            Some(word) => {
                let port = number(word).and_then(|port| u16::try_from(port).ok());
                let port = port.or_else(|| self.context.names.port(word));
                Some(port.ok_or_else(|| failed(format!("Error: \"{word}\" does not look like a port.")))?)
            }
        };
        let mut prefixes = match address.as_str() {
            "" | "*" => Vec::new(),
            word => match prefix(word) {
                Some(one) => vec![one],
                None => lookup(word).ok_or_else(bad)?,
            },
        };
        if !prefixes.is_empty() {
            prefixes.retain(|(address, _)| match kind {
                Kind::Inet4 => address.is_ipv4(),
                Kind::Inet6 => address.is_ipv6(),
                _ => true,
            });
            if prefixes.is_empty() {
                return Err(bad());
            }
        }
        Ok(Host::Inet(prefixes, port))
    }

    fn device(&mut self) -> Result<Expr, ToolError> {
        self.at += 1;
        let same = self.equality(true)?;
        let word = self.value("a device")?;
        let index = (self.context.device)(word).or_else(|| number(word));
        let index = index.ok_or_else(|| failed("Cannot parse device.".into()))?;
        Ok(negated_unless(same, Expr::Device(index)))
    }

    fn mark(&mut self) -> Result<Expr, ToolError> {
        self.at += 1;
        let same = self.equality(true)?;
        let word = self.value("a mark")?;
        let (value, mask) = word.split_once('/').unwrap_or((word, "0xffffffff"));
        let (Some(value), Some(mask)) = (number(value), number(mask)) else {
            return Err(failed(format!("Cannot parse mark {word}.")));
        };
        Ok(negated_unless(same, Expr::Mark { value, mask }))
    }

    fn cgroup(&mut self) -> Result<Expr, ToolError> {
        self.at += 1;
        let same = self.equality(true)?;
        let word = self.value("a cgroup")?;
        let id = (self.context.cgroup)(word).map_err(failed)?;
        Ok(negated_unless(same, Expr::Cgroup(id)))
    }
}

fn negated_unless(same: bool, expr: Expr) -> Expr {
    if same { expr } else { Expr::Not(Box::new(expr)) }
}

/// Decimal, or hexadecimal behind `0x`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `193.233.7/24`: octets that are missing are 0.
fn prefix(word: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (word, None),
    };
    let address: IpAddr = match address.parse() {
        Ok(address) => address,
        Err(_) => {
            let mut octets = [0; 4];
            let words: Vec<&str> = address.split('.').collect();
            for (place, word) in octets.iter_mut().zip(&words) {
                *place = word.parse().ok()?;
            }
            if words.len() > 4 {
                return None;
            }
            IpAddr::from(octets)
        }
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(bits);
    (length <= bits).then_some((address, length))
}

/// The addresses of a host name, as the machine's resolver knows it.
fn lookup(name: &str) -> Option<Vec<(IpAddr, u8)>> {
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if !plain {
        return None;
    }
    let mut found: Vec<(IpAddr, u8)> = (name, 0)
        .to_socket_addrs()
        .ok()?
        .map(|one| (one.ip(), if one.is_ipv4() { 32 } else { 128 }))
        .collect();
    found.dedup();
    (!found.is_empty()).then_some(found)
}

/// The number of an Ethernet protocol.
fn ethernet(word: &str) -> Option<u16> {
    super::names::ethernet_number(word).or_else(|| number(word).and_then(|number| u16::try_from(number).ok()))
}

/// A socket as a filter sees it that the kernel does not run.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    /// Local and remote address, of an IP socket.
    pub(super) inet: Option<[IpAddr; 2]>,
    pub(super) path: Option<&'a str>,
    pub(super) peer_path: Option<&'a str>,
    pub(super) link: Option<(u16, u32)>,
    pub(super) netlink: Option<(u32, u32)>,
    pub(super) vsock: Option<[(u32, u32); 2]>,
    pub(super) local_port: u32,
    pub(super) remote_port: u32,
    pub(super) device: u32,
    pub(super) autobound: bool,
    pub(super) cgroup: Option<u64>,
}

impl Expr {
    /// As the kernel compares IP sockets; an error names what it cannot.
    pub(super) fn for_kernel(&self) -> Result<Filter, &'static str> {
        let each = |parts: &[Expr]| parts.iter().map(Expr::for_kernel).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            Expr::All(parts) => Filter::All(each(parts)?),
            Expr::Any(parts) => Filter::Any(each(parts)?),
            Expr::Not(part) => Filter::Not(Box::new(part.for_kernel()?)),
            Expr::Port(end, compare, port) => match u16::try_from(*port) {
                Ok(port) => Filter::Port(*end, *compare, port),
                // Every port is below: nothing is equal to it or above it.
                Err(_) if matches!(compare, Compare::Ne | Compare::Lt | Compare::Le) => {
                    Filter::All(Vec::new())
                }
                Err(_) => Filter::Any(Vec::new()),
            },
            Expr::Host(end, Host::Inet(prefixes, port)) => {
                let mut all = Vec::new();
                let address = |(net, len): &(IpAddr, u8)| Filter::Address { end: *end, net: *net, len: *len };
                match &prefixes[..] {
                    [] => {}
                    [one] => all.push(address(one)),
                    many => all.push(Filter::Any(many.iter().map(address).collect())),
                }
                all.extend(port.map(|port| Filter::Port(*end, Compare::Eq, port)));
                Filter::All(all)
            }
            // A host of another family is no IP socket's.
            Expr::Host(..) => Filter::Any(Vec::new()),
            Expr::Device(index) => Filter::Device(*index),
            Expr::Mark { value, mask } => Filter::Mark { value: *value, mask: *mask },
            Expr::Cgroup(id) => Filter::Cgroup(*id),
            Expr::AutoBound => Filter::AutoBound,
        })
    }

    /// Whether a socket of another family passes.
    pub(super) fn matches(&self, seen: &Seen<'_>) -> bool {
        match self {
            Expr::All(parts) => parts.iter().all(|part| part.matches(seen)),
            Expr::Any(parts) => parts.iter().any(|part| part.matches(seen)),
            Expr::Not(part) => !part.matches(seen),
            Expr::Port(end, compare, port) => {
                let own = if *end == End::Local { seen.local_port } else { seen.remote_port };
                holds(*compare, own, *port)
            }
            Expr::Host(end, Host::Unix(pattern)) => {
                let text = if *end == End::Local { seen.path } else { seen.peer_path };
                text.is_some_and(|text| glob(pattern, text))
            }
            Expr::Host(end, Host::Inet(prefixes, port)) => seen.inet.is_some_and(|ends| {
                let (own, own_port) = match end {
                    End::Local => (ends[0], seen.local_port),
                    End::Remote => (ends[1], seen.remote_port),
                };
                let inside = prefixes.is_empty() || prefixes.iter().any(|one| is_inside(own, *one));
                inside && port.is_none_or(|port| u32::from(port) == own_port)
            }),
            Expr::Host(End::Local, Host::Link(protocol, device)) => seen.link.is_some_and(|(own, index)| {
                protocol.is_none_or(|one| one == own) && device.is_none_or(|one| one == index)
            }),
            Expr::Host(End::Local, Host::Netlink(protocol, pid)) => {
                seen.netlink.is_some_and(|(own, port)| {
                    protocol.is_none_or(|one| one == own) && pid.is_none_or(|one| one == port)
                })
            }
            Expr::Host(end, Host::Vsock(cid, port)) => seen.vsock.is_some_and(|ends| {
                let own = ends[usize::from(*end == End::Remote)];
                cid.is_none_or(|one| one == own.0) && port.is_none_or(|one| one == own.1)
            }),
            Expr::Host(..) => false,
            Expr::Device(index) => seen.device == *index,
            Expr::Mark { .. } => false,
            Expr::Cgroup(id) => seen.cgroup == Some(*id),
            Expr::AutoBound => seen.autobound,
        }
    }
}

/// Whether an address is in a prefix; an IPv4 prefix takes IPv4 spoken by IPv6 sockets too.
fn is_inside(own: IpAddr, (net, length): (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(four) => u128::from(u32::from(four)) << 96,
        IpAddr::V6(six) => u128::from(six),
    };
    let own = if net.is_ipv4() { own.to_canonical() } else { own };
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    own.is_ipv4() == net.is_ipv4() && (bits(own) ^ bits(net)) & mask == 0
}

fn holds(compare: Compare, a: u32, b: u32) -> bool {
    match compare {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Expr, String> {
        let names = Names::of(std::path::Path::new("/nonexistent"));
        let context = Context {
            names: &names,
            kind: Kind::Inet,
            device: &|name| (name == "v0").then_some(7),
            cgroup: &|_| Ok(42),
        };
        parse(&[text.to_owned()], &context)
            .map(|parsed| parsed.expr.unwrap())
            .map_err(|error| error.to_string())
    }

    fn dport(compare: Compare, port: u32) -> Expr {
        Expr::Port(End::Remote, compare, port)
    }

    #[test]
    fn or_binds_weaker_than_and_and_not_strongest() {
        let expr = parsed("dport = :80 or sport = :80 and not dev v0").unwrap();
        let sport = Expr::Port(End::Local, Compare::Eq, 80);
        let not = Expr::Not(Box::new(Expr::Device(7)));
        assert_eq!(expr, Expr::Any(vec![dport(Compare::Eq, 80), Expr::All(vec![sport, not])]));
        assert_eq!(parsed("( dport 80 | dport 81 ) dport != 82").unwrap().clone(), {
            let any = Expr::Any(vec![dport(Compare::Eq, 80), dport(Compare::Eq, 81)]);
            Expr::All(vec![any, dport(Compare::Ne, 82)])
        });
    }

    #[test]
    fn every_spelling_of_an_operator_means_the_same() {
        for (words, compare) in [
            (["=", "==", "eq"], Compare::Eq),
            (["!=", "ne", "neq"], Compare::Ne),
            (["<", "lt", "lt"], Compare::Lt),
            (["<=", "le", "leq"], Compare::Le),
            ([">", "gt", "gt"], Compare::Gt),
            ([">=", "ge", "geq"], Compare::Ge),
        ] {
            for word in words {
                assert_eq!(parsed(&format!("dport {word} :1024")).unwrap(), dport(compare, 1024), "{word}");
            }
        }
    }

    #[test]
    fn hosts_have_prefixes_and_ports() {
        let host = |text: &str| match parsed(&format!("dst {text}")).unwrap() {
            Expr::Host(End::Remote, Host::Inet(prefixes, port)) => {
                let text: Vec<String> = prefixes.iter().map(|(net, len)| format!("{net}/{len}")).collect();
                (text.join(" "), port)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(host("193.233.7/24"), ("193.233.7.0/24".into(), None));
        assert_eq!(host("192.0.2.1:443"), ("192.0.2.1/32".into(), Some(443)));
        assert_eq!(host("[2001:db8::]/32:443"), ("2001:db8::/32".into(), Some(443)));
        assert_eq!(host("2001:db8::1"), ("2001:db8::1/128".into(), None));
        assert_eq!(host(":443"), (String::new(), Some(443)));
        assert_eq!(host("inet:127/8"), ("127.0.0.0/8".into(), None));
        assert!(parsed("dst inet6:192.0.2.1").is_err());
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (text, named) in [
            ("dport", "end of the line"),
            ("( dport 80", "')'"),
            ("dport = nosuch", "nosuch"),
            ("dport 80 or", "end of the line"),
            ("bogus", "'bogus'"),
            ("dst 300.1.1.1.1", "300.1.1.1.1"),
            ("dev nosuch", "device"),
            ("fwmark x", "mark x"),
            ("dst != 127.0.0.1", "'!='"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn the_kernel_is_asked_for_ip_sockets() {
        let filter = parsed("src 10/8 and dport = :443").unwrap().for_kernel().unwrap();
        assert!(matches!(filter, Filter::All(parts) if parts.len() == 2));
        assert_eq!(parsed("dport = :70000").unwrap().for_kernel(), Ok(Filter::Any(vec![])));
    }

    #[test]
    fn patterns_match_paths_in_either_case() {
        assert!(glob("/tmp/.x11-unix/*", "/tmp/.X11-unix/X0") && glob("*stream*", "/a/u.stream"));
        assert!(glob("@a?c", "@abc") && glob("**", "") && !glob("a*b", "abc") && !glob("", "x"));
        let seen = Seen { path: Some("/run/x"), ..Seen::default() };
        assert!(parsed("src /run/*").unwrap().matches(&seen));
        assert!(parsed("dst unix:*").is_ok_and(|expr| !expr.matches(&seen)));
        let inet = Seen {
            inet: Some(["127.0.0.1".parse().unwrap(), "::ffff:10.1.2.3".parse().unwrap()]),
            remote_port: 443,
            ..Seen::default()
        };
        for (text, passes) in [
            ("dst 10/8", true),
            ("dst 10.1.2.3:443", true),
            ("dst 10.1.2.4", false),
            ("src 0/0", true),
            ("src ::/0", false),
            ("dst ::/0", true),
            ("dport > :442 and not dport = :444", true),
        ] {
            assert_eq!(parsed(text).unwrap().matches(&inet), passes, "{text}");
        }
    }
}
