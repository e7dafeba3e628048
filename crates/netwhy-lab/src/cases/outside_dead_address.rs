//! The name has two addresses; at one of them nothing listens.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-dead-address",
    title: "outside: one of two addresses of the name is dead",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.serve("server", "web", "echo", &["tcp://203.0.113.2:8080"])?;
    lab.node("server")?.addr_add("eth0", "203.0.113.12/24")?;
    let hosts = "127.0.0.1\tlocalhost\n203.0.113.12\tdb.example.test\n203.0.113.2\tdb.example.test\n";
    lab.node("client")?.write_etc("hosts", hosts)?;
    Ok(Broken::outside("one-dead-address"))
}
