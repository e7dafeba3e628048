//! The service has used up its descriptors: accept fails with EMFILE and the queue fills behind it.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "fd-limit-process",
    title: "the service is at its descriptor limit",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "hello timeout"],
    },
    fault,
    ruled_out: &["reply-route-missing", "fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "out-of-files", &["[::]:8080,backlog=1", "32"])?;
    lab.serve("client", "crowd", "hold-open", &["4", "203.0.113.2:8080"])?;
    Ok(Broken::by("fd-limit-process", locus::process(pid)).heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
