//! # Packets are dropped because connection tracking finds them invalid
//!
//! ## What you see
//! Connections hang or break off although rules accept them. A rule `ct state invalid drop` counts packets.
//!
//! ## What happens
//! Connection tracking does not recognise the packet as part of a flow it knows: this host sees only one direction
//! (asymmetric routes), the entry was flushed or timed out, or sequence numbers look out of window. A rule then drops
//! what is invalid.
//!
//! ## How netwhy knows
//! A rule that drops packets of state invalid counted packets in the window, or connection tracking's own `invalid`
//! statistic rose while packets of the flow arrived and went no further.
//!
//! ## Look-alikes
//! A rule that names the flow (fw-drop-*): the ruleset, executed on the packet, ends there without any doubt about its
//! state. A full table: `drop` rises instead of `invalid`.
//!
//! ## What to do
//! Make both directions pass this host, or do not track the flow here; only then consider accepting invalid packets.
//!
//! ## References
//! nft(8) "CT EXPRESSIONS"; Documentation/networking/nf_conntrack-sysctl.rst (nf_conntrack_tcp_loose, tcp_be_liberal).

use netwhy_facts::conntrack::Conntrack;
use netwhy_facts::nft::{CmpOp, Data, Expr, Nft, NftRule, NftVerdict};
use netwhy_facts::question::Scenario;
use netwhy_facts::xtables::{XtMatch, XtTarget, XtVerdict, Xtables};
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::{Way, object_text};
use crate::{firewall, fix};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "ct-invalid-drop",
    title: "packets are dropped because connection tracking finds them invalid",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &[
        "nft",
        "xtables",
        "mib",
        "capture",
        "attempts",
        "addresses",
        "kernel-events",
        "links",
        "conntrack",
    ],
    explains: &["fw-drop-reply", "fw-drop-inbound", "fw-drop-forward", "path-or-remote-drop"],
    judge,
};

/// NFT_CT_STATE.
const CT_STATE: u32 = 0;
/// NF_CT_STATE_INVALID_BIT as nft keeps it in a register, and XT_CONNTRACK_STATE_INVALID.
const INVALID: u8 = 1;

fn judge(case: &Case<'_>) -> Verdict {
    if !matches!(case.vanished(), Some((_, way)) if way != Way::Out) {
        return Verdict::Silent;
    }
    let invalid = invalid_delta(case);
    let rules = invalid_rules(case);
    let named = case.obstacles_where(|o| !o.next && firewall::stops(case, o));
    let counted = rules.iter().find(|r| case.rule_counter(r).is_some_and(|n| n > 0));
    let predicted = rules.iter().find(|r| named.iter().any(|o| o.locus == Some(r)));
    // A rule that names the flow itself and is predicted to end it needs no other explanation.
    let Some(rule) = predicted.or(counted.filter(|_| named.is_empty())).or(match named.is_empty() {
        true if invalid.is_some_and(|n| n > 0) => rules.first(),
        _ => None,
    }) else {
        if !rules.is_empty() && invalid == Some(0) && named.is_empty() {
            return Verdict::ruled_out(
                "packets vanished, but connection tracking found none of them invalid",
                ev_invalid(case).into_iter().collect(),
            );
        }
        return Verdict::Silent;
    };
    let whose = match case.question.role {
        Role::Client => "answers of this flow",
        _ => "packets of this flow",
    };
    let mut finding = Finding::new(
        rule.clone(),
        format!("{} drops {whose}: connection tracking does not recognise them as part of it", object_text(rule)),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_rule_counter(rule))
    .maybe(ev_invalid(case))
    .maybe(case.ev_capture())
    .fix(Fix::act(
        "check that both directions of the flow pass this host: ip route get for both ends, here and on the next routers",
    ));
    for f in fix::let_pass(rule, &selector(case, false), &selector(case, true)).into_iter().take(1) {
        finding = finding.fix(f.risk("packets that belong to no known connection pass for this flow"));
    }
    let observed = case.rule_counter(rule).is_some_and(|n| n > 0) || invalid.is_some_and(|n| n > 0);
    finding.verify(case.ask_again()).proven_if(observed)
}

fn selector(case: &Case<'_>, xt: bool) -> String {
    let flow = case.flow;
    let (v, l4) = (if flow.dst.is_ipv4() { "ip" } else { "ip6" }, flow.proto.name());
    match (xt, case.question.role) {
        (false, Role::Client) => format!("{v} saddr {} {l4} sport {}", flow.dst, flow.dport),
        (true, Role::Client) => format!("-s {} -p {l4} --sport {}", flow.dst, flow.dport),
        (false, _) => fix::nft_selector(flow, true),
        (true, _) => fix::ipt_selector(flow, true),
    }
}

fn invalid_delta(case: &Case<'_>) -> Option<u64> {
    let before = case.facts.get::<Conntrack>().value()?.stats.invalid;
    let after = case.facts.after::<Conntrack>().value()?.stats.invalid;
    Some(after.saturating_sub(before))
}

fn ev_invalid(case: &Case<'_>) -> Option<Evidence> {
    let n = invalid_delta(case)?;
    let words = if n == 0 { "found no packet".to_string() } else { format!("found {n} packets") };
    Some(
        Evidence::new("conntrack:invalid", format!("connection tracking {words} invalid"), "ctnetlink stats")
            .value(n)
            .window(case.window_us().unwrap_or(0))
            .command("conntrack -S"),
    )
}

/// Rules that drop packets of state invalid.
fn invalid_rules(case: &Case<'_>) -> Vec<Locus> {
    let mut out = Vec::new();
    if let Some(nft) = case.facts.get::<Nft>().value() {
        for r in nft.rules.iter().filter(|r| nft_drops_invalid(r)) {
            let text = "ct state invalid drop".to_string();
            let known = case.obstacles().into_iter().filter_map(|o| o.locus).find(|l| {
                matches!(l, Locus::NftRule { family, table, handle, .. }
                    if family == r.family.name() && *table == r.table && *handle == r.handle)
            });
            out.push(known.cloned().unwrap_or(Locus::NftRule {
                family: r.family.name().into(),
                table: r.table.clone(),
                chain: r.chain.clone(),
                handle: r.handle,
                text,
            }));
        }
    }
    let Some(tables) = case.facts.get::<Xtables>().value() else { return out };
    for t in &tables.0 {
        for c in t.chains.value().into_iter().flatten() {
            for (i, r) in c.rules.iter().enumerate() {
                let drops = matches!(r.target, XtTarget::Standard { verdict: XtVerdict::Drop });
                let invalid = r.matches.iter().any(|m| match m {
                    XtMatch::Conntrack { match_flags, invert_flags, state_mask, .. } => {
                        match_flags & 1 != 0 && invert_flags & 1 == 0 && *state_mask == u16::from(INVALID)
                    }
                    XtMatch::State { mask } => *mask == u32::from(INVALID),
                    _ => false,
                });
                if drops && invalid {
                    out.push(Locus::IptRule {
                        command: t.family.command().into(),
                        table: t.name.clone(),
                        chain: c.name.clone(),
                        number: u32::try_from(i + 1).unwrap_or(u32::MAX),
                        text: format!("-A {} -m conntrack --ctstate INVALID -j DROP", c.name),
                    });
                }
            }
        }
    }
    out
}

/// `ct state invalid … drop`: the state is loaded, masked with the invalid bit, compared, and the verdict is drop.
fn nft_drops_invalid(r: &NftRule) -> bool {
    let drops = r
        .exprs
        .iter()
        .any(|e| matches!(e, Expr::Immediate { dreg: 0, data: Data::Verdict(NftVerdict::Drop) }));
    let mut state = false;
    let mut masked = false;
    let mut hit = false;
    for e in &r.exprs {
        match e {
            Expr::Ct { key: CT_STATE, .. } => state = true,
            Expr::Bitwise { op: netwhy_facts::nft::BitwiseOp::MaskXor { mask, .. }, .. } if state => {
                masked = is_invalid(mask);
            }
            Expr::Cmp { op: CmpOp::Neq, data, .. } if state && masked => hit = data.iter().all(|b| *b == 0),
            Expr::Cmp { op: CmpOp::Eq, data, .. } if state && !masked => hit = is_invalid(data),
            _ => {}
        }
    }
    drops && hit
}

fn is_invalid(word: &[u8]) -> bool {
    matches!(word, [INVALID, 0, 0, 0] | [0, 0, 0, INVALID])
}

#[cfg(test)]
mod tests {
    use netwhy_facts::conntrack::CtStats;
    use netwhy_facts::nft::{BitwiseOp, NftFamily};
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn ruleset(count: u64) -> Nft {
        let rule = NftRule {
            family: NftFamily::Inet,
            table: "filter".into(),
            chain: "forward".into(),
            handle: 5,
            exprs: vec![
                Expr::Ct { key: 0, dir: None, dreg: 1 },
                Expr::Bitwise {
                    sreg: 1,
                    dreg: 1,
                    len: 4,
                    op: BitwiseOp::MaskXor { mask: vec![1, 0, 0, 0], xor: vec![0; 4] },
                },
                Expr::Cmp { op: CmpOp::Neq, sreg: 1, data: vec![0; 4] },
                Expr::Counter { packets: count, bytes: 0 },
                Expr::Immediate { dreg: 0, data: Data::Verdict(NftVerdict::Drop) },
            ],
            comment: None,
            compat: false,
        };
        Nft { rules: vec![rule], ..Nft::default() }
    }
    fn table(invalid: u64) -> Conntrack {
        Conntrack {
            active: true,
            count: 1,
            max: 1000,
            buckets: 100,
            stats: CtStats { invalid, ..CtStats::default() },
            settings: Default::default(),
        }
    }

    #[test]
    fn a_counted_rule_is_proven_where_the_prediction_sees_no_reason() {
        let scene = Scene::transit("203.0.113.2", 80).with(ruleset(0)).after(ruleset(2)).answer_in();
        let f = proven(scene.judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 5, .. }));
    }

    #[test]
    fn the_statistic_proves_a_rule_that_does_not_count() {
        let mut bare = ruleset(0);
        bare.rules[0].exprs.remove(3);
        let scene = Scene::client("203.0.113.2", 80)
            .with(bare)
            .with(table(10))
            .after(table(12))
            .timeout(3000)
            .request_out()
            .answer_in();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn flat_statistics_rule_it_out() {
        let scene = Scene::transit("203.0.113.2", 80)
            .with(ruleset(7))
            .after(ruleset(7))
            .with(table(10))
            .after(table(10))
            .request_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("none of them invalid"));
    }

    #[test]
    fn a_rule_that_names_the_flow_is_the_better_explanation() {
        let scene = Scene::transit("203.0.113.2", 80)
            .with(ruleset(0))
            .after(ruleset(1))
            .forward(&[Stage::Forward], End::Dropped { locus: nft_rule("forward", 9) })
            .request_in();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn a_flow_that_passes_accuses_nobody() {
        let scene =
            Scene::transit("203.0.113.2", 80).with(ruleset(0)).after(ruleset(9)).request_in().request_out();
        silent(scene.judge(&CAUSE));
    }
}
