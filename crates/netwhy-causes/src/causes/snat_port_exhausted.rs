//! # Source translation has no port left
//!
//! ## What you see
//! New connections to one busy destination fail for clients behind this gateway; to other destinations they work.
//!
//! ## What happens
//! Every port the SNAT or masquerade rule may use toward this destination and port is taken by another flow. The new
//! entry clashes and the packet is dropped.
//!
//! ## How netwhy knows
//! Tracking's `drop` and `insert_failed` statistics rose together in the window, the packet meets a rule that translates
//! its source, and the table itself has room.
//!
//! ## Look-alikes
//! A full table (conntrack-full): `drop` rises alone and the count is at the limit.
//!
//! ## What to do
//! Give the rule more addresses or a wider port range; shorten what holds the ports (idle connections, TIME-WAIT).
//!
//! ## References
//! nft(8) "NAT STATEMENTS"; net/netfilter/nf_nat_core.c (get_unique_tuple), nf_conntrack_core.c (__nf_conntrack_confirm).

use netwhy_facts::conntrack::{Conntrack, CtEntries};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Reading, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::nat;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "snat-port-exhausted",
    title: "source translation has no port left",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["conntrack", "conntrack-entries", "nft", "xtables", "attempts", "capture", "mib", "addresses"],
    explains: &["conntrack-full", "path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let rule = nat::rules(case, case.forward, nat::Side::Source).into_iter().next();
    if rule.is_none() && case.errno() == Some("EADDRNOTAVAIL") && case.forward_passes() {
        return untranslated(case, Vec::new());
    }
    let (before, after) = match (case.facts.get::<Conntrack>(), case.facts.after::<Conntrack>()) {
        (Reading::Known { value: b, .. }, Reading::Known { value: a, .. }) => (b, a),
        _ => return Verdict::Silent,
    };
    let drop = after.stats.drop.saturating_sub(before.stats.drop);
    let failed = after.stats.insert_failed.saturating_sub(before.stats.insert_failed);
    let stats = Evidence::new(
        "conntrack:insert_failed",
        format!("{failed} insertions failed and {drop} packets were dropped by tracking"),
        "ctnetlink stats",
    )
    .value(serde_json::json!({"drop": drop, "insert_failed": failed}))
    .window(case.window_us().unwrap_or(0))
    .command("conntrack -S");
    let vanished = case.vanished().is_some();
    let Some(rule) = rule else {
        return if vanished && drop > 0 { untranslated(case, vec![stats]) } else { Verdict::Silent };
    };
    if failed == 0 || drop == 0 {
        if vanished {
            return Verdict::ruled_out("no insertion of a translated entry failed", vec![stats]);
        }
        return Verdict::Silent;
    }
    let (dst, dport) = (case.forward.finally.dst, case.forward.finally.dport);
    let taken = case.facts.latest::<CtEntries>().value().map(|e| {
        let n =
            e.entries.iter().filter(|e| e.is_snat() && e.reply.src == dst && e.reply.sport == dport).count();
        (n, e.complete)
    });
    let target = case.flow.target();
    let mut finding = Finding::new(
        rule.clone(),
        format!(
            "{} has no source port left for another connection to {target}",
            crate::obstacle::object_text(&rule)
        ),
    )
    .evidence(stats)
    .maybe(taken.map(|(n, complete)| {
        let more = if complete { "" } else { " or more" };
        Evidence::new(
            "translated-entries",
            format!("{n}{more} translated entries go to {target} now"),
            "ctnetlink",
        )
        .value(n)
        .command(format!("conntrack -L --src-nat -d {dst} --dport {dport} | wc -l"))
    }))
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::act(
        "give the rule more source addresses, or a wider port range (snat to ADDR:1024-65535 fully-random)",
    ));
    if let Locus::NftRule { .. } | Locus::IptRule { .. } = rule {
        finding = finding.fix(Fix::act(format!("look at the rule: {}", crate::fix::show(&rule))));
    }
    finding.verify("conntrack -S").proven_if(vanished && failed >= drop)
}

fn untranslated(case: &Case<'_>, evidence: Vec<Evidence>) -> Verdict {
    let text = format!("no rule of this host translates the source of packets to {}", case.flow.target());
    let rules = Evidence::new("no-translation", text.clone(), "netwhy walk").command("nft list ruleset");
    Verdict::ruled_out(text, std::iter::once(rules).chain(evidence).collect())
}

#[cfg(test)]
mod tests {
    use netwhy_facts::conntrack::CtStats;
    use netwhy_facts::nft::{Expr, Nft, NftFamily, NftRule};
    use netwhy_walk::{Action, Stage};

    use super::*;
    use crate::testing::*;

    fn table(drop: u64, insert_failed: u64) -> Conntrack {
        Conntrack {
            active: true,
            count: 40,
            max: 1000,
            buckets: 50,
            stats: CtStats { drop, insert_failed, ..CtStats::default() },
            settings: Default::default(),
        }
    }
    fn gateway() -> Scene {
        let rule = NftRule {
            family: NftFamily::Ip,
            table: "nat".into(),
            chain: "postrouting".into(),
            handle: 3,
            exprs: vec![Expr::Masq { flags: 0, proto_min: None, proto_max: None }],
            comment: None,
            compat: false,
        };
        let mut scene =
            Scene::transit("203.0.113.2", 80).with(Nft { rules: vec![rule], ..Nft::default() }).request_in();
        scene.forward.steps.push(netwhy_walk::Step {
            stage: Stage::Postrouting,
            text: "ip nat postrouting: accept by rule handle 3 (masquerade)".into(),
            locus: Some(Locus::NftRule {
                family: "ip".into(),
                table: "nat".into(),
                chain: "postrouting".into(),
                handle: 3,
                text: "masquerade".into(),
            }),
            action: Action::Pass,
            passed: vec![],
        });
        scene
    }

    #[test]
    fn failed_insertions_beside_drops_prove_it() {
        let f = proven(gateway().with(table(1, 1)).after(table(3, 3)).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 3, .. }));
    }

    #[test]
    fn flat_insertions_rule_it_out() {
        assert!(
            ruled_out(gateway().with(table(1, 1)).after(table(3, 1)).judge(&CAUSE)).contains("no insertion")
        );
    }

    #[test]
    fn without_a_translating_rule_it_is_ruled_out_where_it_could_be_suspected() {
        let scene = || Scene::transit("203.0.113.2", 80).with(Nft::default()).request_in();
        ruled_out(scene().with(table(1, 1)).after(table(3, 3)).judge(&CAUSE));
        silent(scene().with(table(1, 1)).after(table(1, 1)).judge(&CAUSE));
        let no_port = Scene::client("203.0.113.2", 80).errno("EADDRNOTAVAIL", 0);
        assert!(ruled_out(no_port.judge(&CAUSE)).contains("no rule of this host translates"));
    }

    #[test]
    fn one_reading_proves_nothing() {
        silent(gateway().with(table(9, 9)).judge(&CAUSE));
    }
}
