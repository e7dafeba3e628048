//! A service that echoes: the handshake meets its own hello.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::Authority;
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tls-garbage",
    title: "the service sends back whatever it is sent",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim {
        node: "client",
        target: "tls://web.example.test:8443",
        sees: &["tls not-tls", "tls failed", "tls alert"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    lab.trust(&Authority::new("Lab Root")?)?;
    lab.serve("server", "plain", "echo", &["tcp://[::]:8443"])?;
    Ok(Broken::by("tls-garbage", json!({"kind": "tls-endpoint"})).heal(Lab::proper_tls))
}
