//! # A bridge port does not pass the flow's frames
//!
//! ## What you see
//! Two hosts on one switch cannot reach each other, EHOSTUNREACH after three seconds, or a timeout; others can.
//!
//! ## What happens
//! A port of the bridge is not in state forwarding (spanning tree, or set by hand), or both ports are isolated, or the
//! port is not a member of the frame's VLAN. Frames for it are dropped inside the bridge.
//!
//! ## How netwhy knows
//! Frames toward the target came in by a port of the bridge and the target did not answer; the port of arrival, or the
//! one port of the bridge that they could not leave by, says why.
//!
//! ## Look-alikes
//! A rule of the bridge family or ebtables (fw-drop-forward). A device that is no port at all (bridge-port-missing). A
//! target that is off: every port got the frame.
//!
//! ## What to do
//! Set the port forwarding (find the loop first where spanning tree blocks it), clear the isolation, or add the VLAN.
//!
//! ## References
//! bridge(8) "bridge link", "bridge vlan"; IEEE 802.1D section 7.4; net/bridge/br_forward.c (should_deliver).

use netwhy_facts::link::Link;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::{End, Path};

use crate::bridging::{self, Bridged};
use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "bridge-port-blocked",
    title: "a bridge port does not pass the flow's frames",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Link,
    scope: Scope::EveryFlow,
    needs: bridging::NEEDS,
    explains: &["neigh-unresolved", "path-or-remote-drop", "request-not-arriving"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.fate() == Fate::Works {
        return Verdict::Silent;
    }
    for path in [case.forward, case.reply] {
        if let End::Dropped { locus: Locus::BridgePort { port, state, .. } } = &path.end
            && let Some(link) = case.link(port)
        {
            return predicted(case, path, link, state);
        }
    }
    let Some(b) = bridging::bridged(case) else { return Verdict::Silent };
    let state = b.ingress.bridge_port.as_ref().map(|p| p.state.as_str()).unwrap_or_default();
    if !matches!(state, "forwarding" | "") {
        let why = format!("is {state}");
        return found(case, &b, b.ingress, state, &why, b.left.is_empty());
    }
    let closed: Vec<(&Link, (String, String))> = b
        .others(case)
        .into_iter()
        .filter(|l| !b.left.contains(&l.index))
        .filter_map(|l| b.closed(l).map(|why| (l, why)))
        .collect();
    let alone = closed.len() == 1;
    Verdict::several(closed.iter().map(|(l, (word, why))| found(case, &b, l, word, why, alone)).collect())
}

fn predicted(case: &Case<'_>, path: &Path, port: &Link, state: &str) -> Verdict {
    let Some(master) = port.master else { return Verdict::Silent };
    let s = &case.seen;
    let past = s.requests_in > 0 && s.requests_out > 0 && case.question.role == Role::Transit;
    if past {
        return Verdict::ruled_out(
            format!("{} was predicted to hold the frames back, but they left", port.name),
            case.ev_capture().into_iter().collect(),
        );
    }
    let bridge = case.dev_name(master);
    let came = s.known && (s.requests_in > 0 || case.fate() == Fate::Fails);
    finish(
        case,
        Finding::new(
            Locus::BridgePort { bridge: bridge.clone(), port: port.name.clone(), state: state.into() },
            format!(
                "port {} of {bridge} does not pass {}: {}",
                port.name,
                case.flow.target(),
                path.last().map(|s| s.text.clone()).unwrap_or_default()
            ),
        )
        .evidence(case.ev_prediction(path, "forward")),
        port,
        state,
    )
    .proven_if(came && s.requests_out == 0)
}

fn found(case: &Case<'_>, b: &Bridged<'_>, port: &Link, state: &str, why: &str, sure: bool) -> Verdict {
    let finding = Finding::new(
        Locus::BridgePort { bridge: b.bridge.name.clone(), port: port.name.clone(), state: state.into() },
        format!(
            "port {} of {} {why}, so frames for {} from {} do not get through it",
            port.name, b.bridge.name, case.flow.dst, b.ingress.name
        ),
    )
    .evidence(
        Evidence::new(
            "frames",
            format!(
                "{} frames for {} came in by {}, they left by {} other devices, the target did not answer",
                b.arrived,
                case.flow.dst,
                b.ingress.name,
                b.left.len()
            ),
            "AF_PACKET",
        )
        .value(serde_json::json!({"arrived": b.arrived, "left_by": b.left.len()}))
        .command(format!("tcpdump -nni {} host {}", quote(&port.name), case.flow.dst)),
    );
    finish(case, finding, port, state).proven_if(sure)
}

fn finish(case: &Case<'_>, finding: Finding, port: &Link, state: &str) -> Finding {
    let dev = &port.name;
    let quoted = quote(dev);
    let fix = if state == "isolated" {
        Fix::run(
            "let the port talk to other isolated ports",
            format!("bridge link set dev {quoted} isolated off"),
            format!("bridge link set dev {quoted} isolated on"),
        )
    } else if let Some(vid) = state.strip_prefix("vlan ") {
        Fix::run(
            "make the port a member of the VLAN",
            format!("bridge vlan add dev {quoted} vid {vid}"),
            format!("bridge vlan del dev {quoted} vid {vid}"),
        )
    } else {
        let number = match state {
            "disabled" => 0,
            "listening" => 1,
            "learning" => 2,
            _ => 4,
        };
        Fix::run(
            "let the port forward",
            format!("bridge link set dev {quoted} state 3"),
            format!("bridge link set dev {quoted} state {number}"),
        )
        .risk("where spanning tree blocked it there is a loop; find that first")
    };
    finding
        .evidence(
            Evidence::new("bridge-port", format!("{dev} is {state}"), "RTM_GETLINK IFLA_BRPORT_STATE")
                .value(state)
                .command(format!("bridge -d link show dev {quoted}; bridge vlan show dev {quoted}")),
        )
        .maybe(case.ev_attempt())
        .fix(fix)
        .verify(format!("bridge -d link show dev {quoted}"))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::link::{Bridge, BridgePort, Links, PortVlan};

    use super::*;
    use crate::testing::*;

    fn port(index: u32, state: &str) -> Link {
        Link {
            master: Some(9),
            bridge_port: Some(BridgePort { state: state.into(), ..BridgePort::default() }),
            ..link(index, &format!("port{index}"))
        }
    }
    fn switch(ports: Vec<Link>) -> Scene {
        let mut all = ports;
        let bridge = Some(Bridge { vlan_filtering: true, ..Bridge::default() });
        all.push(Link { kind: Some("bridge".into()), bridge, ..link(9, "br0") });
        Scene::transit("203.0.113.2", 80).with(Links(all))
    }
    fn asked(scene: Scene) -> Scene {
        // The tests' frames come in by device 2.
        scene.arp_request(false, CLIENT4, "203.0.113.2")
    }

    #[test]
    fn the_one_port_that_did_not_get_the_frame_is_proven() {
        let f = proven(asked(switch(vec![port(2, "forwarding"), port(3, "blocking")])).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "bridge link set dev port3 state 3");
        assert_eq!(f.fix[0].undo, "bridge link set dev port3 state 4");
    }

    #[test]
    fn a_blocked_port_of_arrival_is_proven() {
        let scene = asked(switch(vec![port(2, "disabled"), port(3, "forwarding")]));
        assert!(proven(scene.judge(&CAUSE)).summary.contains("port2"));
    }

    #[test]
    fn two_closed_ports_are_only_consistent() {
        let scene = asked(switch(vec![port(2, "forwarding"), port(3, "blocking"), port(4, "blocking")]));
        assert_eq!(scene.judge(&CAUSE).flatten().len(), 2);
    }

    #[test]
    fn isolation_and_vlans_count_too() {
        let (mut a, mut b) = (port(2, "forwarding"), port(3, "forwarding"));
        for l in [&mut a, &mut b] {
            l.bridge_port.as_mut().unwrap().isolated = true;
        }
        assert!(proven(asked(switch(vec![a, b])).judge(&CAUSE)).fix[0].command.contains("isolated off"));
        let (mut a, mut b) = (port(2, "forwarding"), port(3, "forwarding"));
        let vlan = |vid| vec![PortVlan { vid, pvid: true, untagged: true }];
        a.bridge_port.as_mut().unwrap().vlans = vlan(10);
        b.bridge_port.as_mut().unwrap().vlans = vlan(20);
        assert!(proven(asked(switch(vec![a, b])).judge(&CAUSE)).fix[0].command.contains("vid 10"));
    }

    #[test]
    fn an_answer_or_only_open_ports_make_it_innocent() {
        let blocked = || switch(vec![port(2, "forwarding"), port(3, "forwarding"), port(4, "blocking")]);
        silent(asked(blocked()).arp_reply(false, "203.0.113.2", "02:00:00:00:00:02").judge(&CAUSE));
        silent(asked(switch(vec![port(2, "forwarding"), port(3, "forwarding")])).judge(&CAUSE));
        silent(blocked().captured().judge(&CAUSE));
    }
}
