//! No UDP socket on the other host; it says so with ICMP.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-udp-closed",
    title: "outside: the UDP port is closed",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "udp://203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "udp://203.0.113.2:8080", sees: &["hello ECONNREFUSED"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    Ok(Broken::outside("udp-port-closed"))
}
