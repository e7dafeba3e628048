//! Nothing is wrong; by name, with an unrelated name that does not exist.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-name",
    title: "healthy: by name",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"])?;
    lab.node("client")?.write_etc("resolv.conf", "nameserver 203.0.113.2\n")?;
    Ok(Broken::healthy())
}
