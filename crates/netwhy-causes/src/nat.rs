//! What the causes about address translation share: which rule of a path translates, and to what.

use netwhy_facts::Locus;
use std::net::IpAddr;

use netwhy_facts::nft::{Expr, Nft, NftFamily, NftRule};
use netwhy_facts::xtables::{XtTarget, Xtables};
use netwhy_walk::Path;

use crate::case::Case;
use crate::passed;

/// Which end a rule translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// SNAT, masquerade.
    Source,
    /// DNAT, redirect.
    Destination,
}

/// Rules of a path that translate this side, in order.
pub fn rules(case: &Case<'_>, path: &Path, side: Side) -> Vec<Locus> {
    passed::rules_on(path).into_iter().filter(|l| translates(case, l) == Some(side)).collect()
}

/// The side a rule translates, when it does.
pub fn translates(case: &Case<'_>, locus: &Locus) -> Option<Side> {
    if let Some(rule) = case.nft_rule(locus) {
        return nft_side(rule);
    }
    xt_side(&case.xt_rule(locus)?.target)
}

/// The side an nftables rule translates.
pub fn nft_side(rule: &NftRule) -> Option<Side> {
    rule.exprs.iter().find_map(|e| match e {
        Expr::Nat { nat_type: 0, .. } | Expr::Masq { .. } => Some(Side::Source),
        Expr::Nat { .. } | Expr::Redir { .. } => Some(Side::Destination),
        Expr::Target { name, .. } => match name.as_str() {
            "SNAT" | "MASQUERADE" => Some(Side::Source),
            "DNAT" | "REDIRECT" => Some(Side::Destination),
            _ => None,
        },
        _ => None,
    })
}

/// The side a legacy target translates.
pub fn xt_side(target: &XtTarget) -> Option<Side> {
    match target {
        XtTarget::Snat { .. } | XtTarget::Masquerade { .. } => Some(Side::Source),
        XtTarget::Dnat { .. } | XtTarget::Redirect { .. } => Some(Side::Destination),
        _ => None,
    }
}

/// A base chain where source translation would be written, for a packet of this family: nftables first.
pub fn source_chain(case: &Case<'_>, v4: bool) -> Option<(Locus, bool)> {
    if let Some(nft) = case.facts.get::<Nft>().value() {
        let fits = |family: NftFamily| match family {
            NftFamily::Inet => true,
            NftFamily::Ip => v4,
            NftFamily::Ip6 => !v4,
            _ => false,
        };
        let chain = nft.chains.iter().find(|c| {
            c.chain_type.as_deref() == Some("nat")
                && c.hook.as_ref().is_some_and(|h| h.num == 4)
                && fits(c.family)
        });
        if let Some(c) = chain {
            let empty = nft.rules_of(c.family, &c.table, &c.name).next().is_none();
            let locus = Locus::NftChain {
                family: c.family.name().into(),
                table: c.table.clone(),
                chain: c.name.clone(),
                hook: "postrouting".into(),
                policy: if c.policy == Some(0) { "drop" } else { "accept" }.into(),
            };
            return Some((locus, empty));
        }
    }
    let command = if v4 { "iptables" } else { "ip6tables" };
    let tables = case.facts.get::<Xtables>().value()?;
    let table = tables.0.iter().find(|t| t.family.command() == command && t.name == "nat")?;
    let chain = table.chains.value()?.iter().find(|c| c.name == "POSTROUTING")?;
    let locus = Locus::IptChain {
        command: command.into(),
        table: "nat".into(),
        chain: "POSTROUTING".into(),
        policy: "ACCEPT".into(),
    };
    Some((locus, chain.rules.is_empty()))
}

/// Whether a path changed the destination of its packet.
pub fn moves_destination(path: &Path) -> bool {
    (path.finally.dst, path.finally.dport) != (path.packet.dst, path.packet.dport)
}

/// Whether a path changed the source of its packet.
pub fn moves_source(path: &Path) -> bool {
    path.finally.src != path.packet.src && !path.packet.src.is_unspecified()
}

/// Whether an address is private: it means nothing beyond its own site (RFC 1918, RFC 6598, RFC 4193).
pub fn is_private(addr: &IpAddr) -> bool {
    match addr {
        IpAddr::V4(a) => a.is_private() || (a.octets()[0] == 100 && a.octets()[1] & 0xc0 == 64),
        IpAddr::V6(a) => a.segments()[0] & 0xfe00 == 0xfc00,
    }
}

/// The text of a rule, for an object made from the facts.
pub fn nft_text(nft: &Nft, rule: &NftRule) -> String {
    netwhy_walk::rule_spec(nft, rule, &|_| None)
}

/// Every rule of this namespace that translates this side, whether the flow meets it or not.
pub fn all_rules(case: &Case<'_>, side: Side) -> Vec<Locus> {
    let mut out = Vec::new();
    if let Some(nft) = case.facts.get::<Nft>().value() {
        out.extend(nft.rules.iter().filter(|r| nft_side(r) == Some(side)).map(|r| Locus::NftRule {
            family: r.family.name().into(),
            table: r.table.clone(),
            chain: r.chain.clone(),
            handle: r.handle,
            text: nft_text(nft, r),
        }));
    }
    if let Some(tables) = case.facts.get::<Xtables>().value() {
        for t in &tables.0 {
            for c in t.chains.value().into_iter().flatten() {
                for (i, r) in c.rules.iter().enumerate().filter(|(_, r)| xt_side(&r.target) == Some(side)) {
                    out.push(Locus::IptRule {
                        command: t.family.command().into(),
                        table: t.name.clone(),
                        chain: c.name.clone(),
                        number: u32::try_from(i + 1).unwrap_or(u32::MAX),
                        text: netwhy_walk::xt_rule_text(&c.name, r),
                    });
                }
            }
        }
    }
    out
}
