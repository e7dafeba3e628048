//! # No name server listens at the configured address
//!
//! ## What you see
//! Names fail at once with "Temporary failure in name resolution". Often the server is 127.0.0.53 or 127.0.0.1 and
//! the local stub has stopped.
//!
//! ## What happens
//! The host at the configured address answers the query with ICMP port unreachable (TCP: a reset): no process
//! serves port 53 there.
//!
//! ## How netwhy knows
//! The query's socket reported ECONNREFUSED, over UDP and TCP.
//!
//! ## Look-alikes
//! A silent server (dns-timeout). A server that answers and refuses (dns-refused).
//!
//! ## What to do
//! Start the name server or the stub (systemctl restart systemd-resolved), or correct the nameserver line.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020. systemd-resolved(8).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-server-down",
    title: "no name server listens at the configured address",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Name,
    scope: Scope::Question,
    needs: &["name-answers", "resolver"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(names) = Naming::of(case) else { return Verdict::Silent };
    let name = &names.answers.name;
    names.blame_servers(
        case,
        |said| matches!(said, Said::Socket(name) if name == "ECONNREFUSED"),
        |server, _said| format!("no name server listens on {server} port 53, so {name} cannot be resolved"),
        |server| vec![if server.is_loopback() { Fix::act("start the local stub that should listen there, for example systemd-resolved or dnsmasq") } else { Fix::act(format!("start the name server on {server}")) }, Fix::act("or correct the nameserver line")],
    )
}
