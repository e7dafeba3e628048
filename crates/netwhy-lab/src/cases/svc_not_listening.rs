//! The service is not running; asked on the server.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-not-listening",
    title: "nothing listens on the port",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["fw-drop-inbound", "svc-bound-elsewhere"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    Ok(Broken::by("svc-not-listening", locus::missing_listener("tcp", 8080)).heal(restart_web))
}

fn restart_web(lab: &mut Lab) -> Result<()> {
    lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
}
