//! # An old connection-tracking entry pins the flow to a translation that no longer holds
//!
//! ## What you see
//! After a change of the translation rules or of a backend's address, clients that kept sending still fail; new ports
//! and new clients work. Typical for UDP with a fixed source port (DNS, SIP, VPN) that never pauses long enough.
//!
//! ## What happens
//! Translation rules are consulted for the first packet of a flow only. While packets keep the entry alive, the flow
//! follows what the rules said then.
//!
//! ## How netwhy knows
//! Connection tracking holds an entry for exactly this flow that is older than the question, its translation differs
//! from what the rules say for a fresh packet, and the flow got no answer.
//!
//! ## Look-alikes
//! Rules that lead to a dead backend (dnat-dead-backend): a fresh packet goes there too.
//!
//! ## What to do
//! Delete the entry.
//!
//! ## References
//! conntrack(8) -D; net/netfilter/nf_nat_core.c (nf_nat_inet_fn).

use netwhy_facts::conntrack::{CtEntries, CtEntry};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Reading, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "nat-stale-entry",
    title: "an old connection-tracking entry pins the flow to a translation that no longer holds",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["conntrack-entries", "attempts", "capture", "addresses"],
    explains: &["dnat-dead-backend", "path-or-remote-drop", "neigh-unresolved", "svc-not-listening"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Reading::Known { value: before, .. } = case.facts.get::<CtEntries>() else { return Verdict::Silent };
    let flow = case.flow;
    let src = case.question.from.or(flow.src);
    let ours = |e: &&CtEntry| {
        e.orig.dst == flow.dst
            && e.orig.proto == flow.proto_number()
            && (flow.dport == 0 || e.orig.dport == flow.dport)
            && src.is_none_or(|s| e.orig.src == s)
            && flow.sport.is_none_or(|p| e.orig.sport == p)
    };
    // A new connection has a port of its own: what an earlier one of TCP left behind does not pin it.
    if flow.proto == Proto::Tcp && flow.sport.is_none() {
        return Verdict::Silent;
    }
    let Some(old) = before.entries.iter().find(ours) else { return Verdict::Silent };
    // What the rules say to a packet that connection tracking has not seen.
    let mut fresh_facts = case.facts.clone();
    fresh_facts.put(Reading::known(CtEntries::default(), "none", 0));
    let fresh = netwhy_walk::forward(&fresh_facts, case.question, flow);
    let to = (old.reply.src, old.reply.sport);
    let now = (fresh.finally.dst, if flow.dport == 0 { old.reply.sport } else { fresh.finally.dport });
    if to == now {
        return Verdict::Silent;
    }
    // Still in use: present when the window closed, too.
    let still = case.facts.after::<CtEntries>().value().map(|a| a.entries.iter().any(|e| e.id == old.id));
    let answered = old.seen_reply() && case.seen.answers_in > 0;
    if answered {
        return Verdict::Silent;
    }
    let show = |(a, p): (std::net::IpAddr, u16)| {
        if p == 0 { a.to_string() } else { std::net::SocketAddr::new(a, p).to_string() }
    };
    let (old_to, new_to) = (show(to), show(now));
    let proto = flow.proto.name();
    let detail =
        format!("{proto} {}:{} to {} translated to {old_to}", old.orig.src, old.orig.sport, flow.target());
    let delete = format!(
        "conntrack -D -p {proto} -s {} -d {}{}",
        old.orig.src,
        old.orig.dst,
        if flow.dport == 0 {
            String::new()
        } else {
            format!(" --sport {} --dport {}", old.orig.sport, flow.dport)
        }
    );
    Finding::new(
        Locus::Conntrack { detail },
        format!(
            "connection tracking still sends the flow of {}:{} to {old_to}; the rules now say {new_to}",
            old.orig.src, old.orig.sport
        ),
    )
    .evidence(
        Evidence::new(
            "conntrack-entry",
            format!("the entry leads to {old_to} and has {} s to live", old.timeout_s),
            "ctnetlink",
        )
        .value(old_to.clone())
        .command(format!("conntrack -L -p {proto} -d {}", flow.dst)),
    )
    .evidence(
        Evidence::new("fresh", format!("a packet without an entry would go to {new_to}"), "netwhy walk")
            .value(new_to)
            .command("nft list ruleset"),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::run("delete the entry; the next packet follows the rules", delete, String::new()))
    .verify(case.ask_again())
    .proven_if(
        still == Some(true)
            && (case.seen.requests_in + case.seen.requests_out > 0 || case.attempt().is_some()),
    )
}

#[cfg(test)]
mod tests {
    use netwhy_facts::conntrack::CtTuple;

    use super::*;
    use crate::testing::*;

    fn entry(to: &str) -> CtEntry {
        CtEntry {
            orig: CtTuple { src: ip(CLIENT4), dst: ip("203.0.113.2"), proto: 17, sport: 40000, dport: 53 },
            reply: CtTuple { src: ip(to), dst: ip(CLIENT4), proto: 17, sport: 53, dport: 40000 },
            status: 32 | 8,
            tcp_state: None,
            timeout_s: 25,
            mark: 0,
            zone: 0,
            id: 9,
            packets: None,
        }
    }
    fn table(to: &str) -> CtEntries {
        CtEntries { entries: vec![entry(to)], examined: 1, complete: true }
    }

    #[test]
    fn an_entry_that_leads_elsewhere_than_the_rules_is_proven() {
        let scene = Scene::client_udp("203.0.113.2", 53)
            .with(table("192.0.2.66"))
            .after(table("192.0.2.66"))
            .timeout(3000)
            .request_out();
        let f = proven(scene.judge_unchecked(&CAUSE));
        assert!(f.fix[0].command.contains("--sport 40000 --dport 53"), "{}", f.fix[0].command);
        assert!(matches!(f.locus, Locus::Conntrack { .. }));
    }

    #[test]
    fn an_entry_that_agrees_with_the_rules_is_not_mentioned() {
        let scene = Scene::client_udp("203.0.113.2", 53).with(table("203.0.113.2")).timeout(3000);
        silent(scene.judge_unchecked(&CAUSE));
    }

    #[test]
    fn another_clients_entry_is_not_ours() {
        let mut other = table("192.0.2.66");
        other.entries[0].orig.sport = 1;
        silent(Scene::client_udp("203.0.113.2", 53).with(other).timeout(3000).judge_unchecked(&CAUSE));
    }

    #[test]
    fn what_an_earlier_connection_left_does_not_pin_a_new_one() {
        let mut left = table("192.0.2.66");
        (left.entries[0].orig.proto, left.entries[0].orig.dport) = (6, 80);
        let mut scene = Scene::transit("203.0.113.2", 80).with(left.clone()).after(left).captured();
        scene.flow.sport = None;
        silent(scene.judge_unchecked(&CAUSE));
    }

    #[test]
    fn read_once_it_is_only_consistent() {
        let scene = Scene::client_udp("203.0.113.2", 53).with(table("192.0.2.66")).timeout(3000);
        consistent(scene.judge_unchecked(&CAUSE));
    }
}
