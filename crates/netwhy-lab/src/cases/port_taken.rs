//! Another program holds the port without listening on it, so that the service could not have it.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "port-taken",
    title: "another program holds the port of the service",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "squatter", "bind-only", &["0.0.0.0:8080"])?;
    let locus = json!({"kind": "socket", "proto": "tcp", "pid": pid});
    Ok(Broken::by("port-bind-failure", locus).heal(|lab| {
        lab.stop("squatter")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
