//! # The overlay's far end is not reached
//!
//! ## What you see
//! Hosts behind an overlay or tunnel device cannot be reached: EHOSTUNREACH after three seconds, or a timeout. The
//! underlay works.
//!
//! ## What happens
//! Frames are put into the tunnel and do not come out at the other side: the outer packets are stopped on this host, the
//! remote address, network identifier (VNI, key) or UDP port is not the far end's, or the device does not know where to
//! send at all.
//!
//! ## How netwhy knows
//! The flow leaves by the tunnel device. Its outer packet, predicted with this host's rules and routes, is stopped; or
//! the device has no remote and no entry to send by; or it has sent and never in its life received anything.
//!
//! ## Look-alikes
//! A far host that is off behind a working overlay (neigh-unresolved): the device has received frames.
//!
//! ## What to do
//! Compare remote, local, identifier and port with the far end (ip -d link show), and let the outer UDP port through.
//!
//! ## References
//! RFC 7348 section 4; ip-link(8) type vxlan, bridge(8) fdb; drivers/net/vxlan/vxlan_core.c (vxlan_xmit).

use std::net::IpAddr;

use netwhy_facts::link::{Fdb, Link, Links};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Flow, Locus, Proto, Role};
use netwhy_walk::{Origin, Packet};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::obstacle::object_text;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "overlay-unreachable",
    title: "the overlay's far end is not reached",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Tunnel,
    scope: Scope::FailedFlow,
    // The outer packet is walked, which reads what any walk reads.
    needs: &[
        "links",
        "addresses",
        "routes",
        "rules",
        "nexthops",
        "fib-answers",
        "neighbours",
        "nft",
        "xtables",
        "ipsets",
        "conntrack",
        "conntrack-entries",
        "sysctls",
        "tc",
        "bpf",
        "sockets",
        "xfrm",
        "fdb",
        "host",
        "attempts",
        "capture",
    ],
    explains: &["neigh-unresolved", "path-or-remote-drop"],
    judge,
};

/// What a tunnel device says of its far end.
struct Tunnel {
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    port: Option<u16>,
    detail: String,
}

fn tunnel(link: &Link) -> Option<Tunnel> {
    let show = |a: Option<IpAddr>| a.map_or("none".to_string(), |a| a.to_string());
    if let Some(v) = &link.vxlan {
        let detail =
            format!("vxlan id {} remote {} local {} port {}", v.vni, show(v.remote), show(v.local), v.port);
        return (!v.external).then_some(Tunnel {
            local: v.local,
            remote: v.remote,
            port: Some(v.port),
            detail,
        });
    }
    let t = link.tunnel.as_ref()?;
    let kind = link.kind.as_deref().unwrap_or("tunnel");
    let detail = format!("{kind} remote {} local {}", show(t.remote), show(t.local));
    Some(Tunnel { local: t.local, remote: t.remote, port: None, detail })
}

fn judge(case: &Case<'_>) -> Verdict {
    let devs: Vec<String> = case.hops().into_iter().map(|h| h.dev).collect();
    let Some((link, t)) = devs
        .iter()
        .filter_map(|d| case.link(d))
        .flat_map(|l| under(case, l))
        .find_map(|l| tunnel(l).map(|t| (l, t)))
    else {
        return Verdict::Silent;
    };
    let Some((why, sure)) = fault(case, link, &t) else { return Verdict::Silent };
    let failed = case.fate() == Fate::Fails;
    let mut finding = Finding::new(
        Locus::Tunnel { dev: link.name.clone(), detail: t.detail.clone() },
        format!("{} does not reach its far end ({}): {why}", link.name, t.detail),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("tunnel", format!("{}: {}", link.name, t.detail), "RTM_GETLINK IFLA_INFO_DATA")
            .value(t.detail.clone())
            .command(format!("ip -d link show dev {}", quote(&link.name))),
    )
    .evidence(
        Evidence::new(
            "device-counters",
            format!(
                "{} has sent {} and received {} frames",
                link.name, link.stats.tx_packets, link.stats.rx_packets
            ),
            "IFLA_STATS64",
        )
        .value(serde_json::json!({"tx": link.stats.tx_packets, "rx": link.stats.rx_packets}))
        .command(format!("ip -s link show dev {}", quote(&link.name))),
    )
    .maybe(case.ev_capture())
    .fix(Fix::act(format!(
        "compare remote, local, identifier and port of {} with the far end: ip -d link show",
        link.name
    )));
    if let (Some(remote), Some(port)) = (t.remote, t.port) {
        finding = finding.fix(Fix::act(format!(
            "see whether the outer packets get there: netwhy connect udp://{}",
            std::net::SocketAddr::new(remote, port)
        )));
    }
    finding.verify(case.ask_again()).proven_if(sure && failed)
}

/// The device and, for a bridge, its ports: the overlay is often a port.
fn under<'a>(case: &Case<'a>, link: &'a Link) -> Vec<&'a Link> {
    let mut all = vec![link];
    if link.kind.as_deref() == Some("bridge") {
        all.extend(case.links().iter().filter(|l| l.master == Some(link.index)));
    }
    all
}

fn fault(case: &Case<'_>, link: &Link, t: &Tunnel) -> Option<(String, bool)> {
    if let Some(local) = t.local.filter(|l| !l.is_unspecified() && !case.own_addresses().contains(l)) {
        return Some((format!("its local address {local} is not on this host"), true));
    }
    let Some(remote) = t.remote.filter(|r| !r.is_unspecified()) else {
        let fdb = case.facts.latest::<Fdb>().value()?;
        let somewhere = fdb.0.iter().any(|e| e.ifindex == link.index && e.remote.is_some());
        return (!somewhere)
            .then(|| ("it has no remote and no entry that names one (bridge fdb)".to_string(), true));
    };
    if let Some(port) = t.port {
        let flow = Flow {
            proto: Proto::Udp,
            src: t.local,
            sport: None,
            dst: remote,
            dport: port,
            mark: 0,
            uid: None,
            dev: None,
        };
        let none: IpAddr = if remote.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
        let packet = Packet::first_of(&flow, t.local.unwrap_or(none), 40000);
        let outer = netwhy_walk::predict(case.facts, packet, Origin::Local);
        if let Some(blocker) = outer.blocker() {
            return Some((
                format!("its outer packets to {remote}:{port} are stopped here by {}", object_text(blocker)),
                true,
            ));
        }
    }
    // Links are read twice: what was sent in the window went into the tunnel.
    let before =
        case.facts.get::<Links>().value().and_then(|l| l.by_index(link.index)).map(|l| l.stats.tx_packets);
    let sent = before.is_some_and(|b| link.stats.tx_packets > b);
    (link.stats.rx_packets == 0 && sent).then(|| {
        (
            "it has sent frames and never received one; remote, identifier or port may not be the far end's"
                .to_string(),
            true,
        )
    })
}

#[cfg(test)]
mod tests {
    use netwhy_facts::link::{LinkStats, Vxlan};
    use netwhy_facts::neigh::Nud;

    use super::*;
    use crate::testing::*;

    fn vxlan(remote: Option<&str>, local: Option<&str>, tx: u64, rx: u64) -> Links {
        let device = Link {
            kind: Some("vxlan".into()),
            vxlan: Some(Vxlan {
                vni: 42,
                remote: remote.map(ip),
                local: local.map(ip),
                port: 4789,
                ..Vxlan::default()
            }),
            stats: LinkStats { tx_packets: tx, rx_packets: rx, ..LinkStats::default() },
            ..link(5, "vx0")
        };
        Links(vec![link(2, "eth0"), device])
    }
    fn client(before: Links, after: Links) -> Scene {
        let end = netwhy_walk::End::Sent { dev: "vx0".into(), next_hop: Some(ip("192.0.2.2")) };
        Scene::client("192.0.2.2", 80)
            .forward(&[netwhy_walk::Stage::Routing], end)
            .with(before)
            .after(after)
            .errno("EHOSTUNREACH", 3000)
    }

    #[test]
    fn a_device_that_sends_and_never_received_is_proven() {
        let at = |tx| vxlan(Some("203.0.113.9"), None, tx, 0);
        let f = proven(client(at(3), at(6)).judge(&CAUSE));
        assert!(f.summary.contains("vxlan id 42"), "{}", f.summary);
    }

    #[test]
    fn a_local_address_that_is_not_here_and_a_missing_remote_are_proven() {
        let wrong = || vxlan(Some("203.0.113.9"), Some("203.0.113.77"), 3, 2);
        assert!(proven(client(wrong(), wrong()).judge(&CAUSE)).summary.contains("not on this host"));
        let none = || vxlan(None, None, 3, 2);
        let scene = client(none(), none()).with(Fdb::default());
        assert!(proven(scene.judge(&CAUSE)).summary.contains("no remote"));
    }

    #[test]
    fn an_overlay_that_has_received_is_innocent() {
        let at = |tx| vxlan(Some("203.0.113.9"), None, tx, 7);
        silent(client(at(3), at(6)).judge(&CAUSE));
    }

    #[test]
    fn a_plain_device_is_none_of_its_business() {
        let scene = Scene::client("203.0.113.2", 80)
            .toward("198.51.100.1")
            .neighbours(vec![neighbour("198.51.100.1", Nud::Failed, None)])
            .errno("EHOSTUNREACH", 3000);
        silent(scene.judge(&CAUSE));
    }
}
