//! # One of several equal paths drops the flow
//!
//! ## What you see
//! Some connections to the target hang and others work, and the same source port fails every time.
//!
//! ## What happens
//! A router, a link aggregation or a load balancer spreads flows by a hash of their addresses and ports. One of its
//! members is dead, and the flows it gets are lost.
//!
//! ## How netwhy knows
//! Attempts from other source ports were answered, attempts from the failing one were not, and again not.
//!
//! ## Look-alikes
//! Random loss: the same port sometimes works. A dead path (path-or-remote-drop): every port fails.
//!
//! ## What to do
//! Hand the working and the failing tuples to the owner of the path; the dead member has to leave the group.
//!
//! ## References
//! RFC 2992; Documentation/networking/ip-sysctl.rst (fib_multipath_hash_policy).

use netwhy_facts::attempt::{Attempt, Attempts, Outcome};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::trial;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "one-bad-path",
    title: "one of several equal paths drops the flow",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "addresses", "capture"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto == Proto::Icmp || !case.timed_out() || case.target_is_local() {
        return Verdict::Silent;
    }
    let Some(all) = case.facts.latest::<Attempts>().value() else { return Verdict::Silent };
    let of = |variant: &str| -> Vec<&Attempt> {
        let mine = |a: &&Attempt| {
            a.dst == case.flow.dst
                && a.dport == case.flow.dport
                && a.variant.as_deref() == Some(variant)
                // What this host itself refused says nothing of the path.
                && (a.outcome == Outcome::Timeout || trial::answered(a))
        };
        all.0.iter().filter(mine).collect()
    };
    let (others, again) = (of(trial::OTHER_PORT), of(trial::SAME_PORT));
    if others.is_empty() {
        return Verdict::Silent;
    }
    let silent = |a: &&&Attempt| a.outcome == Outcome::Timeout;
    let lost = others.iter().filter(silent).count();
    let ports = |want: bool| -> Vec<String> {
        let wanted = others.iter().filter(|a| (a.outcome == Outcome::Timeout) != want);
        wanted.filter_map(|a| a.local).map(|l| l.port().to_string()).collect()
    };
    let (working, dead) = (ports(true), ports(false));
    let list = |ports: &[String]| if ports.is_empty() { "none".into() } else { ports.join(", ") };
    let repeated = match (again.len(), again.iter().filter(silent).count()) {
        (0, _) => String::new(),
        (n, lost) if n == lost => "; the failing one failed again".into(),
        _ => "; the failing one was answered this time".into(),
    };
    let evidence = Evidence::new(
        "source-ports",
        format!("other source ports: answered {}, not answered {}{repeated}", list(&working), list(&dead)),
        "connect(2)",
    )
    .value(serde_json::json!({"answered": working, "not_answered": dead, "again": again.len()}));
    if lost == others.len() {
        return Verdict::ruled_out("no other source port was answered either", vec![evidence]);
    }
    let repeatable = !again.is_empty() && again.iter().all(|a| a.outcome == Outcome::Timeout);
    if !again.is_empty() && !repeatable {
        return Verdict::ruled_out(
            "the failing source port worked the next time: the loss is random",
            vec![evidence],
        );
    }
    let sport = case.flow.sport.map(|p| format!(" ({p})")).unwrap_or_default();
    Finding::new(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: case.flow.proto },
        format!("{} answers some source ports and not this one{sport}: one of several equal paths or back ends is dead", case.flow.target()),
    )
    .maybe(case.ev_attempt())
    .evidence(evidence)
    .maybe(case.ev_capture())
    .fix(Fix::act("hand the working and the failing source ports to the owner of the path: a member of a group is dead"))
    .verify(case.ask_again())
    .outside()
    .proven_if(repeatable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn client(tries: &[(&str, Outcome)]) -> Scene {
        let mut scene = Scene::client("203.0.113.2", 80).timeout(3000).request_out();
        let mut all = scene.facts.value::<Attempts>().unwrap().clone();
        for (variant, outcome) in tries {
            let mut a = all.0[0].clone();
            a.variant = Some(variant.to_string());
            a.outcome = outcome.clone();
            all.0.push(a);
        }
        scene.put(all);
        scene
    }
    const OTHER: &str = "other-source-port";
    const SAME: &str = "same-source-port";

    #[test]
    fn a_repeatable_difference_by_port_is_proven() {
        let tries = [(OTHER, Outcome::Ok), (OTHER, Outcome::Timeout), (SAME, Outcome::Timeout)];
        assert!(proven(client(&tries).judge(&CAUSE)).outside);
        consistent(client(&tries[..2]).judge(&CAUSE));
    }

    #[test]
    fn all_dead_or_random_rule_it_out() {
        assert!(ruled_out(client(&[(OTHER, Outcome::Timeout)]).judge(&CAUSE)).contains("either"));
        let random = [(OTHER, Outcome::Ok), (SAME, Outcome::Ok)];
        assert!(ruled_out(client(&random).judge(&CAUSE)).contains("random"));
    }

    #[test]
    fn without_the_experiment_nothing_is_said() {
        silent(client(&[]).judge(&CAUSE));
    }
}
