//! Nobody on the link has the target address.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "neigh-unresolved",
    title: "nobody on the link has the address",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.9:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.9:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["path-or-remote-drop", "route-missing"],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::by("neigh-unresolved", locus::neighbour("eth0", "203.0.113.9")).heal(|lab| {
        lab.node("server")?.addr_add("eth0", "203.0.113.9/24")?;
        lab.node("client")?.neigh_del("eth0", "203.0.113.9")
    }))
}
