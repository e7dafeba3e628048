//! # Something on the way drops SYNs with a certain option
//!
//! ## What you see
//! connect() times out from this host, and works from another system or with a feature switched off.
//!
//! ## What happens
//! A middlebox drops SYNs that carry TCP Fast Open, ECN, MPTCP, timestamps or another option it does not know.
//!
//! ## How netwhy knows
//! The same connection attempt without the option was answered while the plain one was not.
//!
//! ## Look-alikes
//! A path that drops everything (path-or-remote-drop): the attempt without the option fails too.
//!
//! ## What to do
//! Switch the option off for this destination (ip route ... features, net.ipv4.tcp_ecn, tcp_fastopen, tcp_timestamps) and
//! tell the owner of the middlebox.
//!
//! ## References
//! RFC 3168 section 6.1.1.1, RFC 7413 section 7, RFC 8684 section 3.7; tcp(7).

use netwhy_facts::attempt::{Attempts, Outcome};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "option-intolerance",
    title: "something on the way drops SYNs with a certain option",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "mib", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

/// Variant of an attempt, the option it leaves out, and the setting that switches it.
const OPTIONS: [(&str, &str, &str); 4] = [
    ("without-ecn", "ECN", "net.ipv4.tcp_ecn=0"),
    ("without-fastopen", "TCP Fast Open", "net.ipv4.tcp_fastopen=0"),
    ("without-timestamps", "timestamps", "net.ipv4.tcp_timestamps=0"),
    ("without-mptcp", "MPTCP", "net.mptcp.enabled=0"),
];

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.timed_out() {
        return Verdict::Silent;
    }
    let Some(all) = case.facts.latest::<Attempts>().value() else { return Verdict::Silent };
    for (variant, option, setting) in OPTIONS {
        let tried = all.0.iter().find(|a| a.variant.as_deref() == Some(variant) && a.dst == case.flow.dst);
        let Some(tried) = tried else { continue };
        let evidence =
            Evidence::new("variant", format!("without {option}: {}", words(&tried.outcome)), "connect(2)")
                .value(words(&tried.outcome))
                .window(tried.elapsed_us);
        if tried.outcome == Outcome::Timeout {
            return Verdict::ruled_out(format!("without {option} there is no answer either"), vec![evidence]);
        }
        return Finding::new(
            Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Tcp },
            format!("SYNs to {} with {option} get no answer, without it they do: something on the way drops them", case.flow.target()),
        )
        .maybe(case.ev_attempt())
        .evidence(evidence)
        .fix(
            Fix::act(format!("switch {option} off for connections of this host (sysctl -w {setting}) until the middlebox is repaired"))
                .risk("it concerns every connection of this host"),
        )
        .verify(case.ask_again())
        .outside()
        .proven();
    }
    Verdict::Silent
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "answered".into(),
        Outcome::Timeout => "no answer".into(),
        Outcome::Error { name, .. } => name.clone(),
        Outcome::ClosedEarly { .. } => "accepted and closed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn client(variant: &str, outcome: Outcome) -> Scene {
        let mut scene = Scene::client("203.0.113.2", 80).timeout(3000);
        let mut all = scene.facts.value::<Attempts>().unwrap().clone();
        let mut other = all.0[0].clone();
        other.variant = Some(variant.into());
        other.outcome = outcome;
        all.0.push(other);
        scene.put(all);
        scene
    }

    #[test]
    fn an_answer_without_the_option_proves_it() {
        let f = proven(client("without-ecn", Outcome::Ok).judge(&CAUSE));
        assert!(f.outside && f.summary.contains("ECN"));
    }

    #[test]
    fn silence_without_it_rules_it_out() {
        ruled_out(client("without-ecn", Outcome::Timeout).judge(&CAUSE));
    }

    #[test]
    fn without_the_experiment_nothing_is_said() {
        silent(Scene::client("203.0.113.2", 80).timeout(3000).judge(&CAUSE));
        silent(client("other-source-port", Outcome::Ok).judge(&CAUSE));
    }
}
