//! A third host has the server's address too, and the client has learned its hardware address.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "duplicate-ip",
    title: "two hosts hold the same address",
    topology: Topology::Bridge,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let other = lab.node("other")?;
    other.addr_add("eth0", "203.0.113.2/24")?;
    let hardware = other.hardware_address("eth0")?;
    lab.node("client")?.neigh_set("eth0", "203.0.113.2", &hardware, "stale")?;
    Ok(Broken::by("duplicate-ip", locus::neighbour("eth0", "203.0.113.2")).heal(|lab| {
        lab.node("other")?.addr_del("eth0", "203.0.113.2/24")?;
        lab.node("client")?.neigh_del("eth0", "203.0.113.2")
    }))
}
