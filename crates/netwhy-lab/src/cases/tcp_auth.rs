//! The listener wants segments of this client signed with a key that the client does not have.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tcp-auth",
    title: "the listener wants signed segments (TCP MD5)",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound", "reply-route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "bgp", "echo", &["tcp://0.0.0.0:8080,md5=203.0.113.1"])?;
    Ok(Broken::by("tcp-auth", locus::socket("0.0.0.0:8080", pid)).heal(|lab| {
        lab.stop("bgp")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
