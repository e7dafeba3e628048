//! The service accepts and resets every connection at once.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-reset",
    title: "the service resets connections after accepting them",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["hello ECONNRESET", "connect ECONNRESET", "hello EPIPE"],
    },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "reset", &["[::]:8080"])?;
    let locus = json!({"kind": "socket", "proto": "tcp", "pid": pid});
    Ok(Broken::by("reset-after-accept", locus).heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
