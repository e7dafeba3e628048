//! The second router does not know the way back to the client; asked there.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "router-reply-route-missing",
    title: "the router has no route back to the client",
    topology: Topology::TwoRouters,
    ask: Ask { node: "far", args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect ENETUNREACH"],
    },
    fault,
    ruled_out: &["forwarding-off"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("far")?.route_del(Route::to("198.51.100.0/24")?)?;
    Ok(Broken::by("reply-route-missing", locus::missing_route("198.51.100.2"))
        .heal(|lab| lab.node("far")?.route_add(Route::to("198.51.100.0/24")?.via("192.0.2.1")?)))
}
