//! # WireGuard has no peer or no address for the packet
//!
//! ## What you see
//! Sending fails at once with ENOKEY or EDESTADDRREQ (UDP, ping), or connect() with EHOSTUNREACH within a millisecond.
//!
//! ## What happens
//! The route leads into a WireGuard device. No peer's AllowedIPs covers the destination (ENOKEY), or the peer has no
//! endpoint yet, because it never spoke first (EDESTADDRREQ).
//!
//! ## How netwhy knows
//! The flow's device is of kind wireguard and the error is one of these, or this host's own immediate ICMP host
//! unreachable.
//!
//! ## Look-alikes
//! A peer that is silent: sending works and nothing comes back (path-or-remote-drop; look at the latest handshake).
//!
//! ## What to do
//! Add the destination to the peer's AllowedIPs, or set the peer's endpoint.
//!
//! ## References
//! wg(8) allowed-ips, endpoint; drivers/net/wireguard/device.c (wg_xmit).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "wireguard",
    title: "WireGuard has no peer or no address for the packet",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Tunnel,
    scope: Scope::FailedFlow,
    needs: &["links", "attempts", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let End::Sent { dev, .. } = &case.forward.end else { return Verdict::Silent };
    if case.link(dev).and_then(|l| l.kind.as_deref()) != Some("wireguard") {
        return Verdict::Silent;
    }
    let own = case.own_addresses();
    // wg_xmit answers its own sender with ICMP host unreachable.
    let own_icmp = case.attempt().is_some_and(|a| {
        a.icmp.iter().any(|e| {
            e.from.is_none_or(|f| own.contains(&f)) && matches!((e.v6, e.icmp_type), (false, 3) | (true, 1))
        })
    });
    let at_once = case.elapsed_ms().is_some_and(|ms| ms < 500);
    let (what, advice) = match case.errno() {
        Some("ENOKEY") => ("no peer's AllowedIPs covers the destination", "allowed-ips"),
        Some("EDESTADDRREQ") => ("the peer for the destination has no endpoint", "endpoint"),
        Some("EHOSTUNREACH") if own_icmp && at_once => {
            ("no peer, or no endpoint of one, covers the destination", "allowed-ips and endpoint")
        }
        _ => return Verdict::Silent,
    };
    Finding::new(
        Locus::Tunnel { dev: dev.clone(), detail: what.into() },
        format!("{dev} cannot send to {}: {what}", case.flow.dst),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "device",
            format!("the route to {} leads into {dev}, a WireGuard device", case.flow.dst),
            "RTM_GETROUTE, RTM_GETLINK",
        )
        .command(format!(
            "wg show {} {}",
            crate::fix::quote(dev),
            if advice == "endpoint" { "endpoints" } else { "allowed-ips" }
        )),
    )
    .fix(Fix::act(format!("correct {advice} of the peer for {}: wg show {dev}", case.flow.dst)))
    .verify(case.ask_again())
    .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn client(kind: &str) -> Scene {
        Scene::client_udp("192.0.2.9", 53).eth0(|l| l.kind = Some(kind.into())).toward("192.0.2.9")
    }

    #[test]
    fn the_two_errors_are_told_apart() {
        assert!(proven(client("wireguard").errno("ENOKEY", 0).judge(&CAUSE)).summary.contains("AllowedIPs"));
        assert!(
            proven(client("wireguard").errno("EDESTADDRREQ", 0).judge(&CAUSE)).summary.contains("endpoint")
        );
    }

    #[test]
    fn tcp_hears_it_as_an_own_unreachable() {
        let scene = client("wireguard").icmp_error("EHOSTUNREACH", CLIENT4, 3, 1);
        proven(scene.judge(&CAUSE));
        silent(client("wireguard").icmp_error("EHOSTUNREACH", "203.0.113.9", 3, 1).judge(&CAUSE));
    }

    #[test]
    fn other_devices_and_other_errors_are_innocent() {
        silent(client("veth").errno("ENOKEY", 0).judge(&CAUSE));
        silent(client("wireguard").timeout(3000).judge(&CAUSE));
    }
}
