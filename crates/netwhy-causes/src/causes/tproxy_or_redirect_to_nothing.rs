//! # A rule hands the flow to a local port where nothing listens
//!
//! ## What you see
//! Connections to somewhere else are refused at once by this host, or never answered.
//!
//! ## What happens
//! A redirect, a DNAT to an own address, or a TPROXY rule takes the flow to a proxy on this host, and the proxy is not
//! running or listens on another port or address.
//!
//! ## How netwhy knows
//! The packet meets the rule, its destination becomes a port of this host, no socket is there, and the attempt was
//! refused by this host (or vanished at a transparent proxy rule).
//!
//! ## Look-alikes
//! The target's own refusal (svc-not-listening): packets leave this host first.
//!
//! ## What to do
//! Start the proxy, or remove the rule that feeds it.
//!
//! ## References
//! nft(8) "NAT STATEMENTS", "TPROXY STATEMENT"; Documentation/networking/tproxy.rst.

use netwhy_facts::nft::Expr;
use netwhy_facts::question::Scenario;
use netwhy_facts::xtables::XtTarget;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::{fix, nat, passed};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tproxy-or-redirect-to-nothing",
    title: "a rule hands the flow to a local port where nothing listens",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "attempts", "capture", "mib", "addresses", "links"],
    explains: &["svc-not-listening", "svc-bound-elsewhere", "path-or-remote-drop", "udp-port-closed"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let path = case.forward;
    let missing = match &path.end {
        End::NoSocket { locus } | End::Dropped { locus } => locus,
        _ => return Verdict::Silent,
    };
    let redirect = nat::moves_destination(path)
        .then(|| nat::rules(case, path, nat::Side::Destination).into_iter().next_back())
        .flatten();
    let tproxy = passed::rules_on(path).into_iter().find(|l| is_tproxy(case, l));
    let (rule, to) = match (redirect, tproxy) {
        (Some(rule), _) if matches!(path.end, End::NoSocket { .. }) => {
            (rule, std::net::SocketAddr::new(path.finally.dst, path.finally.dport).to_string())
        }
        (None, Some(rule)) => {
            let to = match missing {
                Locus::MissingListener { address, port, .. } => {
                    std::net::SocketAddr::new(*address, *port).to_string()
                }
                // Another object drops it; its own cause speaks.
                _ => return Verdict::Silent,
            };
            (rule, to)
        }
        _ => return Verdict::Silent,
    };
    let s = &case.seen;
    // A packet to this host itself is seen to leave and to arrive, on the loopback device.
    let left = s.requests_out > s.requests_in;
    let refused = case.errno() == Some("ECONNREFUSED") && case.icmp_remote().is_empty() && !left;
    let reset = s.resets_out > 0 || !s.icmp_out.is_empty();
    if left && case.question.role != Role::Inbound && !case.target_is_local() {
        return Verdict::ruled_out(
            format!("{} was predicted to take the flow, but packets left this host", object_text(&rule)),
            case.ev_capture().into_iter().collect(),
        );
    }
    let vanished = case.vanished().is_some();
    let finding = Finding::new(
        rule.clone(),
        format!(
            "{} hands {} to {to} of this host, where nothing listens",
            object_text(&rule),
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("no-listener", format!("no socket of this host is on {to}"), "sock_diag")
            .value(to.clone())
            .command(format!(
                "ss -ln{}p 'sport = :{}'",
                if case.flow.proto.name() == "udp" { "u" } else { "t" },
                path.finally.dport
            )),
    )
    .evidence(
        Evidence::new("translation", format!("{} becomes {to}", case.flow.target()), "ruleset")
            .command(fix::show(&rule)),
    )
    .maybe(case.ev_counter("Tcp.OutRsts"))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("start the proxy that should listen on {to}")));
    let finding = match &rule {
        Locus::NftRule { family, table, chain, handle, text } => finding.fix(Fix::run(
            "or remove the rule that feeds it",
            format!("nft delete rule {} handle {handle}", fix::nft_chain(family, table, chain)),
            format!("nft add rule {} {}", fix::nft_chain(family, table, chain), fix::nft_rule_words(text)),
        )),
        Locus::IptRule { command, table, chain, number, .. } => finding.fix(Fix::run(
            "or remove the rule that feeds it",
            format!("{command} -t {} -D {} {number}", fix::quote(table), fix::quote(chain)),
            fix::reinsert(&rule),
        )),
        _ => finding,
    };
    finding.verify(case.ask_again()).proven_if(refused || reset || vanished)
}

fn is_tproxy(case: &Case<'_>, locus: &Locus) -> bool {
    let nft = case.nft_rule(locus).is_some_and(|r| {
        r.exprs.iter().any(|e| {
            matches!(e, Expr::Tproxy { .. }) || matches!(e, Expr::Target { name, .. } if name == "TPROXY")
        })
    });
    nft || case.xt_rule(locus).is_some_and(|r| matches!(r.target, XtTarget::Tproxy { .. }))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Proto;
    use netwhy_facts::nft::{Nft, NftFamily, NftRule};
    use netwhy_walk::{Action, Stage, Step};

    use super::*;
    use crate::testing::*;

    fn redirected() -> Scene {
        let rule = NftRule {
            family: NftFamily::Ip,
            table: "nat".into(),
            chain: "output".into(),
            handle: 6,
            exprs: vec![Expr::Redir { flags: 0, proto_min: Some(1), proto_max: None }],
            comment: None,
            compat: false,
        };
        let locus = Locus::MissingListener { proto: Proto::Tcp, address: ip("127.0.0.1"), port: 3128 };
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(Nft { rules: vec![rule], ..Nft::default() })
            .forward(&[Stage::Output, Stage::Input, Stage::SocketLookup], End::NoSocket { locus });
        scene.forward.steps.insert(
            0,
            Step {
                stage: Stage::Output,
                text: "ip nat output: accept by rule handle 6 (redirect to :3128)".into(),
                locus: Some(Locus::NftRule {
                    family: "ip".into(),
                    table: "nat".into(),
                    chain: "output".into(),
                    handle: 6,
                    text: "redirect to :3128".into(),
                }),
                action: Action::Pass,
                passed: vec![],
            },
        );
        scene.forward.finally.dst = ip("127.0.0.1");
        scene.forward.finally.dport = 3128;
        scene
    }

    #[test]
    fn an_own_refusal_proves_it() {
        let f = proven(redirected().errno("ECONNREFUSED", 0).captured().judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 6, .. }));
        assert!(f.summary.contains("127.0.0.1:3128"), "{}", f.summary);
    }

    #[test]
    fn packets_that_left_rule_it_out() {
        ruled_out(redirected().errno("ECONNREFUSED", 0).request_out().judge(&CAUSE));
    }

    #[test]
    fn a_prediction_alone_is_consistent() {
        consistent(redirected().judge(&CAUSE));
    }

    #[test]
    fn a_closed_port_without_a_rule_is_another_matter() {
        let locus = Locus::MissingListener { proto: Proto::Tcp, address: ip("203.0.113.2"), port: 80 };
        let scene = Scene::inbound("203.0.113.2", 80)
            .with(Nft::default())
            .forward(&[Stage::SocketLookup], End::NoSocket { locus })
            .request_in()
            .reset_out();
        silent(scene.judge(&CAUSE));
    }
}
