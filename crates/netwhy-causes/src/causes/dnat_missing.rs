//! # No rule translates this port to where the service is
//!
//! ## What you see
//! Clients get "connection refused" from this host for a port that should lead to a container or an inner server; other
//! published ports work.
//!
//! ## What happens
//! The port is not published: no DNAT rule takes it, or the one for it asks for another address, device or hook than
//! this flow has (published on 127.0.0.1 only, or only for packets that arrive, not for this host's own).
//!
//! ## How netwhy knows
//! The packet meets no translation and ends at this host without a listener, while a rule for the same port exists that
//! does not match it, or the service listens in another namespace that rules of this host publish other ports of.
//!
//! ## Look-alikes
//! The service is simply not there (svc-not-listening): no rule names the port and nothing listens anywhere.
//! A rule that matches and leads to a dead backend (dnat-dead-backend).
//!
//! ## What to do
//! Publish the port again for the address clients use.
//!
//! ## References
//! nft(8) "NAT STATEMENTS"; Docker documentation "Port publishing and mapping".

use netwhy_facts::question::Scenario;
use netwhy_facts::socket::ForeignSockets;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::{fix, nat};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dnat-missing",
    title: "no rule translates this port to where the service is",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound, Role::Client],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "foreign-sockets", "attempts", "capture", "addresses", "mib"],
    explains: &["svc-not-listening", "svc-bound-elsewhere"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let here = case.question.role == Role::Inbound || case.target_is_local();
    if !here || !matches!(case.forward.end, End::NoSocket { .. }) || nat::moves_destination(case.forward) {
        return Verdict::Silent;
    }
    let port = case.flow.dport;
    let rules = nat::all_rules(case, nat::Side::Destination);
    let near = rules.iter().find(|l| names_port(l, port));
    let foreign = case.facts.value::<ForeignSockets>().and_then(|f| {
        f.0.iter().find(|s| {
            s.lport == port && s.proto == case.flow.proto && s.state == "LISTEN" && !s.local.is_loopback()
        })
    });
    let refused =
        case.seen.resets_out > 0 || case.errno() == Some("ECONNREFUSED") || !case.seen.icmp_out.is_empty();
    let target = case.flow.target();
    let (locus, why) = match (near, foreign) {
        (Some(rule), _) => {
            let hint = match case.question.role {
                Role::Client => ", for packets that arrive, or under other conditions than this flow meets",
                _ => " under conditions this flow does not meet",
            };
            (rule.clone(), format!("{} translates port {port}{hint}", object_text(rule)))
        }
        // Other ports lead to other namespaces, and there the service listens: this one was forgotten.
        (None, Some(s)) if !rules.is_empty() => {
            let owner =
                s.owners.value().and_then(|o| o.first()).map(|o| format!("{} (pid {})", o.comm, o.pid));
            let who = owner.unwrap_or_else(|| "a service".into());
            let chain = rules.first().map(chain_of).unwrap_or(Locus::Host { detail: "nat".into() });
            (
                chain,
                format!(
                    "{who} listens on {} in another network namespace, and no rule leads there",
                    s.local_text()
                ),
            )
        }
        _ => return Verdict::Silent,
    };
    Finding::new(locus.clone(), format!("no translation applies to {target}: {why}"))
        .maybe(case.ev_attempt())
        .evidence(
            Evidence::new("no-translation", format!("{target} meets no rule that translates it"), "ruleset")
                .command(fix::show(&locus)),
        )
        .maybe(case.ev_counter("Tcp.OutRsts"))
        .maybe(case.ev_capture())
        .fix(Fix::act(format!(
            "publish port {port} for {} (for a container: -p {port}:{port})",
            case.flow.dst
        )))
        .verify(case.ask_again())
        .proven_if(refused)
}

/// Whether a rule's text asks for this destination port.
fn names_port(rule: &Locus, port: u16) -> bool {
    let (Locus::NftRule { text, .. } | Locus::IptRule { text, .. }) = rule else { return false };
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).any(|w| matches!(w, ["dport" | "--dport", p] if p.parse() == Ok(port)))
}

fn chain_of(rule: &Locus) -> Locus {
    match rule {
        Locus::NftRule { family, table, chain, .. } => Locus::NftChain {
            family: family.clone(),
            table: table.clone(),
            chain: chain.clone(),
            hook: "prerouting".into(),
            policy: "accept".into(),
        },
        Locus::IptRule { command, table, chain, .. } => Locus::IptChain {
            command: command.clone(),
            table: table.clone(),
            chain: chain.clone(),
            policy: "ACCEPT".into(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::Nft;
    use netwhy_facts::xtables::{XtChain, XtFamily, XtMatch, XtRule, XtTable, XtTarget, Xtables};
    use netwhy_facts::{Proto, Reading};
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn publish(port: u16) -> Xtables {
        let rule = XtRule {
            src: None,
            dst: Some((netwhy_facts::IpNet::new(ip("127.0.0.1"), 32), false)),
            odd_masks: None,
            iif: None,
            oif: None,
            proto: Some((6, false)),
            fragment: None,
            goto: false,
            matches: vec![XtMatch::Tcp {
                sports: (0, 65535),
                sports_inv: false,
                dports: (port, port),
                dports_inv: false,
                flag_mask: 0,
                flag_cmp: 0,
                flags_inv: false,
                option: 0,
                option_inv: false,
            }],
            target: XtTarget::Dnat {
                addr_min: Some(ip("192.0.2.5")),
                addr_max: Some(ip("192.0.2.5")),
                port_min: Some(80),
                port_max: Some(80),
                flags: 3,
            },
            counters: (0, 0),
            extra: vec![],
        };
        let chain =
            XtChain { name: "DOCKER".into(), hook: None, policy: None, counters: (0, 0), rules: vec![rule] };
        Xtables(vec![XtTable {
            family: XtFamily::Iptables,
            name: "nat".into(),
            chains: Reading::known(vec![chain], "test", 1),
        }])
    }
    fn refused() -> Scene {
        let end = End::NoSocket {
            locus: Locus::MissingListener { proto: Proto::Tcp, address: ip("203.0.113.2"), port: 8080 },
        };
        Scene::inbound("203.0.113.2", 8080)
            .with(Nft::default())
            .forward(&[Stage::Prerouting, Stage::Input, Stage::SocketLookup], end)
            .request_in()
            .reset_out()
    }

    #[test]
    fn a_rule_for_the_port_that_does_not_match_is_named() {
        let f = proven(refused().with(publish(8080)).judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::IptRule { chain, number: 1, .. } if chain == "DOCKER"));
    }

    #[test]
    fn without_any_trace_of_publishing_it_is_silent() {
        silent(refused().judge(&CAUSE));
        silent(refused().with(publish(9090)).judge(&CAUSE));
    }

    #[test]
    fn a_listener_behind_other_published_ports_is_named() {
        let mut socket = listener("0.0.0.0", 8080, 0, 128);
        socket.netns = 77;
        let f = proven(refused().with(publish(9090)).with(ForeignSockets(vec![socket])).judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::IptChain { chain, .. } if chain == "DOCKER"));
    }

    #[test]
    fn a_translated_flow_is_another_matter() {
        let mut scene = refused().with(publish(8080));
        scene.forward.finally.dst = ip("192.0.2.5");
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn without_a_refusal_it_is_only_consistent() {
        let scene = refused().with(publish(8080));
        let quiet = Scene { packets: None, ..scene };
        consistent(quiet.judge(&CAUSE));
    }
}
