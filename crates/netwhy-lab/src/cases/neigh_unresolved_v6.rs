//! Nobody on the link has the target address; IPv6.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "neigh-unresolved-v6",
    title: "nobody on the link has the IPv6 address",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "[2001:db8:1::9]:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://[2001:db8:1::9]:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::by("neigh-unresolved", locus::neighbour("eth0", "2001:db8:1::9")).heal(|lab| {
        lab.node("server")?.addr_add("eth0", "2001:db8:1::9/64")?;
        lab.node("client")?.neigh_del("eth0", "2001:db8:1::9")
    }))
}
