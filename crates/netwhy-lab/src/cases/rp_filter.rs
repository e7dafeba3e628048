//! The SYN comes in by one device and the route back leaves by another: strict reverse path filtering drops it.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "rp-filter",
    title: "strict reverse path filtering drops the SYN",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound", "accept-queue-full"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.cable(("router", "eth2"), ("server", "eth1"))?;
    lab.node("router")?.addr_add("eth2", "192.0.2.1/24")?;
    let server = lab.node("server")?;
    server.addr_add("eth1", "192.0.2.2/24")?;
    server.sysctl("net.ipv4.conf.eth0.rp_filter", "1")?;
    server.route_add(Route::to("198.51.100.0/24")?.via("192.0.2.1")?)?;
    Ok(Broken::by("rp-filter", json!({"kind": "sysctl"}))
        .heal(|lab| lab.node("server")?.sysctl("net.ipv4.conf.eth0.rp_filter", "2")))
}
