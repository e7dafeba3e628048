//! # A queueing discipline of this host drops the packets
//!
//! ## What you see
//! Connections time out or fail with EHOSTUNREACH; ping may lose some or all packets. No firewall rule matches.
//!
//! ## What happens
//! A qdisc on the way out drops: a shaper whose burst is smaller than a packet or whose queue is full, a limit that is
//! too low, an emulated loss. Address resolution goes through the same qdisc and fails with it.
//!
//! ## How netwhy knows
//! The qdisc's own drop counter rose in the window and nothing of the flow left the device; for TCP
//! `TcpExt.TCPRetransFail` rises with it.
//!
//! ## Look-alikes
//! An output rule (fw-drop-outbound): the rule counts, the qdisc does not. A filter or program at the same device
//! (bpf-drop). A next hop that is off (neigh-unresolved): requests leave the device.
//!
//! ## What to do
//! Correct rate, burst and limit (burst at least one MTU), or remove the qdisc.
//!
//! ## References
//! tc(8), tc-tbf(8) burst; net/sched/sch_tbf.c (tbf_enqueue), net/core/dev.c (__dev_xmit_skb).

use netwhy_facts::question::Scenario;
use netwhy_facts::tc::{Qdisc, Tc};
use netwhy_facts::{Locus, Proto, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::Direction;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "qdisc-drop",
    title: "a queueing discipline of this host drops the packets",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Link,
    scope: Scope::FailedFlow,
    needs: &["tc", "links", "mib", "attempts", "capture", "addresses"],
    explains: &["neigh-unresolved", "path-or-remote-drop"],
    judge,
};

fn handle(packed: u32) -> String {
    format!("{:x}:", packed >> 16)
}

fn judge(case: &Case<'_>) -> Verdict {
    let (Some(before), Some(after)) = (case.facts.get::<Tc>().value(), case.facts.after::<Tc>().value())
    else {
        return Verdict::Silent;
    };
    let s = &case.seen;
    let mut all = Vec::new();
    for hop in case.hops() {
        let Some(link) = case.link(&hop.dev) else { continue };
        // Qdiscs of the device and, for a bridge, of its ports.
        let devices: Vec<u32> = case
            .links()
            .iter()
            .filter(|l| l.index == link.index || l.master == Some(link.index) && l.bridge_port.is_some())
            .map(|l| l.index)
            .collect();
        let dropped = |q: &Qdisc| -> u64 {
            let old = before.qdiscs.iter().find(|b| (b.ifindex, b.handle) == (q.ifindex, q.handle));
            old.map_or(0, |b| q.stats.drops.saturating_sub(b.stats.drops))
        };
        let growing: Vec<(&Qdisc, u64)> = after
            .qdiscs
            .iter()
            .filter(|q| devices.contains(&q.ifindex) && q.kind != "ingress" && q.kind != "clsact")
            .map(|q| (q, dropped(q)))
            .filter(|(_, n)| *n > 0)
            .collect();
        // A drop in a child counts for its parents too: the child is the place.
        let leaf = growing.iter().find(|(q, _)| {
            !growing.iter().any(|(c, _)| {
                c.ifindex == q.ifindex && c.parent >> 16 == q.handle >> 16 && c.handle != q.handle
            })
        });
        let (left, met) = match hop.direction {
            Direction::Forward => (s.requests_out, case.fate() == Fate::Fails),
            Direction::Reply => (s.answers_out, s.requests_in > 0),
        };
        let Some((q, n)) = leaf else {
            // A shaper that lets everything pass is worth a word when nothing left.
            let shaper = after.qdiscs.iter().find(|q| {
                devices.contains(&q.ifindex)
                    && matches!(q.kind.as_str(), "tbf" | "htb" | "netem" | "hfsc" | "cake" | "red")
            });
            if let (Some(q), true, 0) = (shaper, met && s.known, left) {
                let dev = case.dev_name(q.ifindex);
                all.push(Verdict::ruled_out(
                    format!("the qdisc {} of {dev} dropped nothing in the window", q.kind),
                    vec![evidence(case, q, 0)],
                ));
            }
            continue;
        };
        let dev = case.dev_name(q.ifindex);
        let mut finding = Finding::new(
            Locus::Qdisc { dev: dev.clone(), handle: handle(q.handle), qdisc: q.kind.clone() },
            format!(
                "qdisc {} {} on {dev} dropped {n} packets while {} was tried{}",
                q.kind,
                handle(q.handle),
                case.flow.target(),
                advice(q, link.mtu)
            ),
        )
        .maybe(case.ev_attempt())
        .evidence(evidence(case, q, *n));
        if case.flow.proto == Proto::Tcp {
            finding = finding.maybe(case.ev_counter("TcpExt.TCPRetransFail"));
        }
        let root = q.parent == u32::MAX;
        finding = finding.maybe(case.ev_capture());
        if root {
            finding = finding.fix(
                Fix::run(
                    "remove the qdisc; the device's default takes its place",
                    format!("tc qdisc del dev {dev} root"),
                    String::new(),
                )
                .risk("note its parameters first: tc qdisc show has them; del has no undo"),
            );
        }
        finding = finding
            .fix(Fix::act(format!("or correct its rate, burst and limit: tc qdisc change dev {dev} ...")));
        all.push(
            finding.verify(format!("tc -s qdisc show dev {dev}")).proven_if(s.known && met && left == 0),
        );
    }
    Verdict::several(all)
}

fn evidence(case: &Case<'_>, q: &Qdisc, n: u64) -> Evidence {
    let dev = case.dev_name(q.ifindex);
    Evidence::new(
        "qdisc-drops",
        format!("qdisc {} {} of {dev} dropped {n} packets in the window", q.kind, handle(q.handle)),
        "RTM_GETQDISC TCA_STATS2",
    )
    .value(n)
    .window(case.window_us().unwrap_or(0))
    .command(format!("tc -s qdisc show dev {dev}"))
}

/// What the parameters say about why, when they say it.
fn advice(q: &Qdisc, mtu: u32) -> String {
    let number = |name: &str| q.options.get(name).and_then(|v| v.parse::<u64>().ok());
    match (q.kind.as_str(), number("burst_bytes")) {
        ("tbf", Some(burst)) if burst < u64::from(mtu) => {
            format!(
                "; its burst of {burst} bytes is smaller than the device's MTU of {mtu}, and what does not fit is dropped"
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::tc::TcStats;

    use super::*;
    use crate::testing::*;

    fn tbf(ifindex: u32, drops: u64) -> Tc {
        let qdisc = Qdisc {
            ifindex,
            handle: 0x8001_0000,
            parent: u32::MAX,
            kind: "tbf".into(),
            options: [("burst_bytes".to_string(), "40".to_string())].into(),
            stats: TcStats { drops, ..TcStats::default() },
        };
        Tc { qdiscs: vec![qdisc], ..Tc::default() }
    }
    fn client(before: Tc, after: Tc) -> Scene {
        Scene::client("203.0.113.2", 80).toward("203.0.113.2").with(before).after(after)
    }

    #[test]
    fn drops_of_the_qdisc_while_nothing_left_prove_it() {
        let f = proven(client(tbf(2, 1), tbf(2, 4)).errno("EHOSTUNREACH", 3000).captured().judge(&CAUSE));
        assert!(f.summary.contains("burst of 40 bytes"), "{}", f.summary);
        assert_eq!(f.fix[0].command, "tc qdisc del dev eth0 root");
    }

    #[test]
    fn packets_that_left_beside_the_drops_make_it_consistent() {
        consistent(client(tbf(2, 1), tbf(2, 4)).timeout(3000).request_out().judge(&CAUSE));
    }

    #[test]
    fn a_flat_counter_rules_it_out_and_another_device_is_innocent() {
        ruled_out(client(tbf(2, 4), tbf(2, 4)).timeout(3000).captured().judge(&CAUSE));
        silent(client(tbf(3, 1), tbf(3, 4)).timeout(3000).captured().judge(&CAUSE));
        silent(client(tbf(2, 4), tbf(2, 4)).timeout(3000).request_out().judge(&CAUSE));
    }
}
