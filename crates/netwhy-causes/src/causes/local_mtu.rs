//! # The packet is larger than this host can send
//!
//! ## What you see
//! send() fails at once with EMSGSIZE.
//!
//! ## What happens
//! The packet may not be fragmented and does not fit the MTU of the device or of the route: its own, or one learnt from
//! a router before.
//!
//! ## How netwhy knows
//! The call failed with EMSGSIZE and the error queue says that this host made the error, with the MTU it applies.
//!
//! ## Look-alikes
//! A smaller MTU further on: large packets leave and vanish (mtu-blackhole), or a router says so with ICMP.
//!
//! ## What to do
//! Send smaller packets, or raise the MTU where the network carries it; a learnt MTU expires by itself
//! (ip route flush cache forgets it).
//!
//! ## References
//! ip(7) IP_MTU_DISCOVER, RFC 1191, RFC 8201; net/ipv4/ip_output.c (__ip_append_data).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::nexthop;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "local-mtu",
    title: "the packet is larger than this host can send",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Link,
    scope: Scope::FailedFlow,
    needs: &["links", "attempts"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.errno() != Some("EMSGSIZE") {
        return Verdict::Silent;
    }
    let Some(attempt) = case.attempt() else { return Verdict::Silent };
    let told = attempt.icmp.iter().find_map(|e| e.mtu.filter(|_| e.local));
    let dev = match &case.forward.end {
        End::Sent { dev, .. } => dev.clone(),
        End::Rejected { locus: netwhy_facts::Locus::Link { dev, .. }, .. } => dev.clone(),
        _ => return Verdict::Silent,
    };
    let Some(link) = case.link(&dev) else { return Verdict::Silent };
    let mtu = told.unwrap_or(link.mtu);
    let learnt = told.is_some_and(|t| t < link.mtu);
    let what = if learnt { "the path, as learnt before," } else { "the device" };
    Finding::new(
        nexthop::link_locus(link),
        format!("a packet to {} does not fit: {what} takes {mtu} bytes ({} has an MTU of {})", case.flow.target(), link.name, link.mtu),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("mtu", format!("the MTU of {} is {}", link.name, link.mtu), "RTM_GETLINK")
            .value(link.mtu)
            .command(format!("ip link show dev {}; ip route get {}", quote(&link.name), case.flow.dst)),
    )
    .fix(Fix::act(if learnt {
        format!("forget the learnt MTU if it is wrong: ip route flush cache; else send packets of at most {mtu} bytes")
    } else {
        format!("send packets of at most {mtu} bytes, or raise the MTU of {} if the network carries it", link.name)
    }))
    .verify(case.ask_again())
    .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn emsgsize_names_the_device() {
        let scene = Scene::client_udp("203.0.113.2", 53).eth0(|l| l.mtu = 576).toward("203.0.113.2");
        let f = proven(scene.errno("EMSGSIZE", 0).judge(&CAUSE));
        assert!(f.summary.contains("576"), "{}", f.summary);
    }

    #[test]
    fn another_error_is_another_cause() {
        let scene = Scene::client_udp("203.0.113.2", 53).eth0(|l| l.mtu = 576).toward("203.0.113.2");
        silent(scene.errno("EPERM", 0).judge(&CAUSE));
    }
}
