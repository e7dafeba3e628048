//! # The configured name server cannot be reached
//!
//! ## What you see
//! Names fail at once, or after three seconds, with "Temporary failure in name resolution".
//!
//! ## What happens
//! This host has no route to the configured server, or its next hop does not resolve, or a rule here refuses to
//! send the query.
//!
//! ## How netwhy knows
//! Sending the query failed with ENETUNREACH, EHOSTUNREACH, EPERM, EACCES or EINVAL: no server was ever asked.
//!
//! ## Look-alikes
//! A silent server (dns-timeout): the queries leave.
//!
//! ## What to do
//! Make the server reachable, or name another one.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-server-unreachable",
    title: "the configured name server cannot be reached",
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
        |said| matches!(said, Said::Socket(name) if name != "ECONNREFUSED"),
        |server, said| format!("name server {server} {}, so {name} cannot be resolved", said.words()),
        |server| {
            vec![
                Fix::act(format!("see why it cannot be reached: netwhy connect dns://{server}")),
                Fix::act("or name a server that can be reached"),
            ]
        },
    )
}
