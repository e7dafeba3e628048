//! # One of the name servers does not answer
//!
//! ## What you see
//! Connections work, and start seconds late; some programs give up first.
//!
//! ## What happens
//! Servers are asked in order. The first does not answer, and each program waits for its timeout before it asks the
//! next.
//!
//! ## How netwhy knows
//! Each server was asked by itself: an earlier one gave no usable answer, a later one did.
//!
//! ## Look-alikes
//! A slow service: the connection itself is slow, not the name. dns-timeout: no server answers.
//!
//! ## What to do
//! Repair the server, or take its line out.
//!
//! ## References
//! resolv.conf(5) options timeout, attempts, rotate.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::{Fix, quote};
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-one-bad-resolver",
    title: "one of the name servers fails, and every name waits for it",
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
    let servers = names.servers();
    let Some(good) = servers.iter().position(|(_, said)| *said == Said::Address) else {
        return Verdict::Silent;
    };
    // With the option rotate every server comes first in its turn, else only those before a good one are waited for.
    let turns = &names.answers.application.by_first_server;
    let asked_first = if turns.is_empty() { good } else { servers.len() };
    let bad = servers.iter().take(asked_first).filter(|(_, said)| {
        matches!(
            said,
            Said::Timeout | Said::Socket(_) | Said::Rcode(_) | Said::Garbage(_) | Said::Truncated(_)
        )
    });
    let (better, _) = servers[good];
    let seconds = |us: u64| us as f64 / 1e6;
    let findings = bad.map(|(server, said)| {
        let turn = turns.iter().find(|(first, ..)| first == server);
        let when = match turn {
            Some((_, _, us)) => format!(
                "one of {} lookups begins with it (options rotate) and takes {:.1} s",
                turns.len(),
                seconds(*us)
            ),
            None => format!(
                "{} is only resolved by {better}, after {:.1} s",
                names.answers.name,
                seconds(names.answers.application.elapsed_us)
            ),
        };
        Finding::new(names.locus(*server), format!("name server {server} {}; {when}", said.words()))
            .evidence(names.evidence(*server))
            .evidence(names.evidence(better))
            .evidence(names.ev_application())
            .fix(Fix::act(match turn {
                Some(_) => format!("repair {server}, or take it out of {}", names.resolver.file),
                None => format!("repair {server}, or put it behind {better} in {}", names.resolver.file),
            }))
            .verify(format!("dig @{server} {}", quote(&names.answers.name)))
            .proven()
    });
    Verdict::several(findings.collect())
}
