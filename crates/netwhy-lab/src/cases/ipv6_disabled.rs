//! IPv6 is switched off on the client's device: its addresses and routes are gone.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "ipv6-disabled",
    title: "IPv6 is disabled on the device",
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
    lab.node("client")?.sysctl("net.ipv6.conf.eth0.disable_ipv6", "1")?;
    // Switching it off has taken the address and its route: they come to light when it is on again.
    let readdress = |lab: &mut Lab| lab.node("client")?.addr_add("eth0", "2001:db8:1::1/64");
    Ok(Broken::by("ipv6-broken", locus::sysctl("net.ipv6.conf.eth0.disable_ipv6"))
        .step("route-missing", readdress)
        .heal(move |lab| {
            lab.node("client")?.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
            readdress(lab)
        }))
}
