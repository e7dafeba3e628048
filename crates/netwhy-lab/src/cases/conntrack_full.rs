//! The connection tracking table of the namespace is full of established entries: new flows are dropped.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "conntrack-full",
    title: "the connection tracking table is full",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["snat-port-exhausted", "fw-drop-outbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    // Tracking starts when a rule asks for it.
    Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.ct_state(2 | 4).accept())
        .commit(client)?;
    client.conntrack_fill()?;
    Ok(Broken::by("conntrack-full", locus::sysctl("net.netfilter.nf_conntrack_max"))
        .heal(|lab| lab.node("client")?.conntrack_flush()))
}
