//! The cable is out at the other end: the device is up, the route stays, nothing leaves.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "link-no-carrier",
    title: "the device has no carrier",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["neigh-unresolved", "path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("server")?.link_down("eth0")?;
    Ok(Broken::by("link-down", locus::link("eth0")).heal(|lab| {
        lab.node("server")?.link_up("eth0")?;
        lab.node("client")?.neigh_del("eth0", "203.0.113.2").or(Ok(()))
    }))
}
