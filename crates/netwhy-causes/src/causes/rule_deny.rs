//! # A policy rule denies the flow
//!
//! ## What you see
//! connect() fails at once: EINVAL (blackhole), ENETUNREACH (unreachable) or EACCES (prohibit), while the routing
//! table looks right.
//!
//! ## What happens
//! A policy rule of type blackhole, unreachable or prohibit selects the flow (by source, mark, user, port or device)
//! before any rule leads to a table.
//!
//! ## How netwhy knows
//! The rules, evaluated with the flow's full key in order of priority, end in that rule, and the attempt failed at once
//! with the errno of its type, or packets arrived and did not go on.
//!
//! ## Look-alikes
//! No route at all (route-missing): no rule denies, every table was looked into. A denying route (route-type-deny).
//!
//! ## What to do
//! Delete the rule, or add one with a lower priority number that leads to the right table.
//!
//! ## References
//! ip-rule(8); net/core/fib_rules.c (fib_rules_lookup).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "rule-deny",
    title: "a policy rule denies the flow",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: routing::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    routing::denied(
        case,
        |_, locus| matches!(locus, Locus::Rule { .. }),
        |o, locus| format!("{} stops {}", object_text(locus), case.packets_text(o)),
        |o, finding| {
            let Some(Locus::Rule { family, priority, text }) = o.locus else { return finding };
            let ip = routing::ip_command(*family == 4);
            finding
                .fix(
                    Fix::run(
                        "delete the rule",
                        format!("{ip} rule del priority {priority} {}", crate::fix::quote_words(text)),
                        format!("{ip} rule add priority {priority} {}", crate::fix::quote_words(text)),
                    )
                    .risk("whatever the rule was meant to stop goes through then"),
                )
                .verify(format!("{ip} route get {}", routing::wanted_dst(o)))
        },
    )
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn rule() -> Locus {
        Locus::Rule { family: 4, priority: 100, text: "from all to 203.0.113.0/24 prohibit".into() }
    }
    fn denied(error: &str) -> End {
        End::Unroutable { locus: rule(), error: error.into() }
    }

    #[test]
    fn its_errno_proves_it() {
        let f = proven(
            Scene::client("203.0.113.2", 80)
                .forward(&[Stage::Routing], denied("EACCES"))
                .errno("EACCES", 0)
                .judge(&CAUSE),
        );
        assert_eq!(f.locus, rule());
        assert_eq!(f.fix[0].command, "ip rule del priority 100 from all to 203.0.113.0/24 prohibit");
    }

    #[test]
    fn a_forwarded_packet_that_is_refused_with_icmp_proves_it() {
        let scene = Scene::transit("203.0.113.2", 80)
            .forward(&[Stage::Routing], denied("icmp admin-prohibited"))
            .request_in()
            .icmp(true, "198.51.100.1", 3, 13);
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn another_errno_does_not() {
        consistent(
            Scene::client("203.0.113.2", 80)
                .forward(&[Stage::Routing], denied("EACCES"))
                .errno("EPERM", 0)
                .judge(&CAUSE),
        );
    }

    #[test]
    fn packets_that_left_rule_it_out() {
        let scene = Scene::client("203.0.113.2", 80)
            .forward(&[Stage::Routing], denied("EACCES"))
            .timeout(3000)
            .request_out();
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn a_rule_the_flow_does_not_meet_is_not_mentioned() {
        silent(Scene::client("203.0.113.2", 80).errno("EACCES", 0).judge(&CAUSE));
    }
}
