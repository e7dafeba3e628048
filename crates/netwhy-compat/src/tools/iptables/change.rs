//! `iptables -A`, `-I`, `-D`: one rule added or removed. On nftables' back end rules are written as
//! iptables-nft writes them, so that either program reads the other's.

use std::net::IpAddr;

use netwhy_change::nft::{BaseHook, Place, Transaction};
use netwhy_collect::Collector;
use netwhy_facts::nft::{BitwiseOp, CmpOp, Data, Expr, NftRule, NftVerdict, PayloadBase};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_walk::{proto_number, xt_rule_text};

use super::options::wrong;
use super::{Backend, Called, from_nft};
use crate::{Session, ToolError};

/// The register iptables-nft uses.
const REG: u32 = 1;

/// What is to be done with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Append,
    /// Before the rule with this number, from 1.
    Insert(usize),
    /// The first that is like it.
    Delete,
    /// The one with this number.
    DeleteNumber(usize),
}

/// A rule as it was typed.
#[derive(Debug, Clone, Default)]
struct Typed {
    exprs: Vec<Expr>,
    proto: Option<u8>,
    target: Vec<Expr>,
    log: Option<(String, u8, u8)>,
    reject: Option<u32>,
}

/// Whether the words order a change; `Err` when they do and cannot be read.
pub(super) fn asked(args: &[String]) -> bool {
    args.iter().any(|word| {
        matches!(
            word.as_str(),
            "-A" | "--append"
                | "-I"
                | "--insert"
                | "-D"
                | "--delete"
                | "-R"
                | "-N"
                | "-X"
                | "-F"
                | "-P"
                | "-E"
                | "-C"
        )
    })
}

pub(super) fn run(session: &mut Session<'_>, called: &Called, args: &[String]) -> Result<u8, ToolError> {
    let mut table = "filter".to_owned();
    let mut order = None;
    let mut chain = String::new();
    let mut typed = Typed::default();
    let mut words = args.iter().peekable();
    let mut invert = false;
    while let Some(word) = words.next() {
        let mut next = |what: &str| {
            words
                .next()
                .cloned()
                .ok_or_else(|| wrong(called, format_args!("option \"{word}\" requires an argument: {what}")))
        };
        match word.as_str() {
            "!" => {
                invert = true;
                continue;
            }
            "-t" | "--table" => table = next("a table")?,
            "-A" | "--append" => {
                chain = next("a chain")?;
                order = Some(Order::Append);
            }
            "-I" | "--insert" | "-D" | "--delete" => {
                let insert = matches!(word.as_str(), "-I" | "--insert");
                chain = next("a chain")?;
                let number = words.peek().and_then(|word| word.parse::<usize>().ok());
                if number.is_some() {
                    words.next();
                }
                order = Some(match (insert, number) {
                    (true, number) => Order::Insert(number.unwrap_or(1)),
                    (false, Some(number)) => Order::DeleteNumber(number),
                    (false, None) => Order::Delete,
                });
            }
            "-s" | "--source" | "-d" | "--destination" => {
                let source = matches!(word.as_str(), "-s" | "--source");
                let text = next("an address")?;
                typed.address(called, &text, source, invert)?;
            }
            "-i" | "--in-interface" | "-o" | "--out-interface" => {
                let key = if matches!(word.as_str(), "-i" | "--in-interface") { 6 } else { 7 };
                let name = next("a device")?;
                let mut bytes = name.trim_end_matches('+').as_bytes().to_vec();
                if !name.ends_with('+') {
                    bytes.push(0);
                }
                typed.exprs.push(Expr::Meta { key, dreg: REG });
                typed.compare(bytes, invert);
            }
            "-p" | "--protocol" | "--proto" => {
                let text = next("a protocol")?;
                let number = text.parse().ok().or_else(|| proto_number(&text.to_lowercase()));
                let number: u8 = number
                    .ok_or_else(|| wrong(called, format_args!("unknown protocol \"{text}\" specified")))?;
                typed.exprs.push(Expr::Meta { key: 16, dreg: REG });
                typed.compare(vec![number], invert);
                typed.proto = Some(number).filter(|_| !invert);
            }
            "--dport" | "--destination-port" | "--sport" | "--source-port" => {
                let offset = if word.starts_with("--d") { 2 } else { 0 };
                let text = next("a port")?;
                typed.port(called, word, &text, offset, invert)?;
            }
            "-m" | "--match" => {
                let name = next("a match")?;
                if !matches!(name.as_str(), "tcp" | "udp") {
                    return Err(refused(
                        called,
                        &format!("-m {name}"),
                        "matches beyond ports are listed, not written",
                    ));
                }
            }
            "-j" | "--jump" => {
                let name = next("a target")?;
                typed.jump(called, &name)?;
            }
            "--log-prefix" if typed.log.is_some() => {
                let text = next("a prefix")?;
                if text.len() > 29 {
                    return Err(wrong(called, "Maximum prefix length 29 for --log-prefix"));
                }
                if let Some(log) = &mut typed.log {
                    log.0 = text;
                }
            }
            "--log-level" if typed.log.is_some() => {
                let text = next("a level")?;
                let names = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
                let level = text.parse().ok().or_else(|| {
                    names.iter().position(|name| *name == text).and_then(|at| u8::try_from(at).ok())
                });
                let level = level.ok_or_else(|| wrong(called, format_args!("log-level {text} unknown")))?;
                if let Some(log) = &mut typed.log {
                    log.1 = level;
                }
            }
            "--reject-with" if typed.reject.is_some() => {
                let text = next("a reason")?;
                typed.reject = Some(reason(called, &text)?);
            }
            "-w" | "--wait" => {}
            other => {
                return Err(refused(
                    called,
                    other,
                    "netwhy writes -p, --sport, --dport, -s, -d, -i, -o and the plain targets",
                ));
            }
        }
        invert = false;
    }
    let Some(order) = order else {
        return Err(refused(called, &args.join(" "), "netwhy adds (-A, -I) and deletes (-D) rules"));
    };
    if called.backend == Backend::Legacy {
        return Err(refused(
            called,
            &args.join(" "),
            "rules are written on nftables' back end (iptables-nft)",
        ));
    }
    carry_out(session, called, &table, &chain, &order, typed)
}

fn refused(called: &Called, what: &str, why: &str) -> ToolError {
    ToolError::Refused { what: format!("{} {what}", called.name), why: why.into(), code: 2 }
}

impl Typed {
    fn compare(&mut self, data: Vec<u8>, invert: bool) {
        let op = if invert { CmpOp::Neq } else { CmpOp::Eq };
        self.exprs.push(Expr::Cmp { op, sreg: REG, data });
    }

    fn address(&mut self, called: &Called, text: &str, source: bool, invert: bool) -> Result<(), ToolError> {
        let bad = || wrong(called, format_args!("host/network `{text}' not found"));
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        if address.is_ipv6() != called.six {
            return Err(bad());
        }
        let mut bytes = match address {
            IpAddr::V4(four) => four.octets().to_vec(),
            IpAddr::V6(six) => six.octets().to_vec(),
        };
        let bits = bytes.len() * 8;
        let length: usize = length.map_or(Some(bits), |length| length.parse().ok()).ok_or_else(bad)?;
        if length > bits {
            return Err(bad());
        }
        if length == 0 {
            return Ok(());
        }
        let offset = match (called.six, source) {
            (false, true) => 12,
            (false, false) => 16,
            (true, true) => 8,
            (true, false) => 24,
        };
        // Whole bytes are compared alone; a mask is needed only inside one.
        let used = length.div_ceil(8);
        bytes.truncate(used);
        let width = if length.is_multiple_of(8) { used } else { bits / 8 };
        let mut mask = vec![0xff; used];
        if let (true, Some(last)) = (!length.is_multiple_of(8), mask.last_mut()) {
            *last = (0xff00_u32 >> (length % 8)).to_le_bytes()[0];
        }
        bytes.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte &= mask);
        bytes.resize(width, 0);
        mask.resize(width, 0);
        let len = u32::try_from(width).unwrap_or(0);
        self.exprs.push(Expr::Payload { base: PayloadBase::Network, offset, len, dreg: REG });
        if !length.is_multiple_of(8) {
            let xor = vec![0; width];
            self.exprs.push(Expr::Bitwise {
                sreg: REG,
                dreg: REG,
                len,
                op: BitwiseOp::MaskXor { mask, xor },
            });
        }
        self.compare(bytes, invert);
        Ok(())
    }

    fn port(
        &mut self,
        called: &Called,
        word: &str,
        text: &str,
        offset: u32,
        invert: bool,
    ) -> Result<(), ToolError> {
        if !matches!(self.proto, Some(6 | 17)) {
            return Err(wrong(called, format_args!("unknown option \"{word}\": it needs -p tcp or -p udp")));
        }
        let bad = || wrong(called, format_args!("invalid port/service `{text}' specified"));
        let (low, high) = text.split_once(':').map_or((text, text), |pair| pair);
        let low: u16 = if low.is_empty() { 0 } else { low.parse().map_err(|_| bad())? };
        let high: u16 = if high.is_empty() { u16::MAX } else { high.parse().map_err(|_| bad())? };
        if low > high {
            return Err(bad());
        }
        self.exprs.push(Expr::Payload { base: PayloadBase::Transport, offset, len: 2, dreg: REG });
        let (from, to) = (low.to_be_bytes().to_vec(), high.to_be_bytes().to_vec());
        if low == high {
            self.compare(from, invert);
        } else {
            self.exprs.push(Expr::Range { negate: invert, sreg: REG, from, to });
        }
        Ok(())
    }

    fn jump(&mut self, called: &Called, name: &str) -> Result<(), ToolError> {
        let verdict = |verdict| vec![Expr::Immediate { dreg: 0, data: Data::Verdict(verdict) }];
        self.target = match name {
            "ACCEPT" => verdict(NftVerdict::Accept),
            "DROP" => verdict(NftVerdict::Drop),
            "RETURN" => verdict(NftVerdict::Return),
            "TRACE" => vec![
                Expr::Immediate { dreg: 9, data: Data::Value(vec![1]) },
                Expr::MetaSet { key: 12, sreg: 9 },
            ],
            "LOG" => {
                self.log = Some((String::new(), 4, 0));
                Vec::new()
            }
            "REJECT" => {
                self.reject = Some(if called.six { 4 } else { 3 });
                Vec::new()
            }
            name if name.chars().all(|letter| letter.is_ascii_uppercase())
                && matches!(
                    name,
                    "DNAT"
                        | "SNAT"
                        | "MASQUERADE"
                        | "REDIRECT"
                        | "MARK"
                        | "CT"
                        | "NFLOG"
                        | "NFQUEUE"
                        | "TCPMSS"
                ) =>
            {
                return Err(refused(called, &format!("-j {name}"), "this target is listed, not written"));
            }
            chain => verdict(NftVerdict::Jump(chain.to_owned())),
        };
        Ok(())
    }

    /// The whole rule, as iptables-nft orders it.
    fn finish(self) -> Vec<Expr> {
        let mut exprs = self.exprs;
        exprs.push(Expr::Counter { packets: 0, bytes: 0 });
        if let Some((prefix, level, flags)) = self.log {
            // struct ipt_log_info: level, flags, 30 bytes of prefix.
            let mut info = vec![level, flags];
            info.extend(prefix.as_bytes());
            info.resize(32, 0);
            exprs.push(Expr::Target { name: "LOG".into(), revision: 0, info, decoded: None });
        }
        if let Some(with) = self.reject {
            let mut info = with.to_ne_bytes().to_vec();
            info.resize(8, 0);
            exprs.push(Expr::Target { name: "REJECT".into(), revision: 0, info, decoded: None });
        }
        exprs.extend(self.target);
        exprs
    }
}

/// `enum ipt_reject_with` and `enum ip6t_reject_with`.
fn reason(called: &Called, text: &str) -> Result<u32, ToolError> {
    let names: &[(&str, u32)] = if called.six {
        &[
            ("icmp6-no-route", 0),
            ("icmp6-adm-prohibited", 1),
            ("icmp6-addr-unreachable", 3),
            ("icmp6-port-unreachable", 4),
            ("tcp-reset", 6),
        ]
    } else {
        &[
            ("icmp-net-unreachable", 0),
            ("icmp-host-unreachable", 1),
            ("icmp-proto-unreachable", 2),
            ("icmp-port-unreachable", 3),
            ("icmp-net-prohibited", 5),
            ("icmp-host-prohibited", 6),
            ("tcp-reset", 7),
            ("icmp-admin-prohibited", 8),
        ]
    };
    let known = names.iter().find(|(name, _)| *name == text);
    known
        .map(|(_, number)| *number)
        .ok_or_else(|| wrong(called, format_args!("unknown reject type \"{text}\"")))
}

/// The chain's hook and priority, as iptables-nft makes it.
fn base(table: &str, chain: &str) -> Option<BaseHook> {
    let (number, _) = from_nft::builtin(table)?.iter().find(|(_, name)| *name == chain)?;
    let (kind, priority) = match (table, chain) {
        ("nat", "PREROUTING" | "OUTPUT") => ("nat", -100),
        ("nat", _) => ("nat", 100),
        ("mangle", "OUTPUT") => ("route", -150),
        ("mangle", _) => ("filter", -150),
        ("raw", _) => ("filter", -300),
        ("security", _) => ("filter", 50),
        _ => ("filter", 0),
    };
    Some(BaseHook { kind: kind.into(), number: *number, priority, devices: Vec::new(), accept: Some(true) })
}

fn carry_out(
    session: &mut Session<'_>,
    called: &Called,
    table: &str,
    chain: &str,
    order: &Order,
    typed: Typed,
) -> Result<u8, ToolError> {
    if from_nft::builtin(table).is_none() {
        let text = format!("{}: table '{table}' does not exist", called.prefix());
        return Err(ToolError::failed(text, 3));
    }
    let collector = session.collector()?;
    let listing = collector.nft_listing(&|_| false)?;
    let (nft, family) = (&listing.nft, called.family());
    let base = base(table, chain);
    if base.is_none() && nft.chain(family, table, chain).is_none() {
        return Err(ToolError::failed("iptables: No chain/target/match by that name.", 1));
    }
    let exprs = typed.finish();
    let rules: Vec<&NftRule> = nft.rules_of(family, table, chain).collect();
    let mut transaction = Transaction::new();
    let failed =
        |error: netwhy_change::ChangeError| ToolError::failed(format!("{}: {error}", called.prefix()), 4);
    let command = format!("{} -t {table}", called.name);
    let (what, undo) = match order {
        Order::Append | Order::Insert(_) => {
            transaction.add_table(family, table, false).map_err(failed)?;
            if let Some(base) = &base
                && nft.chain(family, table, chain).is_none()
            {
                transaction.add_chain(family, table, chain, Some(base), false).map_err(failed)?;
            }
            let place = match order {
                Order::Insert(number) => match number.checked_sub(1).and_then(|at| rules.get(at)) {
                    Some(rule) => Place::Before(rule.handle),
                    None if *number == rules.len() + 1 => Place::End,
                    None => return Err(ToolError::failed("iptables: Index of insertion too big.", 1)),
                },
                _ => Place::End,
            };
            transaction.add_rule(family, table, chain, place, &exprs, None, &[]).map_err(failed)?;
            let number = match order {
                Order::Insert(number) => *number,
                _ => rules.len() + 1,
            };
            let verb = if *order == Order::Append { "append" } else { "insert" };
            (
                format!("{verb} rule {number} of {table} {chain} (nftables' back end)"),
                format!("{command} -D {chain} {number}"),
            )
        }
        Order::Delete | Order::DeleteNumber(_) => {
            let at = match order {
                Order::DeleteNumber(number) => number.checked_sub(1).filter(|at| *at < rules.len()),
                _ => rules.iter().position(|rule| same(&rule.exprs, &exprs)),
            };
            let Some((at, rule)) = at.and_then(|at| Some((at, *rules.get(at)?))) else {
                let text = match order {
                    Order::Delete => "iptables: Bad rule (does a matching rule exist in that chain?).",
                    _ => "iptables: Index of deletion too big.",
                };
                return Err(ToolError::failed(text, 1));
            };
            transaction.delete_rule(family, table, chain, rule.handle).map_err(failed)?;
            let text = from_nft::rule(rule).map(|rule| xt_rule_text(chain, &rule));
            let text = text.unwrap_or_default().replacen(
                &format!("-A {chain}"),
                &format!("-I {chain} {}", at + 1),
                1,
            );
            (
                format!("delete rule {} of {table} {chain} (nftables' back end)", at + 1),
                format!("{command} {text}"),
            )
        }
    };
    session.announce(&what, Some(&undo))?;
    let mut socket = open(&collector)?;
    transaction.commit(&mut socket).map_err(failed)?;
    Ok(0)
}

fn open(collector: &Collector) -> Result<Socket, ToolError> {
    let socket = collector.inside(|| Socket::open(Protocol::Netfilter))?;
    socket.map_err(|error| ToolError::failed(error.to_string(), 4))
}

/// Whether two rules do the same, counters aside.
fn same(a: &[Expr], b: &[Expr]) -> bool {
    let plain = |expr: &Expr| match expr {
        Expr::Counter { .. } => Expr::Counter { packets: 0, bytes: 0 },
        Expr::Target { name, revision, info, .. } => {
            Expr::Target { name: name.clone(), revision: *revision, info: info.clone(), decoded: None }
        }
        other => other.clone(),
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| plain(a) == plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_those_of_the_tables() {
        let chain = base("raw", "PREROUTING").unwrap();
        assert_eq!((chain.number, chain.priority, chain.kind.as_str()), (0, -300, "filter"));
        assert_eq!(base("filter", "PREROUTING"), None);
    }
}
