//! The server has no route back to the client: SYNs arrive, nothing answers, and ListenDrops rises as if the queue were full.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "reply-route-missing",
    title: "the server has no route back",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["accept-queue-full", "fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("server")?.route_del(Route::to("0.0.0.0/0")?)?;
    Ok(Broken::by("reply-route-missing", locus::missing_route("198.51.100.2"))
        .heal(|lab| lab.node("server")?.route_add(Route::to("0.0.0.0/0")?.via("203.0.113.1")?)))
}
