//! A service address is routed to the server, which no longer has it. The counter is that of forwarding switched off.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "dst-ip-not-here",
    title: "the target address is not on this host",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", "192.0.2.50:8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim {
        node: "client",
        target: "tcp://192.0.2.50:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["forwarding-off", "fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("router")?.route_add(Route::to("192.0.2.50/32")?.via("203.0.113.2")?)?;
    Ok(Broken::by("dst-ip-not-here", locus::missing_address("192.0.2.50"))
        .heal(|lab| lab.node("server")?.addr_add("lo", "192.0.2.50/32")))
}
