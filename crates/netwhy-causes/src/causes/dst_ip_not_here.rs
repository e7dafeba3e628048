//! # The target address is not on this host
//!
//! ## What you see
//! Clients time out. Their packets reach this host, which has the service but not the address they use: a floating
//! address that moved, an address removed by mistake, or a stale DNS record.
//!
//! ## What happens
//! The destination is no address of this host, so the packet is dropped (`InAddrErrors`) or, where the host forwards,
//! sent away again.
//!
//! ## How netwhy knows
//! No device holds the address and no local route or translation covers it, and a packet for it arrived in the window.
//!
//! ## Look-alikes
//! A router with forwarding switched off (forwarding-off): the same counter, but the host is not meant to own the
//! address. An address on another device of this host counts as present: the host answers for it.
//!
//! ## What to do
//! Put the address back on the device, or correct whoever sends clients here.
//!
//! ## References
//! ip-address(8); net/ipv4/route.c (ip_route_input_slow), RFC 1122 section 3.3.4.

use netwhy_facts::address::Addresses;
use netwhy_facts::link::Links;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Reading, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::causes::forwarding_off::is_translated;
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::obstacle::Direction;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dst-ip-not-here",
    title: "the target address is not on this host",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound],
    layer: Layer::Address,
    scope: Scope::FailedFlow,
    needs: &["addresses", "links", "attempts", "capture", "mib"],
    explains: &[
        "forwarding-off",
        "forward-no-route",
        "reply-route-missing",
        "fw-drop-forward",
        "forward-policy-drop",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let dst = case.flow.dst;
    if case.target_is_local() || dst.is_unspecified() || dst.is_multicast() {
        return Verdict::Silent;
    }
    // A local route (an address range, a transparent proxy) or a translation makes the host answer all the same.
    if matches!(case.forward.end, End::Delivered { .. } | End::NoSocket { .. } | End::Stolen { .. }) {
        return Verdict::Silent;
    }
    let translated = case.obstacles().iter().any(|o| o.direction == Direction::Forward && is_translated(o))
        || case.forward.finally.dst != case.forward.packet.dst;
    if translated {
        return Verdict::Silent;
    }
    match case.facts.get::<Addresses>() {
        Reading::Known { .. } => {}
        absent => {
            return absent.absence().map_or(Verdict::Silent, |a| {
                Verdict::unknown("whether the target address is on this host", a)
            });
        }
    }
    let s = &case.seen;
    if s.answers_out > 0 || s.resets_out > 0 {
        return Verdict::Silent;
    }
    let (counter, bits) = if dst.is_ipv4() { ("Ip.InAddrErrors", 32) } else { ("Ip6InAddrErrors", 128) };
    let dev = case
        .facts
        .value::<Links>()
        .and_then(|l| l.0.iter().find(|l| l.is_up() && !l.is_loopback()))
        .map_or("DEV".to_string(), |l| l.name.clone());
    let ip = crate::routing::ip_command(dst.is_ipv4());
    Finding::new(
        Locus::MissingAddress { address: dst },
        format!("no device of this host has the address {dst} that clients send to"),
    )
    .evidence(
        Evidence::new("address-missing", format!("{dst} is on no device"), "RTM_GETADDR")
            .value(false)
            .command(format!("{ip} addr show to {dst}")),
    )
    .evidence(case.ev_prediction(case.forward, "incoming"))
    .maybe(case.ev_counter(counter))
    .maybe(case.ev_capture())
    .fix(Fix::run(
        "add the address, if this host should have it",
        format!("{ip} addr add {dst}/{bits} dev {}", quote(&dev)),
        format!("{ip} addr del {dst}/{bits} dev {}", quote(&dev)),
    ))
    .fix(Fix::act("or correct the record or load balancer that sends clients here"))
    .verify(format!("{ip} addr show to {dst}"))
    .proven_if(s.known && s.requests_in > 0)
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn elsewhere() -> Scene {
        let off = Locus::Sysctl { name: "net.ipv4.ip_forward".into(), value: "0".into() };
        Scene::inbound("203.0.113.2", 80)
            .with(Addresses(vec![address(2, "203.0.113.9", 24)]))
            .forward(&[Stage::Routing], End::Unroutable { locus: off, error: "not forwarded".into() })
    }

    #[test]
    fn a_request_for_an_address_nobody_has_proves_it() {
        let f = proven(elsewhere().request_in().rose("Ip.InAddrErrors", 1).judge(&CAUSE));
        assert_eq!(f.locus, Locus::MissingAddress { address: ip("203.0.113.2") });
        assert!(f.fix[0].command.contains("dev eth0"), "{}", f.fix[0].command);
    }

    #[test]
    fn a_host_that_forwards_sends_it_away_again() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .with(Addresses(vec![]))
            .forward(&[Stage::Forward], End::Sent { dev: "eth1".into(), next_hop: None })
            .request_in()
            .request_out();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(elsewhere().captured().judge(&CAUSE));
    }

    #[test]
    fn an_address_that_is_here_is_not_suspected() {
        silent(Scene::inbound("203.0.113.2", 80).request_in().judge(&CAUSE));
    }

    #[test]
    fn a_translated_or_local_routed_address_is_not_suspected() {
        let mut scene = elsewhere().request_in();
        scene.forward.finally.dst = ip("192.0.2.5");
        silent(scene.judge(&CAUSE));
        let sock = End::NoSocket {
            locus: Locus::MissingListener {
                proto: netwhy_facts::Proto::Tcp,
                address: ip("203.0.113.2"),
                port: 80,
            },
        };
        let scene = elsewhere().forward(&[Stage::SocketLookup], sock).request_in();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn unreadable_addresses_are_unknown() {
        unknown(elsewhere().denied::<Addresses>("something").request_in().judge(&CAUSE));
    }
}
