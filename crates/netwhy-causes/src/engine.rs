//! Runs the judges and finds the root: a proven cause that no other proven cause explains.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Absence, Facts, Flow, Locus, Question};
use netwhy_walk::{Action, Path};

use crate::case::{Case, Fate, Seen};
use crate::cause::{Cause, Finding, Scope, Verdict};
use crate::reasons::{Says, says};
use crate::report::{CauseOut, Confidence, Disagreement, NotCheckable, Overall, RuledOut, StageOut};

/// Predicted paths of one flow.
pub struct FlowPaths {
    /// The flow.
    pub flow: Flow,
    /// First packet.
    pub forward: Path,
    /// Its answer.
    pub reply: Path,
    /// What would stop it next, with earlier blockers taken away.
    pub beyond: Vec<Path>,
}

impl FlowPaths {
    /// The flow as judges see it.
    pub fn case<'a>(&'a self, facts: &'a Facts, question: &'a Question) -> Case<'a> {
        let seen = Seen::of(facts, &self.flow, &self.forward, question.role, question.from);
        Case {
            facts,
            question,
            flow: &self.flow,
            forward: &self.forward,
            reply: &self.reply,
            beyond: &self.beyond,
            seen,
        }
    }
}

/// The judgement, before cost and time are added.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Judgement {
    pub verdict: Overall,
    pub headline: String,
    pub causes: Vec<CauseOut>,
    pub ruled_out: Vec<RuledOut>,
    pub not_checkable: Vec<NotCheckable>,
    pub stages: Vec<StageOut>,
    pub disagreements: Vec<Disagreement>,
}

struct Found {
    cause: &'static Cause,
    confidence: Confidence,
    finding: Finding,
    flows: Vec<String>,
}

/// Judges every cause of the scenario over every flow.
pub fn judge(facts: &Facts, question: &Question, paths: &[FlowPaths]) -> Judgement {
    judge_with(crate::causes::ALL, facts, question, paths)
}

/// As `judge`, with the list of causes given (tests).
pub fn judge_with(
    causes: &[&'static Cause],
    facts: &Facts,
    question: &Question,
    paths: &[FlowPaths],
) -> Judgement {
    let mut found: Vec<Found> = Vec::new();
    let mut ruled_out: Vec<RuledOut> = Vec::new();
    let mut not_checkable: Vec<NotCheckable> = Vec::new();
    let mut fates = Vec::new();

    for (nth, p) in paths.iter().enumerate() {
        let seen = Seen::of(facts, &p.flow, &p.forward, question.role, question.from);
        let case = Case {
            facts,
            question,
            flow: &p.flow,
            forward: &p.forward,
            reply: &p.reply,
            beyond: &p.beyond,
            seen,
        };
        let fate = case.fate();
        fates.push(fate);
        if fate == Fate::Unknown && question.role != netwhy_facts::Role::Client && case.seen.known {
            let from = question.from.map(|f| f.to_string()).unwrap_or_else(|| "a client".into());
            not_checkable.push(NotCheckable {
                what: format!("no attempt from {from} to {} was seen in the window", p.flow.target()),
                needs: "ask again while the client tries".into(),
                privilege: false,
            });
        }
        for cause in causes {
            let applies = cause.scenarios.contains(&question.scenario)
                && cause.roles.contains(&question.role)
                && match cause.scope {
                    Scope::FailedFlow => fate != Fate::Works,
                    Scope::EveryFlow => true,
                    Scope::Question => nth == 0,
                };
            if !applies {
                continue;
            }
            let flow_scoped = cause.scope == Scope::FailedFlow;
            for verdict in (cause.judge)(&case).flatten() {
                match with_events(&case, cause, verdict) {
                    // Without an observed attempt a prediction stays a prediction.
                    Verdict::Proven(f) if flow_scoped && fate == Fate::Unknown => {
                        merge(&mut found, cause, Confidence::Consistent, *f, &p.flow);
                    }
                    Verdict::Proven(f) => merge(&mut found, cause, Confidence::Proven, *f, &p.flow),
                    Verdict::Consistent(f) => merge(&mut found, cause, Confidence::Consistent, *f, &p.flow),
                    Verdict::RuledOut { because, evidence } => {
                        if !ruled_out.iter().any(|r| r.id == cause.id) {
                            ruled_out.push(RuledOut { id: cause.id.to_string(), because, evidence });
                        }
                    }
                    Verdict::Unknown { what, needs } => {
                        let privilege = matches!(needs, Absence::Denied(_));
                        not_checkable.push(NotCheckable { what, needs: needs.to_string(), privilege });
                    }
                    Verdict::Several(_) | Verdict::Silent => {}
                }
            }
        }
    }

    // A connection that stands and yet gets no further is blamed on the firewall first: say what excludes it.
    use crate::cause::Layer;
    if found.iter().any(|f| matches!(f.cause.layer, Layer::Host | Layer::Socket | Layer::Process)) {
        let stands = paths.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Works);
        for (p, _) in stands {
            let case = p.case(facts, question);
            let firewalls = causes.iter().filter(|c| {
                c.layer == Layer::Firewall
                    && c.scope == Scope::FailedFlow
                    && c.scenarios.contains(&question.scenario)
                    && c.roles.contains(&question.role)
            });
            for cause in firewalls {
                for verdict in (cause.judge)(&case).flatten() {
                    if let Verdict::RuledOut { because, evidence } = verdict
                        && !ruled_out.iter().any(|r| r.id == cause.id)
                    {
                        ruled_out.push(RuledOut { id: cause.id.to_string(), because, evidence });
                    }
                }
            }
        }
    }

    if paths.is_empty() {
        // No address to try: only the causes about the whole question (names) can speak.
        judge_question_only(causes, facts, question, &mut found, &mut ruled_out, &mut not_checkable);
    }

    let causes_out = rank(found);
    not_checkable.extend(without_events(facts, &fates, &causes_out));
    not_checkable.sort();
    not_checkable.dedup();
    // A cause that was found is not also ruled out for another flow.
    ruled_out.retain(|r| !causes_out.iter().any(|c| c.id == r.id || c.explains.contains(&r.id)));
    let stages = stages(facts, question, paths);
    let disagreements = paths
        .iter()
        .flat_map(|p| crate::disagree::of_flow(&p.case(facts, question), &causes_out, &stages))
        .collect();
    let verdict = overall(&causes_out, &fates);
    let headline = headline(question, verdict, &causes_out, paths);
    Judgement { verdict, headline, causes: causes_out, ruled_out, not_checkable, stages, disagreements }
}

/// Adds what the kernel freed for a finding's reason, and its neighbour's failure. An event that no other condition
/// brings about turns what fits into what is proven.
fn with_events(case: &Case<'_>, cause: &Cause, verdict: Verdict) -> Verdict {
    let (proven, mut finding) = match verdict {
        Verdict::Proven(finding) => (true, finding),
        Verdict::Consistent(finding) => (false, finding),
        other => return other,
    };
    let behind = finding.evidence.iter().any(|e| e.id == "next-obstacle");
    let cited = finding.evidence.iter().any(|e| e.id == "drop-event");
    let mut proves = false;
    if !behind && !cited && cause.scope != Scope::Question {
        let told = case.freed().into_iter().find_map(|f| Some((says(cause.id, &f)?, f)));
        if let Some((says, freed)) = told {
            proves = says == Says::Proves;
            let at = usize::from(finding.evidence.first().is_some_and(|e| e.id == "attempt"));
            finding.evidence.insert(at, case.ev_freed(&freed));
        }
        if matches!(cause.id, "neigh-unresolved" | "neigh-table-full") {
            finding.evidence.extend(case.ev_neighbour_event(None));
        }
        if cause.id == "svc-not-listening" {
            finding.evidence.extend(case.ev_reset_sent(|reason| matches!(reason, "NO_SOCKET" | "")));
        }
    }
    if proven || proves { Verdict::Proven(finding) } else { Verdict::Consistent(finding) }
}

/// Where nothing is proven about a flow that fails, the kernel's events would tell more.
fn without_events(facts: &Facts, fates: &[Fate], causes: &[CauseOut]) -> Option<NotCheckable> {
    use netwhy_facts::event::KernelEvents;
    let proven = causes.iter().any(|c| c.confidence == Confidence::Proven);
    if proven || !fates.contains(&Fate::Fails) {
        return None;
    }
    let absence = facts.get::<KernelEvents>().absence().filter(|a| !matches!(a, Absence::NotAsked))?;
    Some(NotCheckable {
        what: "whether the kernel freed packets of the flow, and why".into(),
        privilege: matches!(absence, Absence::Denied(_)),
        needs: absence.to_string(),
    })
}

fn judge_question_only(
    causes: &[&'static Cause],
    facts: &Facts,
    question: &Question,
    found: &mut Vec<Found>,
    ruled_out: &mut Vec<RuledOut>,
    not_checkable: &mut Vec<NotCheckable>,
) {
    let flow = Flow {
        proto: question.target.proto,
        src: None,
        sport: None,
        dst: std::net::Ipv4Addr::UNSPECIFIED.into(),
        dport: question.target.port,
        mark: 0,
        uid: None,
        dev: None,
    };
    let path = no_path(&flow);
    let case = Case {
        facts,
        question,
        flow: &flow,
        forward: &path,
        reply: &path,
        beyond: &[],
        seen: Seen::default(),
    };
    for cause in causes {
        if cause.scope != Scope::Question
            || !cause.scenarios.contains(&question.scenario)
            || !cause.roles.contains(&question.role)
        {
            continue;
        }
        for verdict in (cause.judge)(&case).flatten() {
            match verdict {
                Verdict::Proven(finding) => found.push(Found {
                    cause,
                    confidence: Confidence::Proven,
                    finding: *finding,
                    flows: Vec::new(),
                }),
                Verdict::Consistent(finding) => found.push(Found {
                    cause,
                    confidence: Confidence::Consistent,
                    finding: *finding,
                    flows: Vec::new(),
                }),
                Verdict::RuledOut { because, evidence } => {
                    ruled_out.push(RuledOut { id: cause.id.to_string(), because, evidence });
                }
                Verdict::Unknown { what, needs } => {
                    let privilege = matches!(needs, Absence::Denied(_));
                    not_checkable.push(NotCheckable { what, needs: needs.to_string(), privilege });
                }
                Verdict::Several(_) | Verdict::Silent => {}
            }
        }
    }
}

/// A path about which nothing can be said.
pub fn no_path(flow: &Flow) -> Path {
    let src = match flow.family() {
        netwhy_facts::Family::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        netwhy_facts::Family::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let packet = netwhy_walk::Packet::first_of(flow, src, 0);
    Path {
        finally: packet.clone(),
        packet,
        steps: Vec::new(),
        end: netwhy_walk::End::Insufficient { what: "the path was not predicted".into(), locus: None },
        assumptions: Vec::new(),
        ct: None,
    }
}

fn merge(
    found: &mut Vec<Found>,
    cause: &'static Cause,
    confidence: Confidence,
    finding: Finding,
    flow: &Flow,
) {
    let name = flow.target();
    if let Some(same) = found.iter_mut().find(|f| f.cause.id == cause.id && f.finding.locus == finding.locus)
    {
        if confidence < same.confidence {
            same.confidence = confidence;
            same.finding = finding;
        }
        if !same.flows.contains(&name) {
            same.flows.push(name);
        }
        return;
    }
    found.push(Found { cause, confidence, finding, flows: vec![name] });
}

/// Orders by root, confidence and layer; folds explained causes into those that explain them.
fn rank(found: Vec<Found>) -> Vec<CauseOut> {
    struct Brief {
        cause: &'static Cause,
        confidence: Confidence,
        flows: Vec<String>,
        next: bool,
    }
    let is_next = |f: &Found| f.finding.evidence.iter().any(|e| e.id == "next-obstacle");
    let briefs: Vec<Brief> = found
        .iter()
        .map(|f| Brief { cause: f.cause, confidence: f.confidence, flows: f.flows.clone(), next: is_next(f) })
        .collect();
    let proven: Vec<&Brief> = briefs.iter().filter(|b| b.confidence == Confidence::Proven).collect();
    let shares = |a: &[String], b: &[String]| a.is_empty() || b.is_empty() || a.iter().any(|x| b.contains(x));
    // A proof is explained only by a proof, and what stops the flow now not by what would stop it next.
    let explained_by = |f: &Found| {
        briefs.iter().any(|b| {
            b.cause.id != f.cause.id
                && b.cause.explains.contains(&f.cause.id)
                && b.confidence <= f.confidence
                && b.next == is_next(f)
                && shares(&b.flows, &f.flows)
        })
    };
    let mut out: Vec<(usize, netwhy_facts::Locus, CauseOut, crate::cause::Layer)> = Vec::new();
    let folded: Vec<bool> = found.iter().map(explained_by).collect();
    let explained: Vec<(String, Vec<String>)> = found
        .iter()
        .zip(&folded)
        .filter(|(_, folded)| **folded)
        .map(|(f, _)| (f.cause.id.to_string(), f.flows.clone()))
        .collect();
    for (f, folded) in found.into_iter().zip(folded) {
        if folded {
            continue;
        }
        // Where a flow has a proven root, what merely fits is noise.
        let has_proven = |flow: &String| proven.iter().any(|b| b.flows.contains(flow) || b.flows.is_empty());
        if f.confidence == Confidence::Consistent
            && ((f.flows.is_empty() && !proven.is_empty())
                || (!f.flows.is_empty() && f.flows.iter().all(has_proven)))
            && !f.finding.evidence.iter().any(|e| e.id == "next-obstacle")
        {
            continue;
        }
        let explains = explained
            .iter()
            .filter(|(id, flows)| f.cause.explains.contains(&id.as_str()) && shares(flows, &f.flows))
            .map(|(id, _)| id.clone())
            .collect();
        out.push((
            usize::from(f.confidence != Confidence::Proven),
            f.finding.locus.clone(),
            CauseOut {
                id: f.cause.id.to_string(),
                title: f.cause.title.to_string(),
                confidence: f.confidence,
                locus: f.finding.locus,
                summary: f.finding.summary,
                explains,
                flows: f.flows,
                outside: f.finding.outside,
                evidence: f.finding.evidence,
                fix: f.finding.fix,
                verify: f.finding.verify,
            },
            f.cause.layer,
        ));
    }
    out.sort_by_key(|(rank, _, c, layer)| (*rank, c.outside, *layer));
    out.into_iter().map(|(_, _, c, _)| c).collect()
}

fn overall(causes: &[CauseOut], fates: &[Fate]) -> Overall {
    if causes.iter().any(|c| !c.outside) {
        return Overall::Problem;
    }
    if !causes.is_empty() {
        return Overall::Outside;
    }
    if !fates.is_empty() && fates.iter().all(|f| *f == Fate::Works) {
        return Overall::Healthy;
    }
    Overall::Undetermined
}

fn headline(question: &Question, verdict: Overall, causes: &[CauseOut], paths: &[FlowPaths]) -> String {
    let target = &question.target_text;
    match (verdict, causes.first()) {
        (_, Some(root)) => root.summary.clone(),
        (Overall::Healthy, None) => match paths.len() {
            1 => format!("{target} answers"),
            n => format!("{target} answers on all {n} addresses"),
        },
        _ => format!("{target}: the cause could not be determined"),
    }
}

/// The predicted steps beside what was observed at the host's edges.
fn stages(facts: &Facts, question: &Question, paths: &[FlowPaths]) -> Vec<StageOut> {
    let mut out = Vec::new();
    for p in paths {
        let seen = Seen::of(facts, &p.flow, &p.forward, question.role, question.from);
        for (direction, path) in [("forward", &p.forward), ("reply", &p.reply)] {
            for (i, step) in path.steps.iter().enumerate() {
                let last = i + 1 == path.steps.len();
                let (observed, disagrees) =
                    if last { observe_end(question, &seen, direction, path) } else { (String::new(), false) };
                let predicted = match &step.action {
                    Action::Pass | Action::Deliver | Action::Send => step.text.clone(),
                    Action::Changed { what } => format!("{}: {what}", step.text),
                    Action::Drop => format!("{}: DROP", step.text),
                    Action::Reject { with } => format!("{}: REJECT with {with}", step.text),
                    Action::Stolen { to } => format!("{}: handed to {to}", step.text),
                    Action::Unknown { what } => format!("{}: insufficient information ({what})", step.text),
                };
                out.push(StageOut {
                    flow: p.flow.target(),
                    direction: direction.to_string(),
                    stage: serde_json::to_value(step.stage)
                        .ok()
                        .and_then(|v| v.as_str().map(str::to_owned))
                        .unwrap_or_default(),
                    predicted,
                    observed,
                    disagrees,
                });
            }
        }
    }
    out
}

fn observe_end(question: &Question, seen: &Seen, direction: &str, path: &Path) -> (String, bool) {
    use netwhy_facts::Role;
    if !seen.known {
        return (String::new(), false);
    }
    let (arrived, left) = match (question.role, direction) {
        (Role::Client, "forward") => (None, Some(seen.requests_out)),
        (Role::Client, _) => (Some(seen.answers_in + seen.resets_in), None),
        (Role::Inbound, "forward") => (Some(seen.requests_in), None),
        (Role::Inbound, _) => (None, Some(seen.answers_out + seen.resets_out)),
        (Role::Transit, "forward") => (Some(seen.requests_in), Some(seen.requests_out)),
        (Role::Transit, _) => {
            (Some(seen.answers_in + seen.resets_in), Some(seen.answers_out + seen.resets_out))
        }
    };
    let mut words = Vec::new();
    if let Some(n) = arrived {
        words.push(format!("{n} arrived"));
    }
    if let Some(n) = left {
        words.push(format!("{n} left"));
    }
    let stopped_before_leaving = path.blocker().is_some()
        && matches!(path.last().map(|s| s.stage), Some(s) if s < netwhy_walk::Stage::Neighbour);
    let disagrees = stopped_before_leaving && left.is_some_and(|n| n > 0) && path.is_certain();
    (words.join(", "), disagrees)
}

/// The facts without one object: what the walker would see if it were not there. `None` for objects that cannot be taken away.
pub fn without(facts: &Facts, locus: &Locus) -> Option<Facts> {
    use netwhy_facts::nft::Nft;
    use netwhy_facts::route::{Routes, Rules};
    use netwhy_facts::sysctl::Sysctls;
    use netwhy_facts::xtables::{XtVerdict, Xtables};
    let mut facts = facts.clone();
    match locus {
        Locus::NftRule { family, table, handle, .. } => {
            let reading = facts.get::<Nft>().clone().map(|mut nft| {
                nft.rules
                    .retain(|r| !(r.family.name() == family && r.table == *table && r.handle == *handle));
                nft
            });
            facts.put(reading);
        }
        Locus::NftChain { family, table, chain, .. } => {
            let reading = facts.get::<Nft>().clone().map(|mut nft| {
                for c in &mut nft.chains {
                    if c.family.name() == family && c.table == *table && c.name == *chain {
                        c.policy = Some(1);
                    }
                }
                nft
            });
            facts.put(reading);
        }
        Locus::IptRule { command, table, chain, number, .. } => {
            let reading = facts.get::<Xtables>().clone().map(|mut x| {
                for t in x.0.iter_mut().filter(|t| t.family.command() == command && t.name == *table) {
                    if let netwhy_facts::Reading::Known { value, .. } = &mut t.chains {
                        for c in value.iter_mut().filter(|c| c.name == *chain) {
                            let at = (*number as usize).wrapping_sub(1);
                            if at < c.rules.len() {
                                c.rules.remove(at);
                            }
                        }
                    }
                }
                x
            });
            facts.put(reading);
        }
        Locus::IptChain { command, table, chain, .. } => {
            let reading = facts.get::<Xtables>().clone().map(|mut x| {
                for t in x.0.iter_mut().filter(|t| t.family.command() == command && t.name == *table) {
                    if let netwhy_facts::Reading::Known { value, .. } = &mut t.chains {
                        for c in value.iter_mut().filter(|c| c.name == *chain) {
                            c.policy = Some(XtVerdict::Accept);
                        }
                    }
                }
                x
            });
            facts.put(reading);
        }
        Locus::Rule { family, priority, .. } => {
            let reading = facts.get::<Rules>().clone().map(|mut rules| {
                rules.0.retain(|r| !(r.family.digit() == *family && r.priority == *priority));
                rules
            });
            facts.put(reading);
            facts.put(netwhy_facts::Reading::<netwhy_facts::route::FibAnswers>::NotAsked);
        }
        Locus::Route { table, dst, metric, .. } => {
            let reading = facts.get::<Routes>().clone().map(|mut routes| {
                routes.routes.retain(|r| !(r.table == *table && r.dst == *dst && r.priority == *metric));
                routes
            });
            facts.put(reading);
            facts.put(netwhy_facts::Reading::<netwhy_facts::route::FibAnswers>::NotAsked);
        }
        Locus::Sysctl { name, .. } => {
            let reading = facts.get::<Sysctls>().clone().map(|mut all| {
                open_setting(&mut all, name);
                all
            });
            facts.put(reading);
        }
        _ => return None,
    }
    Some(facts)
}

/// Sets what a stopping setting stands for so that it no longer stops: forwarding on, filters and refusals off.
fn open_setting(all: &mut netwhy_facts::sysctl::Sysctls, name: &str) {
    let v6 = name.starts_with("net.ipv6");
    let what =
        if name.ends_with("ip_forward") { "forwarding" } else { name.rsplit('.').next().unwrap_or(name) };
    let value = match what {
        "forwarding" | "accept_local" | "route_localnet" => "1",
        _ => "0",
    };
    for (key, v) in &mut all.0 {
        let same_family = key.starts_with("net.ipv6") == v6;
        if same_family
            && (key.ends_with(&format!(".{what}")) || (what == "forwarding" && key == "net.ipv4.ip_forward"))
        {
            *v = value.to_string();
        }
    }
}

/// Causes considered for a scenario, for `netwhy explain` and the plan of collection.
pub fn causes_of(scenario: Scenario) -> impl Iterator<Item = &'static Cause> {
    crate::causes::ALL.iter().copied().filter(move |c| c.scenarios.contains(&scenario))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::attempt::{Attempt, Attempts, Outcome, Phase};
    use netwhy_facts::question::{App, Target};
    use netwhy_facts::{Proto, Reading, Role};

    use super::*;
    use crate::cause::Layer;
    use crate::evidence::Evidence;

    const fn cause(
        id: &'static str,
        explains: &'static [&'static str],
        judge: fn(&Case<'_>) -> Verdict,
    ) -> Cause {
        Cause {
            id,
            title: "a condition",
            scenarios: &[Scenario::Connect],
            roles: &[Role::Client, Role::Inbound],
            layer: Layer::Host,
            scope: Scope::FailedFlow,
            needs: &[],
            explains,
            judge,
        }
    }

    fn at(detail: &str) -> Finding {
        Finding::new(Locus::Host { detail: detail.into() }, detail)
    }

    static ROOT: Cause = cause("root", &["symptom"], |_| at("root").proven());
    static SYMPTOM: Cause = cause("symptom", &[], |_| at("symptom").proven());
    static MAYBE: Cause = cause("maybe", &[], |_| at("maybe").consistent());
    static NEXT: Cause = cause("next", &[], |_| {
        at("next").evidence(Evidence::new("next-obstacle", "then this", "")).consistent()
    });
    static FAR: Cause = cause("far", &[], |_| at("far").outside().proven());
    static DENIED: Cause =
        cause("denied", &[], |_| Verdict::unknown("rules", Absence::Denied("CAP_X".into())));

    fn flow() -> Flow {
        Flow {
            proto: Proto::Tcp,
            src: None,
            sport: None,
            dst: "203.0.113.2".parse().unwrap(),
            dport: 80,
            mark: 0,
            uid: None,
            dev: None,
        }
    }

    fn question(role: Role) -> Question {
        Question {
            scenario: Scenario::Connect,
            target_text: "203.0.113.2:80".into(),
            target: Target {
                host: "203.0.113.2".into(),
                literal: Some("203.0.113.2".parse().unwrap()),
                zone: None,
                port: 80,
                proto: Proto::Tcp,
                app: App::None,
                path: "/".into(),
            },
            role,
            from: None,
            family: None,
            flows: vec![flow()],
            budget_ms: 5000,
            asked_with: Vec::new(),
        }
    }

    fn facts(outcome: Outcome) -> Facts {
        let mut facts = Facts::new();
        let f = flow();
        facts.put(Reading::known(
            Attempts(vec![Attempt {
                proto: f.proto,
                dst: f.dst,
                dport: f.dport,
                local: None,
                variant: None,
                started: 0,
                elapsed_us: 1000,
                phase: Phase::Connect,
                outcome,
                icmp: vec![],
                cookie: None,
                tcp: None,
            }]),
            "connect",
            1,
        ));
        facts
    }

    fn ask(causes: &[&'static Cause], facts: &Facts, role: Role) -> Judgement {
        let paths =
            [FlowPaths { flow: flow(), forward: no_path(&flow()), reply: no_path(&flow()), beyond: vec![] }];
        judge_with(causes, facts, &question(role), &paths)
    }

    fn ids(j: &Judgement) -> Vec<&str> {
        j.causes.iter().map(|c| c.id.as_str()).collect()
    }

    #[test]
    fn an_explained_cause_is_folded_into_its_root() {
        let j = ask(&[&SYMPTOM, &ROOT], &facts(Outcome::Timeout), Role::Client);
        assert_eq!(ids(&j), ["root"]);
        assert_eq!(j.causes[0].explains, ["symptom"]);
        assert_eq!(j.verdict, Overall::Problem);
    }

    #[test]
    fn what_merely_fits_is_silent_beside_a_proof_unless_it_is_the_next_obstacle() {
        let j = ask(&[&MAYBE, &ROOT, &NEXT], &facts(Outcome::Timeout), Role::Client);
        assert_eq!(ids(&j), ["root", "next"]);
        let j = ask(&[&MAYBE], &facts(Outcome::Timeout), Role::Client);
        assert_eq!((ids(&j), j.causes[0].confidence), (vec!["maybe"], Confidence::Consistent));
    }

    #[test]
    fn a_flow_that_works_is_healthy_and_its_failure_causes_are_not_judged() {
        let j = ask(&[&ROOT, &MAYBE], &facts(Outcome::Ok), Role::Client);
        assert_eq!((j.verdict, ids(&j)), (Overall::Healthy, vec![]));
    }

    #[test]
    fn a_prediction_without_an_observed_attempt_stays_a_prediction() {
        let j = ask(&[&ROOT], &Facts::new(), Role::Inbound);
        assert_eq!(j.causes[0].confidence, Confidence::Consistent);
    }

    #[test]
    fn a_cause_elsewhere_is_outside_and_nothing_is_undetermined() {
        assert_eq!(ask(&[&FAR], &facts(Outcome::Timeout), Role::Client).verdict, Overall::Outside);
        let j = ask(&[&DENIED], &facts(Outcome::Timeout), Role::Client);
        assert_eq!(j.verdict, Overall::Undetermined);
        assert!(j.not_checkable[0].privilege);
    }
}
