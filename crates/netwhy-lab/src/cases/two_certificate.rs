//! The certificate expired years ago and is for another name.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::{Authority, Wish};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-certificate",
    title: "two faults: certificate expired and for another name",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim {
        node: "client",
        target: "tls://web.example.test:8443",
        sees: &["tls expired", "tls wrong-name"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    let ca = Authority::new("Lab Root")?;
    lab.trust(&ca)?;
    let wish = Wish { name: "www.example.test", years: (2020, 2024) };
    let (chain, key) = lab.issue(&ca, wish, &[])?;
    lab.serve("server", "tls", "tls", &["[::]:8443", &chain, &key])?;
    Ok(Broken::by("tls-expired", json!({"kind": "certificate"}))
        .and("tls-name-mismatch", json!({"kind": "certificate"}))
        .heal(Lab::proper_tls))
}
