//! The service's process is stopped (SIGSTOP): its queue fills and new connections hang.

use netwhy_sys::signal::Signal;

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-stopped",
    title: "the process of the service is stopped",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "hello timeout"],
    },
    fault,
    ruled_out: &["reply-route-missing", "fd-limit-process"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "echo", &["tcp://[::]:8080,backlog=1"])?;
    lab.signal("web", Signal::STOP)?;
    lab.serve("client", "crowd", "hold-open", &["4", "203.0.113.2:8080"])?;
    Ok(Broken::by("svc-stopped", locus::process(pid)).heal(|lab| {
        lab.signal("web", Signal::CONT)?;
        lab.drained("server", 8080)
    }))
}
