//! All of the client's ports towards the server are in use.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "ephemeral-exhausted",
    title: "no local port is left for the target",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EADDRNOTAVAIL"] },
    fault,
    ruled_out: &["snat-port-exhausted"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.sysctl("net.ipv4.ip_local_port_range", "40000 40007")?;
    lab.serve("client", "crowd", "hold-open", &["16", "203.0.113.2:8080"])?;
    let locus = json!({"kind": "port-range", "low": 40000, "high": 40007});
    Ok(Broken::by("ephemeral-exhausted", locus)
        .heal(|lab| lab.node("client")?.sysctl("net.ipv4.ip_local_port_range", "32768 60999")))
}
