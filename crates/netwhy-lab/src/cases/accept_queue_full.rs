//! The service listens with a small backlog and never accepts: the queue is full, further connections hang.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "accept-queue-full",
    title: "the accept queue is full: the service does not accept",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "hello timeout"],
    },
    fault,
    ruled_out: &["reply-route-missing", "fw-drop-inbound", "fd-limit-process"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "never-accept", &["[::]:8080,backlog=1"])?;
    lab.serve("client", "crowd", "hold-open", &["4", "203.0.113.2:8080"])?;
    let locus = json!({"kind": "socket", "proto": "tcp", "pid": pid});
    Ok(Broken::by("accept-queue-full", locus).heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
