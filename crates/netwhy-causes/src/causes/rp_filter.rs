//! # Reverse path filtering drops the packet
//!
//! ## What you see
//! Packets arrive (a capture shows them) and nothing happens: no answer, no error, no rule counter.
//!
//! ## What happens
//! With rp_filter = 1 the kernel drops an IPv4 packet when the route back to its source does not leave by the device it
//! came in by; with 2 when there is no route back at all. The larger of conf.all and conf.DEVICE counts.
//!
//! ## How netwhy knows
//! The lookup back to the source, made as the kernel makes it, names another device (or none), and
//! `TcpExt.IPReversePathFilter` rose while the packet arrived.
//!
//! ## Look-alikes
//! A rule with `fib` (nft) or the rpfilter match (iptables): the rule's counter rises, this one does not. Martian
//! addresses: no counter at all.
//!
//! ## What to do
//! Make the route symmetric, or relax the filter to loose mode (2) on that device.
//!
//! ## References
//! RFC 3704; Documentation/networking/ip-sysctl.rst (rp_filter); net/ipv4/fib_frontend.c (__fib_validate_source).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::obstacle::{Obstacle, Sight};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "rp-filter",
    title: "reverse path filtering drops the packet",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "addresses", "links", "kernel-events"],
    explains: &["path-or-remote-drop"],
    judge,
};

const COUNTER: &str = "TcpExt.IPReversePathFilter";

fn judge(case: &Case<'_>) -> Verdict {
    let mut all = Vec::new();
    let obstacles = case.obstacles_where(|o| {
        matches!((o.locus, &o.path.end), (Some(Locus::Sysctl { name, .. }), End::Dropped { .. })
            if name.ends_with(".rp_filter"))
    });
    for o in &obstacles {
        all.push(judge_one(case, o));
    }
    if all.is_empty() && case.flow.dst.is_ipv4() && suspicious(case) && case.grew(COUNTER) == Some(0) {
        all.push(Verdict::ruled_out(
            "packets arrived and vanished, but IPReversePathFilter did not move",
            case.ev_counter(COUNTER).into_iter().collect(),
        ));
    }
    Verdict::several(all)
}

/// Packets arrived and nothing came of them.
fn suspicious(case: &Case<'_>) -> bool {
    let s = &case.seen;
    match case.question.role {
        Role::Client => s.answers_in > 0 && case.timed_out(),
        Role::Inbound => s.requests_in > 0 && s.answers_out + s.resets_out == 0 && s.icmp_out.is_empty(),
        Role::Transit => s.requests_in > 0 && s.requests_out == 0 && s.icmp_out.is_empty(),
    }
}

fn judge_one(case: &Case<'_>, o: &Obstacle<'_>) -> Verdict {
    let Some(locus @ Locus::Sysctl { name, value }) = o.locus else { return Verdict::Silent };
    let (src, dev) = (o.path.packet.src, o.path.packet.iif.map(|i| case.dev_name(i)));
    let grew = case.grew(COUNTER);
    if !o.next && (case.sight(o) == Sight::Contradicts || (case.met(o) && grew == Some(0))) {
        return Verdict::ruled_out(
            "reverse path filtering was predicted to drop the packet, but IPReversePathFilter did not move",
            case.ev_counter(COUNTER).into_iter().chain(case.ev_capture()).collect(),
        );
    }
    let on = dev.as_deref().unwrap_or("the device of arrival");
    let mode = if value == "1" { "strict" } else { "loose" };
    let why = if value == "1" {
        format!("the route back to {src} does not leave by {on}")
    } else {
        format!("there is no route back to {src}")
    };
    let mut finding = Finding::new(
        locus.clone(),
        format!("{name} = {value} ({mode} reverse path filtering) drops {}: {why}", case.packets_text(o)),
    );
    if o.next {
        finding = finding.evidence(case.ev_next(o));
    } else {
        finding = finding
            .maybe(case.ev_attempt())
            .maybe(case.ev_counter(COUNTER))
            .evidence(case.ev_prediction(o.path, case.direction_text(o)))
            .maybe(case.ev_drop_event(|f| f.reason == "IP_RPFILTER"))
            .maybe(case.ev_capture());
    }
    finding = finding.evidence(
        Evidence::new("reverse-route", why, "rules and routes")
            .value(src.to_string())
            .command(format!("ip route get {src}")),
    );
    if value == "1" {
        // The larger of `all` and the device counts, so loose mode on the device wins over strict in `all`.
        let own = dev
            .as_deref()
            .map_or(name.clone(), |d| format!("net.ipv4.conf.{}.rp_filter", d.replace('.', "/")));
        finding = finding.fix(
            Fix::run(
                "loose mode on the device: the source must be reachable, by whichever device",
                format!("sysctl -w {}=2", quote(&own)),
                format!("sysctl -w {}={}", quote(&own), if own == *name { "1" } else { "0" }),
            )
            .risk("forged sources of networks reached by another device are accepted on it"),
        );
    }
    finding = finding
        .fix(Fix::run(
            "or make the route back symmetric",
            format!("ip route add {src}/32 via GATEWAY dev {}", quote(on)),
            format!("ip route del {src}/32"),
        ))
        .verify(case.ask_again());
    let counted = grew.is_some_and(|d| d > 0);
    let event = case.drop_event(|f| f.reason == "IP_RPFILTER").is_some();
    finding.proven_if(!o.next && (counted || event) && case.met(o))
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn filtered(scene: Scene) -> Scene {
        let locus = Locus::Sysctl { name: "net.ipv4.conf.all.rp_filter".into(), value: "1".into() };
        let mut scene = scene.forward(&[Stage::Prerouting, Stage::RpFilter], End::Dropped { locus });
        scene.forward.packet.iif = Some(3);
        scene
    }
    fn server() -> Scene {
        filtered(Scene::inbound("203.0.113.2", 80))
    }

    #[test]
    fn the_counter_proves_it() {
        let f = proven(server().request_in().rose(COUNTER, 1).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "sysctl -w net.ipv4.conf.eth1.rp_filter=2");
        assert!(f.summary.contains("strict"), "{}", f.summary);
        proven(filtered(Scene::transit("203.0.113.2", 80)).request_in().rose(COUNTER, 1).judge(&CAUSE));
    }

    #[test]
    fn an_answer_to_a_client_that_comes_by_another_device_is_proven() {
        let locus = Locus::Sysctl { name: "net.ipv4.conf.eth1.rp_filter".into(), value: "1".into() };
        let scene = Scene::client("203.0.113.2", 80)
            .reply(&[Stage::Prerouting, Stage::RpFilter], End::Dropped { locus })
            .timeout(3000)
            .request_out()
            .answer_in()
            .rose(COUNTER, 1);
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_flat_counter_rules_it_out() {
        ruled_out(server().request_in().rose(COUNTER, 0).judge(&CAUSE));
        let vanished = Scene::inbound("203.0.113.2", 80).request_in().rose(COUNTER, 0);
        assert!(ruled_out(vanished.judge(&CAUSE)).contains("did not move"));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(server().captured().rose(COUNTER, 0).judge(&CAUSE));
    }

    #[test]
    fn a_counter_that_rises_for_others_accuses_nobody() {
        silent(Scene::inbound("203.0.113.2", 80).request_in().answer_out().rose(COUNTER, 5).judge(&CAUSE));
    }
}
