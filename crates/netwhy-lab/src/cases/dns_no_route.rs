//! The configured name server is behind a route that does not exist.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-no-route",
    title: "no route to the configured name server",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &["name unresolved"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"])?;
    let client = lab.node("client")?;
    client.write_etc("resolv.conf", "options timeout:1 attempts:1\nnameserver 192.0.2.53\n")?;
    Ok(Broken::by("dns-server-unreachable", json!({"kind": "resolver", "server": "192.0.2.53"}))
        .heal(|lab| lab.node("client")?.write_etc("resolv.conf", "nameserver 203.0.113.2\n")))
}
