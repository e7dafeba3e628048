//! What the rules of this host do with an ARP frame: nftables of family arp, netdev and bridge, and arptables.
//!
//! The walker carries IP packets; neighbour resolution for IPv4 needs this little machine beside it. What it cannot
//! evaluate it calls open, and nobody is blamed.

use std::net::Ipv4Addr;

use netwhy_facts::Locus;
use netwhy_facts::nft::{
    BitwiseOp, CmpOp, Data, Expr, Nft, NftChain, NftFamily, NftRule, NftVerdict, PayloadBase,
};
use netwhy_facts::xtables::{XtChain, XtFamily, XtTarget, XtVerdict, Xtables};

/// An ARP frame at a hook.
#[derive(Debug, Clone)]
pub struct Frame {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: [u8; 6],
    /// Sender's address.
    pub sender: Ipv4Addr,
    /// Address asked for, or of who asked.
    pub target: Ipv4Addr,
    /// Device: index and name.
    pub dev: (u32, String),
    /// Leaving this host.
    pub out: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Nothing stops it.
    Passes,
    /// An object stops it.
    Dropped(Locus),
    /// A rule could not be evaluated.
    Open,
}

impl Frame {
    fn link(&self) -> Vec<u8> {
        let mut out = if self.operation == 1 { vec![0xff; 6] } else { vec![0; 6] };
        out.extend(self.sender_mac);
        out.extend([0x08, 0x06]);
        out
    }
    fn body(&self) -> Vec<u8> {
        let mut out = vec![0, 1, 8, 0, 6, 4];
        out.extend(self.operation.to_be_bytes());
        out.extend(self.sender_mac);
        out.extend(self.sender.octets());
        out.extend([0; 6]);
        out.extend(self.target.octets());
        out
    }
    fn meta(&self, key: u32) -> Option<Vec<u8>> {
        let name = || {
            let mut bytes = self.dev.1.as_bytes().to_vec();
            bytes.resize(16, 0);
            bytes
        };
        // NFT_META_PROTOCOL, IIF, OIF, IIFNAME, OIFNAME. The other side's device is none.
        match (key, self.out) {
            (1, _) => Some(vec![0x08, 0x06]),
            (4, false) | (5, true) => Some(self.dev.0.to_ne_bytes().to_vec()),
            (6, false) | (7, true) => Some(name()),
            (4, true) | (5, false) => Some(vec![0; 4]),
            (6, true) | (7, false) => Some(vec![0; 16]),
            _ => None,
        }
    }
}

/// Sends a frame through the rules that see it.
pub fn walk(nft: Option<&Nft>, xtables: Option<&Xtables>, frame: &Frame) -> Fate {
    let mut open = false;
    if let Some(nft) = nft {
        let mut chains: Vec<&NftChain> = nft.chains.iter().filter(|c| hooked(nft, c, frame)).collect();
        chains.sort_by_key(|c| c.hook.as_ref().map_or(0, |h| h.priority));
        for chain in chains {
            match base_chain(nft, chain, frame) {
                Fate::Passes => {}
                Fate::Open => open = true,
                dropped => return dropped,
            }
        }
    }
    if let Some(xtables) = xtables {
        match arptables(xtables, frame) {
            Fate::Passes => {}
            Fate::Open => open = true,
            dropped => return dropped,
        }
    }
    if open { Fate::Open } else { Fate::Passes }
}

fn hooked(nft: &Nft, chain: &NftChain, frame: &Frame) -> bool {
    let Some(hook) = &chain.hook else { return false };
    let dormant =
        nft.tables.iter().any(|t| t.family == chain.family && t.name == chain.table && t.is_dormant());
    let here = match chain.family {
        NftFamily::Arp => hook.num == u32::from(frame.out),
        NftFamily::Netdev => hook.num == u32::from(frame.out) && hook.devices.contains(&frame.dev.1),
        _ => false,
    };
    here && !dormant
}

/// What a run of rules gave.
enum Ran {
    Accept,
    Drop(Locus),
    /// The end of the chain, or a return.
    End,
    Open,
}

fn base_chain(nft: &Nft, chain: &NftChain, frame: &Frame) -> Fate {
    match run(nft, chain, &chain.name, frame, 0) {
        Ran::Accept => Fate::Passes,
        Ran::Drop(locus) => Fate::Dropped(locus),
        Ran::Open => Fate::Open,
        Ran::End if chain.policy == Some(0) => Fate::Dropped(Locus::NftChain {
            family: chain.family.name().into(),
            table: chain.table.clone(),
            chain: chain.name.clone(),
            hook: match (chain.family, frame.out) {
                (NftFamily::Netdev, false) => "ingress",
                (NftFamily::Netdev, true) => "egress",
                (_, false) => "input",
                (_, true) => "output",
            }
            .into(),
            policy: "drop".into(),
        }),
        Ran::End => Fate::Passes,
    }
}

fn run(nft: &Nft, base: &NftChain, name: &str, frame: &Frame, depth: u8) -> Ran {
    if depth > 16 {
        return Ran::Open;
    }
    for rule in nft.rules_of(base.family, &base.table, name) {
        match one(nft, rule, frame) {
            Outcome::No => {}
            Outcome::Open => return Ran::Open,
            Outcome::Verdict(v) => match v {
                NftVerdict::Accept => return Ran::Accept,
                NftVerdict::Drop => {
                    return Ran::Drop(Locus::NftRule {
                        family: rule.family.name().into(),
                        table: rule.table.clone(),
                        chain: rule.chain.clone(),
                        handle: rule.handle,
                        text: netwhy_walk::rule_text(nft, rule),
                    });
                }
                NftVerdict::Continue | NftVerdict::Break => {}
                NftVerdict::Return => return Ran::End,
                NftVerdict::Jump(to) => match run(nft, base, &to, frame, depth + 1) {
                    Ran::End => {}
                    other => return other,
                },
                NftVerdict::Goto(to) => return run(nft, base, &to, frame, depth + 1),
                NftVerdict::Queue(_) | NftVerdict::Other(_) => return Ran::Open,
            },
        }
    }
    Ran::End
}

enum Outcome {
    No,
    Verdict(NftVerdict),
    Open,
}

/// The registers as one run of bytes: 1 to 4 are 16 bytes each, 8 to 23 four bytes each of the same.
fn place(reg: u32) -> Option<usize> {
    match reg {
        1..=4 => Some((reg as usize - 1) * 16),
        8..=23 => Some((reg as usize - 8) * 4),
        _ => None,
    }
}

fn one(nft: &Nft, rule: &NftRule, frame: &Frame) -> Outcome {
    let mut regs = [0u8; 64];
    let (link, body) = (frame.link(), frame.body());
    let store = |regs: &mut [u8; 64], reg: u32, bytes: &[u8]| -> bool {
        let Some(at) = place(reg) else { return false };
        match regs.get_mut(at..at + bytes.len()) {
            Some(slot) => {
                slot.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    };
    for expr in &rule.exprs {
        match expr {
            Expr::Payload { base, offset, len, dreg } => {
                let from = match base {
                    PayloadBase::Link => &link,
                    PayloadBase::Network => &body,
                    _ => return Outcome::No,
                };
                let range = *offset as usize..(*offset + *len) as usize;
                let Some(bytes) = from.get(range) else { return Outcome::No };
                let padded: Vec<u8> = bytes
                    .iter()
                    .copied()
                    .chain(std::iter::repeat(0))
                    .take(bytes.len().next_multiple_of(4))
                    .collect();
                if !store(&mut regs, *dreg, &padded) {
                    return Outcome::Open;
                }
            }
            Expr::Meta { key, dreg } => match frame.meta(*key) {
                Some(bytes) => {
                    let padded: Vec<u8> = bytes
                        .iter()
                        .copied()
                        .chain(std::iter::repeat(0))
                        .take(bytes.len().next_multiple_of(4))
                        .collect();
                    if !store(&mut regs, *dreg, &padded) {
                        return Outcome::Open;
                    }
                }
                None => return Outcome::Open,
            },
            Expr::Bitwise { sreg, dreg, len, op: BitwiseOp::MaskXor { mask, xor } } => {
                let Some(at) = place(*sreg) else { return Outcome::Open };
                let Some(value) = regs.get(at..at + *len as usize) else { return Outcome::Open };
                let byte = |b: &[u8], i: usize| b.get(i).copied().unwrap_or(0);
                let out: Vec<u8> =
                    value.iter().enumerate().map(|(i, v)| (v & byte(mask, i)) ^ byte(xor, i)).collect();
                if !store(&mut regs, *dreg, &out) {
                    return Outcome::Open;
                }
            }
            Expr::Cmp { op, sreg, data } => {
                let Some(at) = place(*sreg) else { return Outcome::Open };
                let Some(value) = regs.get(at..at + data.len()) else { return Outcome::Open };
                let order = value.cmp(data.as_slice());
                let hit = match op {
                    CmpOp::Eq => order.is_eq(),
                    CmpOp::Neq => order.is_ne(),
                    CmpOp::Lt => order.is_lt(),
                    CmpOp::Lte => order.is_le(),
                    CmpOp::Gt => order.is_gt(),
                    CmpOp::Gte => order.is_ge(),
                };
                if !hit {
                    return Outcome::No;
                }
            }
            Expr::Lookup { set, sreg, dreg: None, invert } => {
                let (Some(at), Some(set)) = (place(*sreg), nft.set(rule.family, &rule.table, set)) else {
                    return Outcome::Open;
                };
                // Plain sets only: an interval or an unread one is left open.
                if set.flags & 4 != 0 || !set.elements_read || set.flags & 8 != 0 {
                    return Outcome::Open;
                }
                let Some(key) = regs.get(at..at + set.key_len as usize) else { return Outcome::Open };
                let member = set.elements.iter().any(|e| e.key == key);
                if member == *invert {
                    return Outcome::No;
                }
            }
            Expr::Counter { .. } | Expr::Log { .. } | Expr::Last { .. } => {}
            Expr::Immediate { dreg: 0, data: Data::Verdict(v) } => return Outcome::Verdict(v.clone()),
            _ => return Outcome::Open,
        }
    }
    Outcome::No
}

fn arptables(xtables: &Xtables, frame: &Frame) -> Fate {
    let Some(table) = xtables.0.iter().find(|t| t.family == XtFamily::Arptables && t.name == "filter") else {
        return Fate::Passes;
    };
    let Some(chains) = table.chains.value() else { return Fate::Open };
    let name = if frame.out { "OUTPUT" } else { "INPUT" };
    let Some(chain) = chains.iter().find(|c| c.name == name) else { return Fate::Passes };
    match arp_chain(chains, chain, frame, 0) {
        Ran::Accept => Fate::Passes,
        Ran::Drop(locus) => Fate::Dropped(locus),
        Ran::Open => Fate::Open,
        Ran::End if chain.policy == Some(XtVerdict::Drop) => Fate::Dropped(Locus::IptChain {
            command: "arptables".into(),
            table: "filter".into(),
            chain: chain.name.clone(),
            policy: "DROP".into(),
        }),
        Ran::End => Fate::Passes,
    }
}

fn arp_chain(chains: &[XtChain], chain: &XtChain, frame: &Frame, depth: u8) -> Ran {
    if depth > 16 {
        return Ran::Open;
    }
    for (i, rule) in chain.rules.iter().enumerate() {
        let inside = |net: &Option<(netwhy_facts::IpNet, bool)>, a: Ipv4Addr| {
            net.as_ref().is_none_or(|(n, not)| n.contains(&a.into()) != *not)
        };
        let on = |dev: &Option<(String, bool)>, mine: bool| {
            dev.as_ref().is_none_or(|(name, not)| {
                let hit = mine
                    && match name.strip_suffix('+') {
                        Some(prefix) => frame.dev.1.starts_with(prefix),
                        None => *name == frame.dev.1,
                    };
                hit != *not
            })
        };
        let fits = inside(&rule.src, frame.sender)
            && inside(&rule.dst, frame.target)
            && on(&rule.iif, !frame.out)
            && on(&rule.oif, frame.out);
        if !fits {
            continue;
        }
        if !rule.extra.is_empty() || !rule.matches.is_empty() || rule.odd_masks.is_some() {
            return Ran::Open;
        }
        match &rule.target {
            XtTarget::Standard { verdict: XtVerdict::Accept } => return Ran::Accept,
            XtTarget::Standard { verdict: XtVerdict::Drop } => {
                return Ran::Drop(Locus::IptRule {
                    command: "arptables".into(),
                    table: "filter".into(),
                    chain: chain.name.clone(),
                    number: u32::try_from(i + 1).unwrap_or(u32::MAX),
                    text: netwhy_walk::xt_rule_text(&chain.name, rule),
                });
            }
            XtTarget::Standard { verdict: XtVerdict::Return } => return Ran::End,
            XtTarget::Standard { verdict: XtVerdict::Continue } => {}
            XtTarget::Standard { verdict: XtVerdict::Jump(to) } => {
                match chains.iter().find(|c| c.name == *to).map(|c| arp_chain(chains, c, frame, depth + 1)) {
                    Some(Ran::End) => {}
                    Some(other) => return other,
                    None => return Ran::Open,
                }
            }
            _ => return Ran::Open,
        }
    }
    Ran::End
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::NftHook;

    use super::*;

    fn frame(out: bool) -> Frame {
        Frame {
            operation: if out { 1 } else { 2 },
            sender_mac: [2, 0, 0, 0, 0, 1],
            sender: Ipv4Addr::new(198, 51, 100, 7),
            target: Ipv4Addr::new(198, 51, 100, 1),
            dev: (2, "eth0".into()),
            out,
        }
    }
    fn ruleset(exprs: Vec<Expr>, policy: u32) -> Nft {
        Nft {
            chains: vec![NftChain {
                family: NftFamily::Arp,
                table: "filter".into(),
                name: "output".into(),
                handle: 1,
                hook: Some(NftHook { num: 1, priority: 0, devices: vec![] }),
                chain_type: Some("filter".into()),
                policy: Some(policy),
                flags: 0,
                counter: None,
                ..NftChain::default()
            }],
            rules: vec![NftRule {
                family: NftFamily::Arp,
                table: "filter".into(),
                chain: "output".into(),
                handle: 2,
                exprs,
                comment: None,
                compat: false,
            }],
            ..Nft::default()
        }
    }
    fn operation(n: u8) -> Vec<Expr> {
        vec![
            Expr::Payload { base: PayloadBase::Network, offset: 6, len: 2, dreg: 1 },
            Expr::Cmp { op: CmpOp::Eq, sreg: 1, data: vec![0, n] },
            Expr::Counter { packets: 0, bytes: 0 },
        ]
    }
    fn drop_() -> Expr {
        Expr::Immediate { dreg: 0, data: Data::Verdict(NftVerdict::Drop) }
    }

    #[test]
    fn a_rule_on_the_operation_drops_requests_only() {
        let mut exprs = operation(1);
        exprs.push(drop_());
        let nft = ruleset(exprs, 1);
        assert!(matches!(
            walk(Some(&nft), None, &frame(true)),
            Fate::Dropped(Locus::NftRule { handle: 2, .. })
        ));
        assert_eq!(walk(Some(&nft), None, &frame(false)), Fate::Passes);
    }

    #[test]
    fn a_policy_drops_what_no_rule_accepts() {
        let nft = ruleset(operation(2), 0);
        assert!(matches!(walk(Some(&nft), None, &frame(true)), Fate::Dropped(Locus::NftChain { .. })));
    }

    #[test]
    fn what_cannot_be_evaluated_is_open() {
        let nft = ruleset(vec![Expr::Unknown { name: "x".into(), raw: vec![] }, drop_()], 1);
        assert_eq!(walk(Some(&nft), None, &frame(true)), Fate::Open);
    }

    #[test]
    fn no_rules_no_drop() {
        assert_eq!(walk(None, None, &frame(true)), Fate::Passes);
        assert_eq!(walk(Some(&Nft::default()), Some(&Xtables::default()), &frame(true)), Fate::Passes);
    }
}
