//! Every port a client may choose is reserved for services.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

const RANGE: &str = "net.ipv4.ip_local_port_range";
const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";

pub(super) static CASE: Case = Case {
    id: "ports-reserved",
    title: "the whole range of source ports is reserved",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EADDRNOTAVAIL"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    let old = client.sysctl_get(RANGE)?.trim().to_owned();
    client.sysctl(RANGE, "40000 40007")?;
    client.sysctl(RESERVED, "40000-40007")?;
    let locus = json!({"kind": "sysctl", "name": RESERVED});
    Ok(Broken::by("ephemeral-exhausted", locus).heal(move |lab| {
        lab.node("client")?.sysctl(RESERVED, "")?;
        lab.node("client")?.sysctl(RANGE, &old)
    }))
}
