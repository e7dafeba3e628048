//! The first router does not know the server's network; asked there.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "router-route-missing",
    title: "the router has no route to the target",
    topology: Topology::TwoRouters,
    ask: Ask { node: "near", args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ENETUNREACH"] },
    fault,
    ruled_out: &["forwarding-off"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("near")?.route_del(Route::to("203.0.113.0/24")?)?;
    Ok(Broken::by("forward-no-route", locus::missing_route("203.0.113.2"))
        .heal(|lab| lab.node("near")?.route_add(Route::to("203.0.113.0/24")?.via("192.0.2.2")?)))
}
