//! The port towards the server is in state disabled; asked on the switch.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "bridge-port-blocked",
    title: "a bridge port is in state disabled",
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
    lab.node("switch")?.bridge_port_state("port2", 0)?;
    let locus = json!({"kind": "bridge-port", "bridge": "br0", "port": "port2"});
    Ok(Broken::by("bridge-port-blocked", locus).heal(|lab| {
        lab.node("switch")?.bridge_port_state("port2", 3)?;
        lab.node("client")?.neigh_del("eth0", "203.0.113.2").or(Ok(()))
    }))
}
