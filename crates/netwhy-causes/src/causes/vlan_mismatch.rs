//! # Frames arrive tagged for a VLAN this host has no device for
//!
//! ## What you see
//! Nothing answers, as if the host were off; the device counts received frames and drops.
//!
//! ## What happens
//! The switch port and this host disagree about tags: frames come with a VLAN id for which no VLAN device stands on the
//! device, or untagged ones are expected on a tagged network.
//!
//! ## How netwhy knows
//! The capture saw frames of the flow, or ARP for its addresses, arrive with a VLAN tag that no VLAN device or bridge of
//! this host takes.
//!
//! ## Look-alikes
//! A bridge port that lacks the VLAN (bridge-port-blocked). Nothing arrives at all: cable, switch, or the VLAN is not on
//! the port.
//!
//! ## What to do
//! Add the VLAN device, or have the switch send the VLAN untagged to this port.
//!
//! ## References
//! IEEE 802.1Q; ip-link(8) type vlan; net/8021q/vlan_core.c (vlan_do_receive).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::nexthop;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "vlan-mismatch",
    title: "frames arrive tagged for a VLAN this host has no device for",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Link,
    scope: Scope::EveryFlow,
    needs: &["links", "capture", "attempts"],
    explains: &["neigh-unresolved", "path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.fate() == Fate::Works {
        return Verdict::Silent;
    }
    let links = case.links();
    let stray = case.packets().iter().find_map(|p| {
        // Priority tags carry id 0 and belong to the device itself.
        let vid = p.vlan.filter(|v| *v != 0 && !p.out)?;
        let link = links.iter().find(|l| l.index == p.ifindex)?;
        let taken = link.vlan.is_some()
            || link.bridge_port.is_some()
            || link.bridge.is_some()
            || links.iter().any(|up| up.lower == Some(link.index) && up.vlan.is_some_and(|v| v.id == vid));
        (!taken).then_some((link, vid))
    });
    let Some((link, vid)) = stray else { return Verdict::Silent };
    let n =
        case.packets().iter().filter(|p| !p.out && p.ifindex == link.index && p.vlan == Some(vid)).count();
    let dev = &link.name;
    let upper = quote(&format!("{dev}.{vid}"));
    Finding::new(
        nexthop::link_locus(link),
        format!(
            "frames for {} arrive on {dev} tagged for VLAN {vid}, and no device of this host takes that VLAN",
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "tagged-frames",
            format!("{n} frames of the flow arrived on {dev} with VLAN {vid}"),
            "AF_PACKET",
        )
        .value(serde_json::json!({"vlan": vid, "frames": n}))
        .command(format!("tcpdump -eni {} vlan {vid}", quote(dev))),
    )
    .fix(Fix::run(
        "take the VLAN",
        format!("ip link add link {} name {upper} type vlan id {vid}", quote(dev)),
        format!("ip link del dev {upper}"),
    ))
    .fix(Fix::act(format!("or have the switch send VLAN {vid} untagged to this port")))
    .verify(format!("ip -d link show type vlan dev {upper}"))
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::link::{Link, Links, VlanDev};

    use super::*;
    use crate::testing::*;

    fn tagged(mut scene: Scene, vid: u16) -> Scene {
        scene = scene.request_in();
        scene.packets.as_mut().unwrap().last_mut().unwrap().vlan = Some(vid);
        scene
    }

    #[test]
    fn a_tag_nobody_takes_is_proven() {
        let f = proven(tagged(Scene::inbound("203.0.113.2", 80), 7).judge(&CAUSE));
        assert!(f.fix[0].command.contains("eth0.7"), "{}", f.fix[0].command);
    }

    #[test]
    fn a_tag_with_its_device_a_priority_tag_or_none_is_innocent() {
        let upper =
            Link { lower: Some(2), vlan: Some(VlanDev { id: 7, protocol: 0x8100 }), ..link(5, "eth0.7") };
        let scene = Scene::inbound("203.0.113.2", 80).with(Links(vec![link(2, "eth0"), upper]));
        silent(tagged(scene, 7).judge(&CAUSE));
        silent(tagged(Scene::inbound("203.0.113.2", 80), 0).judge(&CAUSE));
        silent(Scene::inbound("203.0.113.2", 80).request_in().judge(&CAUSE));
    }
}
