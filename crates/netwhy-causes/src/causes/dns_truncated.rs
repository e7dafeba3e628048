//! # A truncated answer cannot be fetched over TCP
//!
//! ## What you see
//! Some names fail, usually those with many records; small ones work.
//!
//! ## What happens
//! The answer does not fit into the datagram, so the server sets the TC bit and the client asks again over TCP; TCP
//! port 53 is closed or filtered.
//!
//! ## How netwhy knows
//! The UDP reply has the TC bit, and the same question over TCP to the same server failed.
//!
//! ## Look-alikes
//! dns-timeout: UDP fails too. dns-servfail.
//!
//! ## What to do
//! Allow TCP port 53 to the server (RFC 7766 requires it), or use a resolver with EDNS.
//!
//! ## References
//! RFC 7766 section 5, RFC 1035 section 4.2; resolv.conf(5) options use-vc, edns0.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-truncated",
    title: "the answer does not fit UDP and TCP to the name server fails",
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
        |said| matches!(said, Said::Truncated(_)),
        |server, said| format!("name server {server} {}, so {name} cannot be resolved", said.words()),
        |server| vec![Fix::act(format!("let TCP port 53 to {server} pass (on the way and on the server)"))],
    )
}
