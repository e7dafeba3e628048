//! The server has a blackhole route for the client's network.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "reply-route-blackhole",
    title: "a blackhole route swallows the answers",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["accept-queue-full", "fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("server")?.route_add(Route::to("198.51.100.0/24")?.kind("blackhole")?)?;
    Ok(Broken::by("route-type-deny", locus::route("198.51.100.0", 24, "blackhole"))
        .heal(|lab| lab.node("server")?.route_del(Route::to("198.51.100.0/24")?.kind("blackhole")?)))
}
