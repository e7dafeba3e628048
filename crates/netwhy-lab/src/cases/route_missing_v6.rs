//! The client has an IPv4 default route and no IPv6 one.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "route-missing-v6",
    title: "no IPv6 route to the target",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "[2001:db8:2::2]:8080"] },
    victim: Victim { node: "client", target: "tcp://[2001:db8:2::2]:8080", sees: &["connect ENETUNREACH"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.route_del(Route::to("::/0")?)?;
    Ok(Broken::by("route-missing", locus::missing_route("2001:db8:2::2"))
        .heal(|lab| lab.node("client")?.route_add(Route::to("::/0")?.via("2001:db8:1::1")?)))
}
