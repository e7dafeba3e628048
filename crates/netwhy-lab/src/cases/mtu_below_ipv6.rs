//! The device's MTU is below 1280 bytes, so that the kernel takes IPv6 off it.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "mtu-below-ipv6",
    title: "the device's MTU is below IPv6's minimum",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "[2001:db8:1::2]:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://[2001:db8:1::2]:8080",
        sees: &["connect ENETUNREACH", "connect EADDRNOTAVAIL"],
    },
    fault,
    ruled_out: &["route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.link_mtu("eth0", 1200)?;
    Ok(Broken::by("mtu-below-ipv6-minimum", locus::link("eth0"))
        .step("route-missing", |lab| lab.node("client")?.addr_add("eth0", "2001:db8:1::1/64"))
        .heal(|lab| {
            let client = lab.node("client")?;
            client.link_mtu("eth0", 1500)?;
            client.addr_add("eth0", "2001:db8:1::1/64")
        }))
}
