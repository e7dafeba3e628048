//! A permanent neighbour entry names a hardware address nobody has.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "neigh-static-wrong",
    title: "a static neighbour entry is wrong",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["neigh-unresolved"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.neigh_set("eth0", "203.0.113.2", "02:00:5e:00:53:99", "permanent")?;
    Ok(Broken::by("neigh-static-wrong", locus::neighbour("eth0", "203.0.113.2"))
        .heal(|lab| lab.node("client")?.neigh_del("eth0", "203.0.113.2")))
}
