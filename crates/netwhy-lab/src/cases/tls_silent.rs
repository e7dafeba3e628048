//! The service accepts and says nothing to the hello.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::Authority;
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tls-silent",
    title: "the service does not answer the TLS hello",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim { node: "client", target: "tls://web.example.test:8443", sees: &["tls timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    let ca = Authority::new("Lab Root")?;
    lab.trust(&ca)?;
    lab.serve("server", "tls", "accept-and-hold", &["[::]:8443"])?;
    Ok(Broken::by("tls-silent", json!({"kind": "tls-endpoint"})).heal(Lab::proper_tls))
}
