//! The service listens on another address of the server.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-bound-other-address",
    title: "the service listens on another address",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["fw-reject"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.node("server")?.addr_add("eth0", "203.0.113.12/24")?;
    let pid = lab.serve("server", "web", "echo", &["tcp://203.0.113.12:8080"])?;
    Ok(Broken::by("svc-bound-elsewhere", locus::socket("203.0.113.12:8080", pid)).heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
