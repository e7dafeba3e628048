//! # A rule's limit is exceeded
//!
//! ## What you see
//! The first connections work and then some or all fail, for a while or until others end. Under little load everything
//! works.
//!
//! ## What happens
//! A rule accepts only so many packets per second or so many connections at a time (nft limit, ct count, quota; iptables
//! limit, hashlimit, connlimit). What exceeds it is dropped by that rule or falls through to one that drops.
//!
//! ## How netwhy knows
//! The packet depends on such a rule, would pass under the limit, and vanished on this host while the dropping rule's
//! counter rose, or the limited accept rule counted nothing. Where the rule refuses, this host sent the reset or the ICMP
//! error itself although a listener is there.
//!
//! ## Look-alikes
//! A rule without a limit (fw-drop-*): the ruleset stops the packet whatever the load.
//!
//! ## What to do
//! Raise the limit, or except this client from it.
//!
//! ## References
//! nft(8) "LIMIT STATEMENT", "CONNECTION TRACKING STATEMENTS" (ct count), iptables-extensions(8).

use netwhy_facts::nft::{Expr, Nft, NftRule};
use netwhy_facts::question::Scenario;
use netwhy_facts::xtables::{XtMatch, XtTarget, XtVerdict, Xtables};
use netwhy_facts::{Locus, Role};
use netwhy_walk::Path;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::{Direction, object_text};
use crate::{fix, nat};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "limit-rule",
    title: "a rule's limit is exceeded",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "mib", "capture", "attempts", "addresses"],
    explains: &[
        "fw-drop-inbound",
        "fw-drop-outbound",
        "fw-drop-forward",
        "forward-policy-drop",
        "fw-reject",
        "bpf-drop",
        "path-or-remote-drop",
    ],
    judge,
};

/// A limited rule the path depends on.
struct Limited {
    locus: Locus,
    /// What it limits, in words.
    what: &'static str,
    /// The rule itself drops what exceeds the limit; otherwise it accepts what stays under it.
    over_drops: bool,
    /// It answers what exceeds the limit with a reset or an ICMP error.
    refuses: bool,
}

fn judge(case: &Case<'_>) -> Verdict {
    let vanished = case.vanished().map(|(direction, _)| direction);
    let refused = vanished.is_none();
    let Some(direction) = vanished.or_else(|| refused_here(case)) else { return Verdict::Silent };
    let path = match direction {
        Direction::Forward => case.forward,
        Direction::Reply => case.reply,
    };
    let limited: Vec<Limited> = on_path(case, path).into_iter().filter(|l| !refused || l.refuses).collect();
    if limited.is_empty() {
        return Verdict::Silent;
    }
    // A path that is stopped whatever the limit needs no limit to explain it.
    if path.blocker().is_some() && case.firm(path) {
        return Verdict::Silent;
    }
    let exceeded = |l: &Limited| match (l.over_drops, case.rule_counter(&l.locus)) {
        (true, Some(n)) => Some(n > 0),
        // An accepting rule counts what stayed under the limit; the packet did not.
        (false, Some(0)) => Some(true),
        (false, Some(_)) => None,
        (_, None) => None,
    };
    let sure = limited.iter().find(|l| exceeded(l) == Some(true));
    let possible = limited.iter().find(|l| exceeded(l).is_none());
    let Some(l) = sure.or(possible) else {
        return Verdict::ruled_out(
            "the rules with a limit on the way counted no packet over it",
            limited.iter().filter_map(|l| case.ev_rule_counter(&l.locus)).collect(),
        );
    };
    let text = match (l.over_drops, l.refuses) {
        (true, false) => "drops what exceeds it",
        (true, true) => "refuses what exceeds it",
        (false, _) => "accepts only what stays under it",
    };
    let mut finding = Finding::new(
        l.locus.clone(),
        format!("{} limits {} and {text}: this flow exceeds it", object_text(&l.locus), l.what),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "limit",
            format!("the packet passes only under the limit of {}", object_text(&l.locus)),
            "netwhy walk",
        )
        .command(fix::show(&l.locus)),
    )
    .maybe(case.ev_rule_counter(&l.locus))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("raise the limit, or accept this client before it: {}", fix::show(&l.locus))));
    for f in fix::let_pass(
        &l.locus,
        &fix::nft_selector(case.flow, case.question.role != Role::Client),
        &fix::ipt_selector(case.flow, case.question.role != Role::Client),
    )
    .into_iter()
    .take(1)
    {
        finding = finding.fix(f);
    }
    finding.verify(case.ask_again()).proven_if(sure.is_some())
}

/// The way on which a packet was refused by this host although the prediction lets it pass.
fn refused_here(case: &Case<'_>) -> Option<Direction> {
    let s = &case.seen;
    let refused = s.resets_out > 0 || !s.icmp_out.is_empty();
    let here = s.known
        && case.forward.passes()
        && match case.question.role {
            Role::Client => {
                s.requests_out == 0 && case.errno() == Some("ECONNREFUSED") && case.icmp_remote().is_empty()
            }
            Role::Inbound => s.requests_in > 0 && s.answers_out == 0 && refused,
            Role::Transit => s.requests_in > 0 && s.requests_out == 0 && refused,
        };
    here.then_some(Direction::Forward)
}

/// Limited rules the walker had to take for unexceeded on this path.
fn on_path(case: &Case<'_>, path: &Path) -> Vec<Limited> {
    let mut out = Vec::new();
    if let Some(nft) = case.facts.get::<Nft>().value() {
        for rule in &nft.rules {
            let Some((what, over)) = nft_limit(rule) else { continue };
            let by = format!("rule handle {} (", rule.handle);
            let concerns = |a: &String| {
                (a.starts_with("under the limit of") || a.starts_with("the only connection counted by"))
                    && a.contains(&by)
            };
            // A handle is unique in its table only; the path must have been there.
            let place = format!("{} {} ", rule.family.name(), rule.table);
            let there = path.steps.iter().any(|s| s.text.starts_with(&place));
            if there && path.assumptions.iter().any(concerns) {
                out.push(Limited {
                    locus: Locus::NftRule {
                        family: rule.family.name().into(),
                        table: rule.table.clone(),
                        chain: rule.chain.clone(),
                        handle: rule.handle,
                        text: nat::nft_text(nft, rule),
                    },
                    what,
                    over_drops: over,
                    refuses: over && rule.exprs.iter().any(|e| matches!(e, Expr::Reject { .. })),
                });
            }
        }
    }
    out.extend(legacy(case, path));
    out
}

/// What a rule limits, and whether it acts on what is over the limit.
fn nft_limit(rule: &NftRule) -> Option<(&'static str, bool)> {
    rule.exprs.iter().find_map(|e| match e {
        Expr::Limit { per_packet, over, .. } => {
            Some((if *per_packet { "packets per time" } else { "bytes per time" }, *over))
        }
        Expr::Connlimit { over, .. } => Some(("connections at a time", *over)),
        Expr::Dynset { exprs, .. } => exprs.iter().find_map(|e| match e {
            Expr::Limit { over, .. } => Some(("packets per time of each element", *over)),
            Expr::Connlimit { over, .. } => Some(("connections at a time of each element", *over)),
            _ => None,
        }),
        _ => None,
    })
}

/// Legacy rules with a limit in tables whose limits the walker had to take for unexceeded.
fn legacy(case: &Case<'_>, path: &Path) -> Vec<Limited> {
    let mut out = Vec::new();
    let assumed = |command: &str, table: &str| {
        path.assumptions.iter().any(|a| a.contains("limit") && a.contains(command) && a.contains(table))
    };
    let Some(tables) = case.facts.get::<Xtables>().value() else { return out };
    for t in tables.0.iter().filter(|t| assumed(t.family.command(), &t.name)) {
        for c in t.chains.value().into_iter().flatten() {
            for (i, r) in c.rules.iter().enumerate() {
                let what = r.matches.iter().find_map(|m| match m {
                    XtMatch::Limit { .. } | XtMatch::Hashlimit { .. } => Some("packets per time"),
                    XtMatch::Connlimit { .. } => Some("connections at a time"),
                    _ => None,
                });
                let Some(what) = what else { continue };
                let drops = matches!(
                    r.target,
                    XtTarget::Standard { verdict: XtVerdict::Drop } | XtTarget::Reject { .. }
                );
                out.push(Limited {
                    locus: Locus::IptRule {
                        command: t.family.command().into(),
                        table: t.name.clone(),
                        chain: c.name.clone(),
                        number: u32::try_from(i + 1).unwrap_or(u32::MAX),
                        text: netwhy_walk::xt_rule_text(&c.name, r),
                    },
                    what,
                    over_drops: drops,
                    refuses: matches!(r.target, XtTarget::Reject { .. }),
                });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::{Data, NftFamily, NftVerdict};

    use super::*;
    use crate::testing::*;

    fn ruleset(over: bool, packets: u64) -> Nft {
        let verdict = if over { NftVerdict::Drop } else { NftVerdict::Accept };
        let rule = NftRule {
            family: NftFamily::Inet,
            table: "filter".into(),
            chain: "input".into(),
            handle: 8,
            exprs: vec![
                Expr::Limit { rate: 1, unit_s: 1, burst: 5, per_packet: true, over },
                Expr::Counter { packets, bytes: 0 },
                Expr::Immediate { dreg: 0, data: Data::Verdict(verdict) },
            ],
            comment: None,
            compat: false,
        };
        Nft { rules: vec![rule], ..Nft::default() }
    }
    fn limited(over: bool, before: u64, after: u64) -> Scene {
        let nft = ruleset(over, before);
        let words =
            format!("under the limit of rule handle 8 ({})", netwhy_walk::rule_text(&nft, &nft.rules[0]));
        let now = ruleset(over, after);
        // The text has the counter in it, so the walk and the facts are of the same reading.
        let mut scene = Scene::inbound("203.0.113.2", 80).with(nft).after(now).request_in();
        scene.forward.assumptions.push(words);
        scene.forward.steps[1].text = "inet filter input: policy accept".into();
        scene
    }

    #[test]
    fn a_counted_drop_over_the_limit_is_proven() {
        let f = proven(limited(true, 3, 4).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 8, .. }));
        assert!(f.summary.contains("exceeds"), "{}", f.summary);
    }

    #[test]
    fn an_accept_that_counted_nothing_is_proven() {
        proven(limited(false, 3, 3).judge(&CAUSE));
    }

    #[test]
    fn a_drop_rule_that_counted_nothing_is_ruled_out() {
        ruled_out(limited(true, 3, 3).judge(&CAUSE));
    }

    #[test]
    fn a_flow_that_is_answered_is_not_limited() {
        silent(limited(true, 3, 4).answer_out().judge(&CAUSE));
    }

    #[test]
    fn a_limit_that_refuses_is_named_when_this_host_sent_the_reset() {
        let refusing = |packets| {
            let mut nft = ruleset(true, packets);
            nft.rules[0].exprs[0] = Expr::Connlimit { count: 1, over: true };
            *nft.rules[0].exprs.last_mut().unwrap() = Expr::Reject { reject_type: 1, code: 0 };
            nft
        };
        let scene = |after| {
            let (nft, now) = (refusing(3), refusing(after));
            let text = netwhy_walk::rule_text(&nft, &nft.rules[0]);
            let mut scene = Scene::inbound("203.0.113.2", 80).with(nft).after(now).request_in();
            scene.forward.assumptions.push(format!("under the limit of rule handle 8 ({text})"));
            scene.forward.steps[1].text = "inet filter input: policy accept".into();
            scene
        };
        let f = proven(scene(4).reset_out().judge(&CAUSE));
        assert!(f.summary.contains("refuses what exceeds"), "{}", f.summary);
        ruled_out(scene(3).reset_out().judge(&CAUSE));
        // A drop rule does not send resets.
        silent(limited(true, 3, 4).reset_out().judge(&CAUSE));
    }

    #[test]
    fn a_limit_elsewhere_is_not_mentioned() {
        let mut scene = limited(true, 3, 4);
        scene.forward.assumptions.clear();
        silent(scene.judge(&CAUSE));
    }
}
