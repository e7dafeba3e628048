//! The service runs in a network namespace of its own, as in a container whose port nobody published.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-other-namespace",
    title: "the service listens in another network namespace",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["fw-reject"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "own-namespace", &["tcp://0.0.0.0:8080"])?;
    Ok(Broken::by(
        "svc-bound-elsewhere",
        json!({"kind": "socket", "proto": "tcp", "local": "0.0.0.0:8080", "pid": pid}),
    )
    .heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
