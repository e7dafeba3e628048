//! What the causes about address translation share: which rule of a path translates, and to what.

use netwhy_facts::Locus;
use netwhy_facts::nft::{Expr, Nft, NftRule};
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

/// Every rule of this namespace that translates this side, whether the flow meets it or not.
pub fn all_rules(case: &Case<'_>, side: Side) -> Vec<Locus> {
    let mut out = Vec::new();
    if let Some(nft) = case.facts.get::<Nft>().value() {
        out.extend(nft.rules.iter().filter(|r| nft_side(r) == Some(side)).map(|r| Locus::NftRule {
            family: r.family.name().into(),
            table: r.table.clone(),
            chain: r.chain.clone(),
            handle: r.handle,
            text: String::new(),
        }));
    }
    if let Some(tables) = case.facts.get::<Xtables>().value() {
        for t in &tables.0 {
            for c in t.chains.value().into_iter().flatten() {
                for (i, r) in c.rules.iter().enumerate().filter(|(_, r)| xt_side(&r.target) == Some(side)) {
                    let _ = r;
                    out.push(Locus::IptRule {
                        command: t.family.command().into(),
                        table: t.name.clone(),
                        chain: c.name.clone(),
                        number: u32::try_from(i + 1).unwrap_or(u32::MAX),
                        text: String::new(),
                    });
                }
            }
        }
    }
    out
}
