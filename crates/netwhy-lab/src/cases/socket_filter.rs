//! The service attached a filter to its listening socket that keeps nothing.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "socket-filter",
    title: "a filter on the listening socket refuses every packet",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound", "accept-queue-full", "reply-route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "deaf", "echo", &["tcp://0.0.0.0:8080,deaf"])?;
    Ok(Broken::by("socket-filter", locus::socket("0.0.0.0:8080", pid)).heal(|lab| {
        lab.stop("deaf")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
