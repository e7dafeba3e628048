//! The service listens on :: and takes no IPv4.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-bound-v6-only",
    title: "the service listens for IPv6 only",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["fw-reject"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;

    let pid = lab.serve("server", "web", "echo", &["tcp://[::]:8080,v6only"])?;
    Ok(Broken::by("svc-bound-elsewhere", locus::socket("[::]:8080", pid)).heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
