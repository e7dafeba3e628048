//! The server has the client's own address on loopback: packets from it are taken for forged, and no counter of the namespace says so.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "martian-source",
    title: "the client's address is also on the server",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["rp-filter", "fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("server")?.addr_add("lo", "198.51.100.2/32")?;
    let locus = json!({"kind": "address", "dev": "lo", "address": "198.51.100.2"});
    Ok(Broken::by("martian-source", locus).heal(|lab| lab.node("server")?.addr_del("lo", "198.51.100.2/32")))
}
