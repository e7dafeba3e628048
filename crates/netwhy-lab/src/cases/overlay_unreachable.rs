//! The remote end of the tunnel device is an address nobody has.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "overlay-unreachable",
    title: "the remote end of the tunnel does not exist",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "198.51.100.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://198.51.100.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn tunnel(lab: &mut Lab, node: &str, remote: &str) -> Result<()> {
    let (local, inner) = match node {
        "client" => ("203.0.113.1", "198.51.100.1/24"),
        _ => ("203.0.113.2", "198.51.100.2/24"),
    };
    let node = lab.node(node)?;
    node.vxlan_add("vx0", 42, local, remote, 4789)?;
    node.link_up("vx0")?;
    node.addr_add("vx0", inner)
}

fn fault(lab: &mut Lab) -> Result<Broken> {
    tunnel(lab, "server", "203.0.113.1")?;
    tunnel(lab, "client", "203.0.113.77")?;
    Ok(Broken::by("overlay-unreachable", json!({"kind": "tunnel", "dev": "vx0"})).heal(|lab| {
        lab.node("client")?.link_del("vx0")?;
        tunnel(lab, "client", "203.0.113.2")
    }))
}
