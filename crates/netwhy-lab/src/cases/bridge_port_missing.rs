//! The device towards the server is not a port of the bridge; asked on the switch.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "bridge-port-missing",
    title: "the device is not a port of the bridge",
    topology: Topology::Bridge,
    ask: Ask { node: "switch", args: &["connect", "203.0.113.2:8080", "--transit", "--from", "203.0.113.1"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("switch")?.link_master("port2", None)?;
    Ok(Broken::by("bridge-port-missing", locus::link("port2")).heal(|lab| {
        lab.node("switch")?.link_master("port2", Some("br0"))?;
        lab.node("client")?.neigh_del("eth0", "203.0.113.2").or(Ok(()))
    }))
}
