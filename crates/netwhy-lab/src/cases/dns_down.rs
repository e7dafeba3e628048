//! Nothing listens on port 53 of the configured name server.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-down",
    title: "no name server listens at the configured address",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &["name unresolved"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.write_etc("resolv.conf", "options timeout:1 attempts:1\nnameserver 203.0.113.2\n")?;
    Ok(Broken::by("dns-server-down", json!({"kind": "resolver", "server": "203.0.113.2"})).heal(|lab| {
        lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"]).map(drop)
    }))
}
