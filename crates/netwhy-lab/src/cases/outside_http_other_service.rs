//! Something else listens on the port: it greets as a mail server does.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-http-other-service",
    title: "outside: another service answers on the port",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "http://203.0.113.2:8081/"] },
    victim: Victim { node: "client", target: "http://203.0.113.2:8081", sees: &["http garbage"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "mail", "answer", &["[::]:8081", "220 mail.example.test ESMTP\r\n"])?;
    Ok(Broken::outside("http-garbage"))
}
