//! Matches of xtables rules, three-valued.

use std::net::IpAddr;

use netwhy_facts::nft::{NftFamily, NftRule};
use netwhy_facts::route::RouteType;
use netwhy_facts::xtables::{XtFamily, XtMatch, XtRule, XtTable, XtTarget, XtVerdict};
use netwhy_facts::{IpNet, Locus, Reading};

use crate::fib::{self, Lookup, Query};
use crate::hooks::Hook;
use crate::nft::Verdict;
use crate::nft::expr::Flow;
use crate::nft::keys::type_number;
use crate::path::{Action, End};
use crate::skb::{Conn, CtInfo, CtSlot, Skb};
use crate::walk::Walk;
use crate::xt::Outcome;

/// A device name against a pattern with a trailing `+`.
pub(crate) fn name_fits(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// `(address & mask) == network` for a mask that is not a prefix.
fn masked(addr: &IpAddr, net: &IpAddr, mask: &[u8]) -> bool {
    let bytes = |a: &IpAddr| match a {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let (a, n) = (bytes(addr), bytes(net));
    a.len() == n.len() && a.iter().zip(&n).zip(mask).all(|((a, n), m)| a & m == n & m)
}

fn between<T: PartialOrd + Copy>(v: T, r: (T, T)) -> bool {
    r.0 <= v && v <= r.1
}

/// Three-valued conjunction.
struct All {
    open: bool,
}

impl All {
    /// False as soon as a part is false.
    fn and(&mut self, part: Option<bool>) -> bool {
        if part.is_none() {
            self.open = true;
        }
        part != Some(false)
    }
}

impl<'a> Walk<'a, '_> {
    /// Whether a rule matches: `None` when a match cannot be evaluated and nothing else rules it out.
    pub(crate) fn xt_matches(
        &mut self,
        skb: &Skb,
        rule: &XtRule,
        table: &XtTable,
        hook: &Hook,
    ) -> Option<bool> {
        let mut all = All { open: !rule.extra.is_empty() };
        let p = &skb.p;
        for (net, addr, mask, unknown) in [
            (&rule.src, &p.src, rule.odd_masks.as_ref().map(|m| &m.0), skb.src_unknown),
            (&rule.dst, &p.dst, rule.odd_masks.as_ref().map(|m| &m.1), false),
        ] {
            let Some((net, invert)) = net else { continue };
            let fits = match mask {
                Some(mask) => masked(addr, &net.addr, mask),
                None => net.contains(addr),
            };
            if !all.and(if unknown { None } else { Some(fits != *invert) }) {
                return Some(false);
            }
        }
        for (pattern, dev) in [(&rule.iif, hook.iif), (&rule.oif, hook.oif)] {
            let Some((pattern, invert)) = pattern else { continue };
            let name = dev.map(|d| self.w.dev_name(d)).unwrap_or_default();
            if name_fits(&name, pattern) == *invert {
                return Some(false);
            }
        }
        if let Some((proto, invert)) = rule.proto
            && proto != 0
            && (u16::from(p.proto) == proto) == invert
        {
            return Some(false);
        }
        if rule.fragment == Some(true) {
            return Some(false);
        }
        for m in &rule.matches {
            let part = self.xt_match(skb, m, table, hook);
            if !all.and(part) {
                return Some(false);
            }
        }
        if all.open { None } else { Some(true) }
    }

    #[allow(clippy::too_many_lines)] // one arm per match
    fn xt_match(&mut self, skb: &Skb, m: &XtMatch, table: &XtTable, hook: &Hook) -> Option<bool> {
        let p = &skb.p;
        Some(match m {
            XtMatch::Tcp {
                sports,
                sports_inv,
                dports,
                dports_inv,
                flag_mask,
                flag_cmp,
                flags_inv,
                option,
                ..
            } => {
                if p.proto != 6
                    || between(p.sport, *sports) == *sports_inv
                    || between(p.dport, *dports) == *dports_inv
                    || (p.tcp_flags & flag_mask == *flag_cmp) == *flags_inv
                {
                    return Some(false);
                }
                if *option != 0 {
                    return None;
                }
                true
            }
            XtMatch::Udp { sports, sports_inv, dports, dports_inv } => {
                p.proto == 17
                    && between(p.sport, *sports) != *sports_inv
                    && between(p.dport, *dports) != *dports_inv
            }
            XtMatch::Icmp { icmp_type, codes, invert } => {
                matches!(p.proto, 1 | 58)
                    && (*icmp_type == 0xff || (p.icmp_type == *icmp_type && between(p.icmp_code, *codes)))
                        != *invert
            }
            XtMatch::Multiport { side, ports, invert } => {
                let hit = |port: u16| ports.iter().any(|r| between(port, *r));
                let fits = match side {
                    0 => hit(p.sport),
                    1 => hit(p.dport),
                    _ => hit(p.sport) || hit(p.dport),
                };
                matches!(p.proto, 6 | 17) && fits != *invert
            }
            XtMatch::Conntrack { .. } => return conntrack_match(skb, m),
            XtMatch::State { mask } => mask & u32::from(state_bit(skb, 0x40)) != 0,
            XtMatch::Mark { mark, mask, invert } => (p.mark & mask == *mark) != *invert,
            XtMatch::Connmark { mark, mask, invert } => match &skb.ct {
                CtSlot::Entry(c) if c.mark_known => (c.entry.mark & mask == *mark) != *invert,
                CtSlot::Entry(_) => return None,
                _ => false,
            },
            XtMatch::Comment { .. } => true,
            XtMatch::Limit { .. } => {
                self.assume(format!("under the limits of {} table {}", table.family.command(), table.name));
                true
            }
            XtMatch::Connlimit { limit, flags, .. } => {
                self.assume(format!(
                    "the only connection counted in {} table {}",
                    table.family.command(),
                    table.name
                ));
                (1 > *limit) != (flags & 1 != 0)
            }
            XtMatch::Addrtype { source, dest, flags } => {
                let dev = if flags & 4 != 0 {
                    hook.iif
                } else if flags & 8 != 0 {
                    hook.oif
                } else {
                    None
                };
                let fits = |walk: &Self, addr: &IpAddr, mask: u16| {
                    mask & 1u16.checked_shl(type_number(walk.w.addr_type(addr, dev))).unwrap_or(0) != 0
                };
                if *source != 0 {
                    if skb.src_unknown {
                        return None;
                    }
                    if fits(self, &p.src, *source) == (flags & 1 != 0) {
                        return Some(false);
                    }
                }
                *dest == 0 || fits(self, &p.dst, *dest) != (flags & 2 != 0)
            }
            XtMatch::Iprange { src, src_inv, dst, dst_inv } => {
                if let Some(range) = src {
                    if skb.src_unknown {
                        return None;
                    }
                    if (range.0 <= p.src && p.src <= range.1) == *src_inv {
                        return Some(false);
                    }
                }
                dst.as_ref().is_none_or(|r| (r.0 <= p.dst && p.dst <= r.1) != *dst_inv)
            }
            XtMatch::Mac { mac, invert } => {
                if !skb.has_mac {
                    return Some(false);
                }
                match (&p.mac_src, crate::device::parse_mac(mac)) {
                    (Some(have), Some(want)) => (*have == want) != *invert,
                    _ => return None,
                }
            }
            XtMatch::Owner { uid, gid, match_flags, invert_flags } => {
                if !skb.has_sk {
                    return Some(match_flags == invert_flags);
                }
                if match_flags & invert_flags & 4 != 0 {
                    return Some(false);
                }
                for (bit, range, have) in [(1u8, uid, p.uid), (2, gid, p.gid)] {
                    if match_flags & bit == 0 {
                        continue;
                    }
                    let have = have?;
                    let inside = range.is_some_and(|r| between(have, r));
                    if inside == (invert_flags & bit != 0) {
                        return Some(false);
                    }
                }
                true
            }
            XtMatch::Set { set, dim, flags, invert } => {
                return self.ipset_match(skb, hook, set, *dim, *flags).map(|hit| hit != *invert);
            }
            XtMatch::Length { min, max, invert } => {
                (u32::from(*min)..=u32::from(*max)).contains(&p.len) != *invert
            }
            XtMatch::Ttl { mode, ttl } => match mode {
                0 => p.ttl == *ttl,
                1 => p.ttl != *ttl,
                2 => p.ttl < *ttl,
                _ => p.ttl > *ttl,
            },
            XtMatch::Tos { value, mask, invert } => (p.tos & mask == *value) != *invert,
            XtMatch::Dscp { dscp, invert } => (p.tos >> 2 == *dscp) != *invert,
            XtMatch::Pkttype { pkttype, invert } => (skb.pkttype == *pkttype) != *invert,
            XtMatch::Physdev { physin, physout, bitmask, invert } => {
                let name = |i: Option<u32>| i.map(|i| self.w.dev_name(i));
                let (have_in, have_out) = (name(skb.physin), name(skb.physout));
                let checks = [
                    (1u8, have_in.as_ref().is_some_and(|n| name_fits(n, physin))),
                    (2, have_out.as_ref().is_some_and(|n| name_fits(n, physout))),
                    (4, have_in.is_some() && have_out.is_some()),
                    (8, have_in.is_some()),
                    (16, have_out.is_some()),
                ];
                checks.iter().all(|(bit, holds)| bitmask & bit == 0 || *holds != (invert & bit != 0))
            }
            XtMatch::Rpfilter { flags } => return self.rpfilter_match(skb, hook, *flags),
            XtMatch::Socket { flags } => match self.find_socket(skb, hook.iif) {
                None if self.w.sockets.is_none() => return None,
                None => false,
                Some(s) if s.is_wildcard() && flags & 2 == 0 => false,
                Some(_) if flags & 1 != 0 => return None,
                Some(_) => true,
            },
            XtMatch::Statistic { .. }
            | XtMatch::Hashlimit { .. }
            | XtMatch::Recent { .. }
            | XtMatch::Tcpmss { .. }
            | XtMatch::Unknown { .. } => return None,
        })
    }

    fn rpfilter_match(&self, skb: &Skb, hook: &Hook, flags: u8) -> Option<bool> {
        let invert = flags & 8 != 0;
        let iif = hook.iif?;
        if self.w.link(iif).is_some_and(|l| l.is_loopback()) {
            return Some(!invert);
        }
        if skb.src_unknown {
            return None;
        }
        let q = Query {
            src: Some(skb.p.dst),
            mark: if flags & 2 != 0 { skb.p.mark } else { 0 },
            uid: Some(0),
            tos: skb.p.tos,
            ignore_linkdown: true,
            oif: (skb.v6() && flags & 1 == 0).then_some(iif),
            ..Query::to(skb.p.src)
        };
        let good = match fib::lookup(self.w, &q) {
            Lookup::Unknown(_) => return None,
            Lookup::Found(f) => {
                let kind = f.route.kind == RouteType::Unicast
                    || (f.route.kind == RouteType::Local && flags & 4 != 0);
                kind && (flags & 1 != 0 || f.hops.iter().any(|h| h.oif == Some(iif)))
            }
            _ => false,
        };
        Some(good != invert)
    }

    /// An xtables match inside an nftables rule (nft_compat).
    pub(crate) fn compat_match(
        &mut self,
        skb: &Skb,
        hook: &Hook,
        rule: &NftRule,
        name: &str,
        decoded: Option<&XtMatch>,
    ) -> Option<bool> {
        match decoded {
            Some(one) => self.xt_match(skb, one, &compat_table(rule), hook),
            None => (name == "comment").then_some(true),
        }
    }

    /// An xtables target inside an nftables rule.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn compat_target(
        &mut self,
        skb: &mut Skb,
        hook: &Hook,
        rule: &NftRule,
        passed: &mut Vec<String>,
        name: &str,
        info: &[u8],
        decoded: Option<&XtTarget>,
    ) -> Flow {
        match name {
            "LOG" | "NFLOG" | "TRACE" | "AUDIT" | "TCPMSS" | "CHECKSUM" | "LED" | "TEE" | "SET" => {
                passed.push(format!("{name} by {}", self.rule_words(rule)));
                Flow::Next
            }
            // struct ipt_reject_info: the answer by number (uapi ipt_REJECT.h, ip6t_REJECT.h).
            "REJECT" => {
                let n = info.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes).unwrap_or(0);
                let with = if skb.v6() { reject6_word(n) } else { reject4_word(n) };
                let locus: Locus = crate::nft::rule_locus(self, rule);
                Flow::Verdict(Verdict::End(
                    Box::new(End::Rejected { locus, with: with.clone() }),
                    Action::Reject { with: with.clone() },
                    format!("rejected with {with}"),
                ))
            }
            other => match decoded {
                Some(target) => self.compat_outcome(skb, hook, rule, passed, target),
                None => Flow::GiveUp(format!("xtables target {other}")),
            },
        }
    }

    /// Runs a target as the rule of a legacy table would.
    fn compat_outcome(
        &mut self,
        skb: &mut Skb,
        hook: &Hook,
        rule: &NftRule,
        passed: &mut Vec<String>,
        target: &XtTarget,
    ) -> Flow {
        let words = self.rule_words(rule);
        let alone = XtRule {
            src: None,
            dst: None,
            odd_masks: None,
            iif: None,
            oif: None,
            proto: None,
            fragment: None,
            goto: false,
            matches: Vec::new(),
            target: target.clone(),
            counters: (0, 0),
            extra: Vec::new(),
        };
        match self.xt_target(skb, &alone, hook, &words, passed) {
            Err(why) => Flow::GiveUp(why),
            Ok(Outcome::Continue) => Flow::Next,
            Ok(Outcome::End(end, action, what)) => Flow::Verdict(Verdict::End(end, action, what)),
            Ok(Outcome::Verdict(verdict)) => match verdict {
                XtVerdict::Accept => Flow::Verdict(Verdict::Accept),
                XtVerdict::Drop => Flow::Verdict(Verdict::Drop),
                XtVerdict::Return => Flow::Verdict(Verdict::Return),
                XtVerdict::Continue => Flow::Next,
                XtVerdict::Jump(_) | XtVerdict::Queue => {
                    Flow::GiveUp("a verdict no xtables target gives".into())
                }
            },
        }
    }
}

/// The table an nftables rule made by iptables-nft stands for.
fn compat_table(rule: &NftRule) -> XtTable {
    let family = if rule.family == NftFamily::Ip6 { XtFamily::Ip6tables } else { XtFamily::Iptables };
    XtTable { family, name: rule.table.clone(), chains: Reading::NotAsked }
}

/// enum ipt_reject_with.
pub(crate) fn reject4_word(n: u32) -> String {
    match n {
        0 => "icmp net-unreachable",
        1 => "icmp host-unreachable",
        2 => "icmp prot-unreachable",
        3 => "icmp port-unreachable",
        5 => "icmp net-prohibited",
        6 => "icmp host-prohibited",
        7 => "tcp reset",
        8 => "icmp admin-prohibited",
        _ => "icmp",
    }
    .into()
}

/// enum ip6t_reject_with.
pub(crate) fn reject6_word(n: u32) -> String {
    match n {
        0 => "icmpv6 no-route",
        1 => "icmpv6 admin-prohibited",
        2 => "icmpv6 not-neighbour",
        3 => "icmpv6 addr-unreachable",
        4 => "icmpv6 port-unreachable",
        6 => "tcp reset",
        7 => "icmpv6 policy-fail",
        8 => "icmpv6 reject-route",
        _ => "icmpv6",
    }
    .into()
}

/// XT_CONNTRACK_STATE_* of the packet; `untracked` is the bit the match uses for that.
fn state_bit(skb: &Skb, untracked: u16) -> u16 {
    match &skb.ct {
        CtSlot::Entry(c) => match c.info {
            CtInfo::Established => 2,
            CtInfo::Related => 4,
            CtInfo::New => 8,
        },
        CtSlot::Untracked => untracked,
        CtSlot::None => 1,
    }
}

fn conntrack_match(skb: &Skb, m: &XtMatch) -> Option<bool> {
    let XtMatch::Conntrack {
        match_flags,
        invert_flags,
        state_mask,
        status_mask,
        orig_src,
        orig_dst,
        repl_src,
        repl_dst,
        proto,
        orig_sport,
        orig_dport,
        repl_sport,
        repl_dport,
        ..
    } = m
    else {
        return None;
    };
    let inverted = |bit: u16| invert_flags & bit != 0;
    let conn: Option<&Conn> = match &skb.ct {
        CtSlot::Entry(c) => Some(c),
        _ => None,
    };
    if match_flags & 1 != 0 {
        let mut bit = state_bit(skb, 0x100);
        if let Some(c) = conn {
            bit |= if c.entry.status & 16 != 0 { 0x40 } else { 0 };
            bit |= if c.entry.status & 32 != 0 { 0x80 } else { 0 };
        }
        if (state_mask & bit != 0) == inverted(1) {
            return Some(false);
        }
    }
    let Some(c) = conn else { return Some(match_flags & 1 != 0) };
    if match_flags & 0x1000 != 0 && c.reply != inverted(0x1000) {
        return Some(false);
    }
    let (orig, reply) = (&c.entry.orig, &c.entry.reply);
    let nets: [(u16, &Option<IpNet>, &IpAddr); 4] = [
        (4, orig_src, &orig.src),
        (8, orig_dst, &orig.dst),
        (16, repl_src, &reply.src),
        (32, repl_dst, &reply.dst),
    ];
    for (bit, net, addr) in nets {
        if match_flags & bit != 0 && net.as_ref().is_some_and(|n| n.contains(addr)) == inverted(bit) {
            return Some(false);
        }
    }
    if match_flags & 2 != 0 && (u16::from(orig.proto) == *proto) == inverted(2) {
        return Some(false);
    }
    let ports = [
        (0x100, orig_sport, orig.sport),
        (0x200, orig_dport, orig.dport),
        (0x400, repl_sport, reply.sport),
        (0x800, repl_dport, reply.dport),
    ];
    for (bit, range, port) in ports {
        if match_flags & bit != 0 && between(port, *range) == inverted(bit) {
            return Some(false);
        }
    }
    if match_flags & 0x40 != 0 {
        let status = u16::try_from(c.entry.status & 0xffff).unwrap_or(0);
        if (status & status_mask != 0) == inverted(0x40) {
            return Some(false);
        }
    }
    if match_flags & 0x80 != 0 {
        return None;
    }
    Some(true)
}
