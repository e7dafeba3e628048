//! The service's queue is full; asked on the client.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-accept-queue",
    title: "outside: the service does not accept",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "hello timeout"],
    },
    fault,
    ruled_out: &["fw-drop-outbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.serve("server", "web", "never-accept", &["[::]:8080,backlog=1"])?;
    lab.serve("client", "crowd", "hold-open", &["4", "203.0.113.2:8080"])?;
    Ok(Broken::outside("path-or-remote-drop"))
}
