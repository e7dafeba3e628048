//! # A device is not a port of the bridge
//!
//! ## What you see
//! Hosts behind one device cannot be reached from the bridge's other ports.
//!
//! ## What happens
//! The device toward the target was never made a port of the bridge, or has left it (restarted, recreated). Frames end at
//! the bridge's edge.
//!
//! ## How netwhy knows
//! Frames toward the target came in by a port of the bridge, left by all its other ports, and were not answered; one
//! device of this host is up, has carrier, no address and no master. Frames from the target that arrive on it prove it.
//!
//! ## Look-alikes
//! A port that is there and closed (bridge-port-blocked). A target that is off.
//!
//! ## What to do
//! Make the device a port of the bridge.
//!
//! ## References
//! ip-link(8) master, bridge(8).

use netwhy_facts::Role;
use netwhy_facts::address::Addresses;
use netwhy_facts::link::Link;
use netwhy_facts::question::Scenario;

use crate::bridging;
use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::nexthop;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "bridge-port-missing",
    title: "a device is not a port of the bridge",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Transit],
    layer: Layer::Link,
    scope: Scope::EveryFlow,
    needs: bridging::NEEDS,
    explains: &["neigh-unresolved", "request-not-arriving"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(b) = bridging::bridged(case) else { return Verdict::Silent };
    let addresses = case.facts.latest::<Addresses>().value().map(|a| a.0.as_slice()).unwrap_or_default();
    // Every other port had its chance; a closed one is the likelier explanation.
    if b.others(case).iter().any(|l| b.closed(l).is_some()) {
        return Verdict::Silent;
    }
    let orphan = |l: &&Link| {
        l.is_up()
            && l.carrier != Some(false)
            && !l.is_loopback()
            && l.master.is_none()
            && l.bridge.is_none()
            && !matches!(l.kind.as_deref(), Some("bridge" | "vlan" | "macvlan" | "vxlan" | "vrf" | "bond" | "tun"))
            && l.hw_type == 1
            && !addresses.iter().any(|a| a.ifindex == l.index && a.scope == 0)
            // A lower device serves the devices on top of it.
            && !case.links().iter().any(|up| up.lower == Some(l.index) && up.peer_netns.is_none())
    };
    let orphans: Vec<&Link> = case.links().iter().filter(orphan).collect();
    let [dev] = orphans.as_slice() else { return Verdict::Silent };
    let heard =
        case.packets().iter().filter(|p| !p.out && p.ifindex == dev.index && p.src == case.flow.dst).count();
    Finding::new(
        nexthop::link_locus(dev),
        format!(
            "{} is up, has no address and is not a port of {}, whose other ports do not lead to {}",
            dev.name, b.bridge.name, case.flow.dst
        ),
    )
    .evidence(
        Evidence::new(
            "frames",
            format!(
                "{} frames for {} came in by {} and left by {} other devices, not by {}; nothing answered",
                b.arrived,
                case.flow.dst,
                b.ingress.name,
                b.left.len(),
                dev.name
            ),
            "AF_PACKET",
        )
        .value(serde_json::json!({"arrived": b.arrived, "left_by": b.left.len(), "heard_on_device": heard}))
        .command(format!("tcpdump -nni {}", quote(&dev.name))),
    )
    .evidence(nexthop::ev_link(dev))
    .fix(Fix::run(
        "make it a port of the bridge",
        format!("ip link set dev {} master {}", quote(&dev.name), quote(&b.bridge.name)),
        format!("ip link set dev {} nomaster", quote(&dev.name)),
    ))
    .verify(format!("bridge link show dev {}", quote(&dev.name)))
    .proven_if(heard > 0)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::link::{Bridge, BridgePort, Links};

    use super::*;
    use crate::testing::*;

    fn port(index: u32, state: &str) -> Link {
        Link {
            master: Some(9),
            bridge_port: Some(BridgePort { state: state.into(), ..BridgePort::default() }),
            ..link(index, &format!("port{index}"))
        }
    }
    fn switch(mut links: Vec<Link>) -> Scene {
        links.push(Link { kind: Some("bridge".into()), bridge: Some(Bridge::default()), ..link(9, "br0") });
        Scene::transit("203.0.113.2", 80).with(Links(links)).arp_request(false, CLIENT4, "203.0.113.2")
    }

    #[test]
    fn a_device_beside_the_bridge_fits() {
        let f = consistent(switch(vec![port(2, "forwarding"), link(3, "port3")]).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ip link set dev port3 master br0");
    }

    #[test]
    fn the_targets_own_frames_on_it_prove_it() {
        let mut scene =
            switch(vec![port(2, "forwarding"), link(3, "port3")]).arp_request(false, "203.0.113.2", CLIENT4);
        scene.packets.as_mut().unwrap().last_mut().unwrap().ifindex = 3;
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_closed_port_an_address_or_several_candidates_make_it_silent() {
        silent(switch(vec![port(2, "forwarding"), port(4, "blocking"), link(3, "x")]).judge(&CAUSE));
        silent(switch(vec![port(2, "forwarding"), link(3, "x"), link(4, "y")]).judge(&CAUSE));
        let uplink = switch(vec![port(2, "forwarding"), link(3, "x")]).with(Addresses(vec![address(
            3,
            "192.0.2.1",
            24,
        )]));
        silent(uplink.judge(&CAUSE));
    }
}
